"""Findings on frames that are sent and do not arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ..pairing.image_stream import Arrival
from .finding import Finding
from .stamps import after_jump

# Lost frames below this share are the odd one; the period is known from fewer.
LOST = 0.2
_LOST_FEWEST = 8
# An interval of more periods than this is a long one. Lost frames make it so many whole periods;
# intervals of a camera that is held up, or runs free, are of any length, and a third of those come
# so near to a whole number by chance.
_LONG = 1.5
_LONG_FEWEST = 4
_OFF_WHOLE = 0.15
_WHOLE = 0.8
# A gap of more than this, and of more frames, is a camera that paused.
_PAUSE_NS = 1_000_000_000
_PAUSE_FRAMES = 5


def lost_share(stamps: Sequence[int], period_ns: int) -> float:
    """Share of the frames of a steady camera that are missing among those since it last paused.

    Args:
        stamps: of the images that came, in any order, nanoseconds.
        period_ns: time between two frames of the camera.

    Returns:
        0 .. 1; 0 where too few came to tell.
    """
    came = sorted(set(stamps))
    pauses = [
        index
        for index, (before, after) in enumerate(pairwise(came), 1)
        if after - before > max(_PAUSE_NS, _PAUSE_FRAMES * period_ns)
    ]
    came = came[pauses[-1] if pauses else 0 :]
    if len(came) < _LOST_FEWEST or period_ns <= 0:
        return 0.0
    periods = [(after - before) / period_ns for before, after in pairwise(came)]
    long = [value for value in periods if value > _LONG]
    whole = [round(value) for value in long if abs(value - round(value)) < _OFF_WHOLE]
    if len(long) < _LONG_FEWEST or len(whole) < _WHOLE * len(long):
        return 0.0
    lost = sum(whole) - len(whole)
    return lost / (len(came) + lost)


def lost_findings(
    arrivals: Mapping[str, Sequence[Arrival]],
    period_ns: int,
    topics: Mapping[str, str],
    mends: Mapping[str, str],
) -> list[Finding]:
    """Findings on frames that were sent and did not arrive.

    Args:
        arrivals: as of `stamp_findings`, of one side or of both.
        period_ns: time between two frames of the cameras.
        topics: 'left' and 'right' to their topic.
        mends: 'left' and 'right' to `health.dds_settings.loss_mend`.
    """
    found = []
    for side, values in arrivals.items():
        share = lost_share(after_jump([stamp for stamp, _ in values]), period_ns)
        if share >= LOST:
            text = (
                f'{topics[side]}: about {10 * round(10 * share)} % of the frames are lost on the '
                f'way (by their stamps, a frame is sent every {period_ns / 1e6:.0f} ms)'
            )
            found.append(Finding('warn', 'lost frames', text, mends[side]))
    return found


def lost_beside_infos(counts: Sequence[tuple[int, int]]) -> float:
    """Share of the images that are missing beside the camera infos, which are small.

    Args:
        counts: images and camera infos that came, of one stretch of time after another.

    Returns:
        0 .. 1; 0 where too few came to tell, or in one of the stretches hardly any was missing:
        the images of a camera are discovered later than its infos.
    """
    if any(images > (1 - LOST) * infos for images, infos in counts):
        return 0.0
    all_images, all_infos = (sum(kind) for kind in zip(*counts, strict=True))
    return 1 - all_images / all_infos if all_infos >= _LOST_FEWEST else 0.0


def lost_beside_infos_findings(
    shares: Mapping[str, float], topics: Mapping[str, str], mends: Mapping[str, str]
) -> list[Finding]:
    """Findings on images that are missing beside their camera infos.

    Args:
        shares: side to its `lost_beside_infos`.
        topics: side to the topic of its images.
        mends: side to `health.dds_settings.loss_mend`.
    """
    return [
        Finding(
            'warn',
            'lost frames',
            f'{topics[side]}: about {10 * round(10 * share)} % of the frames are lost on the way '
            '(beside their camera_info)',
            mends[side],
        )
        for side, share in shares.items()
        if share >= LOST
    ]
