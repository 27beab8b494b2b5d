"""Findings on the messages of a recorded stereo camera: stamps, gaps, pairs, camera infos."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise

from ..config import NodeConfig
from ..pairing.image_stream import Arrival, period_ns
from ..stereo import SIDES
from .finding import Finding
from .loss import lost_share
from .stamps import after_jump, recorded_findings, rough, seconds
from .sync import frames_behind

_NS_PER_S = 1_000_000_000
_LOST = 0.02
# A hole is longer than what single lost frames leave.
_HOLE_PERIODS = 5
# Share of images without a partner of the same stamp that is said.
_UNPAIRED = 0.02
# Share of the images with a partner that are paired where all is well.
_PAIRED = 0.9
# Shortest intervals that the frame period is taken from.
_INTERVALS = 200


def camera_findings(
    arrivals: Mapping[str, Sequence[Arrival]],
    infos: Mapping[str, int],
    topics: Mapping[str, str],
    config: NodeConfig,
    counts: Mapping[str, int],
    undescribed: int,
) -> list[Finding]:
    """Findings on what was recorded of a camera, without a look at the images.

    Args:
        arrivals: side to its images in the order of recording: stamp and time of recording.
        infos: side to the number of camera infos.
        topics: 'left', 'right', 'left_info', 'right_info' to the topic, '' where there is none.
        config: of the node.
        counts: of `PairPolicy`.
        undescribed: pairs without camera info.
    """
    silent = [topics[side] for side in SIDES if not arrivals[side]]
    if silent:
        text = f'{" and ".join(silent)}: no image in this part of the bag'
        return [Finding('error', 'images', text, 'see --start and --duration, or record it')]
    found = recorded_findings(arrivals, topics)
    if not found:
        found = [*_rates(arrivals, topics), *_pairs(arrivals, topics, config, counts)]
    return [*found, *_infos(infos, topics, undescribed)]


def _rates(arrivals: Mapping[str, Sequence[Arrival]], topics: Mapping[str, str]) -> list[Finding]:
    found = []
    for side in SIDES:
        stamps = sorted(set(after_jump([stamp for stamp, _ in arrivals[side]])))
        intervals = [after - before for before, after in pairwise(stamps)]
        period = period_ns(sorted(intervals)[:_INTERVALS])
        if not period:
            continue
        topic = topics[side]
        text = f'{topic}: {len(arrivals[side])} images at {_NS_PER_S / period:.3g} Hz'
        share, longest_ns = lost_share(stamps, period), max(intervals)
        if share < _LOST and longest_ns > _HOLE_PERIODS * period:
            after_s = (stamps[intervals.index(longest_ns)] - stamps[0]) / _NS_PER_S
            text += f', none for {longest_ns / _NS_PER_S:.2g} s, {after_s:.3g} s after the first'
            mend = 'see whether the driver or the recorder stood still'
            found.append(Finding('warn', 'lost frames', text, mend))
            continue
        if share < _LOST:
            found.append(Finding('ok', 'rate', text))
            continue
        mend = 'record with a larger cache (ros2 bag record --max-cache-size) or to a faster disk'
        text += f', about {100 * share:.0f} % of the frames are missing, gaps up to '
        found.append(Finding('warn', 'lost frames', f'{text}{longest_ns / 1e9:.2g} s', mend))
    return found


def _pairs(
    arrivals: Mapping[str, Sequence[Arrival]],
    topics: Mapping[str, str],
    config: NodeConfig,
    counts: Mapping[str, int],
) -> list[Finding]:
    left, right = (sorted({stamp for stamp, _ in arrivals[side]}) for side in SIDES)
    gaps = [_nearest(right, stamp) for stamp in left]
    unequal = [abs(gap) for gap in gaps if gap]
    paired, share = counts.get('paired', 0), len(unequal) / len(gaps)
    if not unequal and paired > _PAIRED * len(left):
        return [Finding('ok', 'stamps', f'left and right are equal, {paired} pairs')]
    if not unequal:
        text = f'{paired} pairs of {len(left)} left images, all of which have a right one'
        unordered = [topics[side] for side in SIDES if _backward(arrivals[side]) > _UNPAIRED]
        late, behind = frames_behind(arrivals, 0.5)
        mend = 'record the images in the order of their stamps'
        if unordered:
            text += f': {" and ".join(unordered)} was recorded in another order than its stamps'
        elif max(behind) >= config.queue_size:
            text += f': {topics[late]} was recorded {max(behind)} frames after the other side, of '
            text += f'which {config.queue_size} wait'
            mend = f'queue_size: {2 * max(behind)} in --params'
        return [Finding('warn' if paired else 'error', 'stamps', text, mend)]
    nearest_ns = round(statistics.median(unequal))
    text = (
        f'{paired} pairs of {len(left)} left and {len(right)} right images; {100 * share:.0f} % '
        f'of the left ones have no right one of the same stamp, the nearest is '
        f'{rough(nearest_ns)} away'
    )
    if config.approximate_sync:
        mend = f'approximate_sync_tolerance_seconds: {seconds(2 * nearest_ns)} in --params'
    else:
        mend = '--approximate-sync (of the node: approximate_sync), or trigger the cameras'
    if not paired:
        return [Finding('error', 'stamps', text, mend)]
    if share < _UNPAIRED or (
        config.approximate_sync and paired > _PAIRED * min(len(left), len(right))
    ):
        return [Finding('ok', 'stamps', text)]
    return [Finding('warn', 'stamps', text, mend)]


def _backward(arrivals: Sequence[Arrival]) -> float:
    """Share of the images with a stamp before that of the image before."""
    steps = [after - before for (before, _), (after, _) in pairwise(arrivals)]
    return sum(step < 0 for step in steps) / len(steps) if steps else 0.0


def _infos(infos: Mapping[str, int], topics: Mapping[str, str], undescribed: int) -> list[Finding]:
    missing = [topics[side] for side in SIDES if not topics[f'{side}_info']]
    if infos['right'] and not infos['left']:
        text = f'no camera_info of {topics["left"]}: taken to be that of the right camera'
        return [Finding('warn', 'camera_info', text, 'record it')]
    if missing:
        text = (
            f'no camera_info beside {" and ".join(missing)}: disparity only, no depth, and no '
            'check of the calibration'
        )
        mend = 'record it, or name it by --left-info TOPIC --right-info TOPIC'
        return [Finding('warn', 'camera_info', text, mend)]
    silent = [topics[f'{side}_info'] for side in SIDES if not infos[side]]
    if silent:
        text = f'{" and ".join(silent)}: no message in this part of the bag'
        return [Finding('warn', 'camera_info', text, 'see --start, or record it (it is latched)')]
    if undescribed:
        text = f'{undescribed} pairs have no camera_info and are left out'
        mend = 'start the recording before the camera, or leave cache_camera_info true'
        return [Finding('warn', 'camera_info', text, mend)]
    return []


def _nearest(stamps: Sequence[int], stamp: int) -> int:
    """Distance to the nearest of sorted stamps."""
    index = bisect_left(stamps, stamp)
    return min((s - stamp for s in stamps[max(0, index - 1) : index + 1]), key=abs)
