"""Findings on images that come, and pair seldom or never."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from ..pairing.image_stream import Arrival
from ..stereo import SIDES
from ..topics import INPUTS
from .finding import Finding
from .stamps import rough, seconds

# Newest images of equal stamps that are looked at.
_JUDGED = 3


def waiting_finding(
    topics: Mapping[str, str], publishers: Mapping[str, int], prefix: str
) -> Finding:
    """Finding on sides of which no image comes.

    Args:
        topics: 'left', 'right' or both to the topic of the images.
        publishers: the same sides to the number of publishers of that topic.
        prefix: of the camera's topics, 'front/' of the camera 'front', else ''.
    """
    text = 'waiting for ' + ' and '.join(
        f'{topic} ({publishers[side]} publisher{"" if publishers[side] == 1 else "s"})'
        for side, topic in topics.items()
    )
    absent = next((side for side in topics if publishers[side] == 0), '')
    if absent:
        name = prefix + INPUTS[absent]
        mend = f'start the camera, or the node with --ros-args -r {name}:=TOPIC'
    else:
        mend = f'see whether the camera sends: ros2 topic hz {next(iter(topics.values()))}'
    return Finding('warn', 'sync', text, mend)


def without_info_finding(
    side: str, topic: str, gap_ns: int | None, node: str, prefix: str
) -> Finding:
    """Finding on images of a side that have no camera info.

    Args:
        side: 'left' or 'right'.
        topic: of its camera infos.
        gap_ns: nearest difference of the stamps of images and camera infos; None where no camera
            info has come.
        node: full name of the node.
        prefix: of the camera's topics, 'front/' of the camera 'front', else ''.
    """
    if gap_ns is None:
        text = f'no camera_info yet on {topic}'
        mend = (
            f'see whether it is published: ros2 topic info -v {topic}, or start the node with '
            f'--ros-args -r {prefix}{side}/camera_info:=TOPIC'
        )
        return Finding('error', 'camera_info', text, mend)
    text = f'{topic} does not have the stamps of the images ({rough(gap_ns)} off)'
    mend = f'ros2 param set {node} cache_camera_info true, or give it the stamps of the images'
    return Finding('error', 'camera_info', text, mend)


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
    mend = f'{set_parameter} approximate_sync_tolerance_seconds {seconds(2 * abs(gap_ns))}'
    return Finding('error', 'sync', text, mend)


def late_finding(
    arrivals: Mapping[str, Sequence[Arrival]], topics: Mapping[str, str], queue_size: int
) -> Finding | None:
    """Finding on images of equal stamps of which one side comes when the other is gone.

    Args:
        arrivals: 'left' and 'right' to their newest images in the order in which they came.
        topics: the same sides to their topic.
        queue_size: images of a side that wait for a partner.
    """
    late, behind = frames_behind(arrivals, 1.0)
    if min(behind, default=0) < queue_size:
        return None
    text = (
        f'left and right come but do not pair: {topics[late]} comes {max(behind)} frames after '
        f'the other side, of which {queue_size} wait'
    )
    mend = f'start the node with --ros-args -p queue_size:={2 * max(behind)}'
    return Finding('error', 'sync', text, mend)


def frames_behind(
    arrivals: Mapping[str, Sequence[Arrival]], place: float
) -> tuple[str, list[int]]:
    """Side that comes later, and by how many images of the other for some stamps of both.

    Args:
        arrivals: as of `late_finding`.
        place: of these stamps among all, 0 for the first to 1 for the newest.
    """
    came = {side: dict(arrivals[side]) for side in SIDES}
    common = sorted(came['left'].keys() & came['right'].keys())
    first = max(0, round(place * (len(common) - _JUDGED)))
    common = common[first : first + _JUDGED]
    if not common:
        return SIDES[0], []
    late = max(SIDES, key=lambda side: came[side][common[-1]])
    early = came['left' if late == 'right' else 'right']
    return late, [
        sum(other > stamp and at < came[late][stamp] for other, at in early.items())
        for stamp in common
    ]


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
