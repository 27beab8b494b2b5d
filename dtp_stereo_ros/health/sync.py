"""Findings on images that come, and pair seldom or never."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from .finding import Finding
from .stamps import rough


def unpaired_finding(gap_ns: int, node: str, approximate: bool, tolerance_ns: int) -> Finding:
    """Finding on a stereo camera of which no images pair.

    Args:
        gap_ns: nearest difference of a left and a right stamp.
        node: full name of the node that pairs them.
        approximate: whether it pairs unequal stamps.
        tolerance_ns: up to this difference.
    """
    text = f'left and right come but do not pair: stamps differ ({rough(gap_ns)})'
    set_parameter = f'ros2 param set {node}'
    if not approximate:
        mend = f'{set_parameter} approximate_sync true, if the cameras are not triggered together'
        return Finding('error', 'sync', text, mend)
    text += f', the tolerance is {tolerance_ns / 1e6:.3g} ms'
    mend = f'{set_parameter} approximate_sync_tolerance_seconds {2 * abs(gap_ns) / 1e9:.2g}'
    return Finding('error', 'sync', text, mend)


def gap_findings(
    left: Sequence[int], right: Sequence[int], node: str, approximate: bool
) -> list[Finding]:
    """Findings on stamps of left images that no right one has.

    Args:
        left, right: stamps, ns.
        node: full name of the node that pairs them.
        approximate: whether it pairs unequal stamps.
    """
    gaps = [min((r - s for r in right), key=abs) for s in left[1:-1]]
    if not gaps:
        return []
    if all(gap == 0 for gap in gaps):
        return [Finding('ok', 'stamps', 'left and right are equal')]
    share = sum(gap != 0 for gap in gaps) / len(gaps)
    gap_ms = statistics.median(abs(g) for g in gaps if g) / 1e6
    text = (
        f'{100 * share:.0f} % of the left images have no right one of the same stamp, the '
        f'nearest is {gap_ms:.3g} ms away'
    )
    if approximate:
        return [Finding('ok', 'stamps', text)]
    mend = f'ros2 param set {node} approximate_sync true, or trigger the cameras'
    return [Finding('warn' if share < 0.5 else 'error', 'stamps', text, mend)]
