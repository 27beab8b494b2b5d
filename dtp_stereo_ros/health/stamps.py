"""Findings on stamps: missing, repeated, coarse, of two clocks, jumping."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise, takewhile

from ..pairing.image_stream import KEPT, Arrival
from .finding import Finding

_NS_PER_S = 1_000_000_000
# Images of a side that are looked at, and the fewest from which anything is said.
_WINDOW = 20
_FEWEST = 5
# More images than this share with the stamp of the one before are no accident of a driver.
_REPEATED = 0.3
# For so long stamps in whole seconds cannot stay the same.
_STANDING_NS = 1_500_000_000
# A backward step of more than this is no late delivery. A looped bag makes one for each loop, so
# so many are needed, and so large a share of the images.
_JUMP_NS = _NS_PER_S
_JUMPS = 3
_JUMPING = 0.1
# The nearest stamps of both sides are never so far apart with one clock: images wait in a queue
# for a fraction of this.
_CLOCKS_NS = _NS_PER_S
# A stamp further from a clock than this is of another time.
OFF_CLOCK_S = 60


def clock_mend(node_name: str) -> str:
    """Mend of stamps that are of another time than the clock of the node."""
    return (
        f'of a bag or a simulation: ros2 bag play BAG --clock, and ros2 param set {node_name} '
        'use_sim_time true; of a camera: use_sim_time false, and synchronise its clock (chrony, '
        'PTP)'
    )


def stamp_findings(
    arrivals: Mapping[str, Sequence[Arrival]], topics: Mapping[str, str]
) -> list[Finding]:
    """Findings on the stamps of a stereo camera; the first cause, which explains the others.

    Args:
        arrivals: 'left' and 'right' to their newest images in the order in which they came, up to
            `KEPT` of each.
        topics: 'left' and 'right' to their topic.
    """
    faults = {side: _fault_of_one(values) for side, values in arrivals.items()}
    found = [
        Finding('error', 'stamps', f'{topics[side]}: {text}', mend.format(topic=topics[side]))
        for side, (text, mend) in faults.items()
        if text
    ]
    return found or _two_clocks(arrivals, topics)


def recorded_findings(
    arrivals: Mapping[str, Sequence[Arrival]], topics: Mapping[str, str]
) -> list[Finding]:
    """Findings on the stamps of a whole recording: those of more than half of its parts.

    Args:
        arrivals: 'left' and 'right' to all of their images, in the order in which they were
            recorded, each with the time of recording.
        topics: 'left' and 'right' to their topic.
    """
    left, right = arrivals['left'], arrivals['right']
    votes: Counter[str] = Counter()
    first: dict[str, Finding] = {}
    parts = range(0, len(left), KEPT)
    for start in parts:
        part = left[start : start + KEPT]
        first_ns, last_ns = part[0][1], part[-1][1]
        beside = [item for item in right if first_ns <= item[1] <= last_ns][-KEPT:]
        found = stamp_findings({'left': part, 'right': beside}, topics)
        votes.update({finding.mend for finding in found})
        for finding in found:
            first.setdefault(finding.mend, finding)
    return [first[cause] for cause, count in votes.items() if 2 * count > len(parts)]


def after_jump(stamps: Sequence[int]) -> list[int]:
    """The stamps since time last jumped back."""
    starts = [i for i in range(1, len(stamps)) if stamps[i] < stamps[i - 1] - _JUMP_NS]
    return list(stamps[starts[-1] if starts else 0 :])


def _fault_of_one(arrivals: Sequence[Arrival]) -> tuple[str, str]:
    """Text and mend of what is wrong with the stamps of one side; ('', '') where nothing is."""
    if len(arrivals) < _FEWEST:
        return '', ''
    stamps = [stamp for stamp, _ in arrivals]
    if not any(stamps[-_FEWEST:]):
        text = 'its images have no stamp (header.stamp is 0), so they cannot be paired'
        return text, 'let the driver set header.stamp to the time of exposure'
    same = _trailing(stamps, lambda stamp: stamp == stamps[-1])
    stands_ns = arrivals[-1][1] - arrivals[-same][1]
    whole = _trailing(stamps, lambda stamp: stamp % _NS_PER_S == 0)
    if same >= _FEWEST and (not whole or stands_ns > _STANDING_NS):
        text = 'its images all have one stamp, so they cannot be paired'
        return text, 'let the driver set header.stamp for each image'
    steps = [after - before for before, after in pairwise(stamps)]
    repeated = steps[-_WINDOW:].count(0) / len(steps[-_WINDOW:])
    if whole >= _FEWEST:
        seconds = stamps[-whole:]
        if len(set(seconds)) > 1 and len(set(seconds)) <= (1 - _REPEATED) * len(seconds):
            text = 'its stamps are whole seconds, so several images share one and cannot be paired'
            return text, 'let the driver set header.stamp.nanosec'
    elif repeated > _REPEATED and 0 in steps[-_FEWEST:]:
        text = f'about {10 * round(10 * repeated)} % of its images repeat the stamp before'
        return text, 'see who publishes: ros2 topic info -v {topic}'
    jumps = sum(step < -_JUMP_NS for step in steps)
    if jumps >= max(_JUMPS, _JUMPING * len(steps)):
        text = f'its stamps jump back again and again ({jumps} times in {len(stamps)} images)'
        return text, 'see whether two cameras or bags publish: ros2 topic info -v {topic}'
    return '', ''


def _trailing(stamps: Sequence[int], holds: Callable[[int], bool]) -> int:
    """For how many of the newest stamps something holds."""
    return sum(1 for _ in takewhile(holds, reversed(stamps)))


def _two_clocks(
    arrivals: Mapping[str, Sequence[Arrival]], topics: Mapping[str, str]
) -> list[Finding]:
    left, right = (
        sorted(set(after_jump([stamp for stamp, _ in arrivals[side]])[-_WINDOW:]))
        for side in ('left', 'right')
    )
    if min(len(left), len(right)) < _FEWEST:
        return []
    gap_ns = max(_smallest_gap(left, right), _lag_apart_ns(arrivals))
    if gap_ns <= _CLOCKS_NS:
        return []
    text = (
        f'the clocks of the cameras differ: the stamps of {topics["left"]} and {topics["right"]} '
        f'are {rough(gap_ns)} apart'
    )
    mend = 'synchronise them (chrony, PTP), or let both drivers stamp by one clock'
    return [Finding('error', 'stamps', text, mend)]


def _lag_apart_ns(arrivals: Mapping[str, Sequence[Arrival]]) -> int:
    """Difference by which all images of one side come later after their stamps than the other's.

    Stamps of other frames may be near, or equal, while the clocks are seconds apart.
    """
    left, right = (
        [came - stamp for stamp, came in arrivals[side][-_WINDOW:]] for side in ('left', 'right')
    )
    return max(min(left) - max(right), min(right) - max(left))


def _smallest_gap(left: Sequence[int], right: Sequence[int]) -> int:
    """Smallest distance between an element of one sorted sequence and one of the other."""
    i = j = 0
    smallest = abs(left[0] - right[0])
    while i < len(left) and j < len(right):
        smallest = min(smallest, abs(left[i] - right[j]))
        if left[i] < right[j]:
            i += 1
        else:
            j += 1
    return smallest


def seconds(duration_ns: int) -> str:
    """A duration to two digits as a parameter of ROS takes it, in seconds.

    With a point and without an exponent: a node refuses a whole number, and YAML takes 2e-6 for
    text.
    """
    rounded = f'{float(f"{duration_ns / _NS_PER_S:.2g}"):.9f}'.rstrip('0')
    return f'{rounded}0' if rounded.endswith('.') else rounded


def rough(gap_ns: int) -> str:
    """A stamp difference to one digit, so that jitter does not make a new message of it."""
    gap_ms = float(f'{abs(gap_ns) / 1e6:.1g}')
    return f'about {gap_ms:g} ms' if gap_ms < 1000 else f'about {gap_ms / 1000:g} s'
