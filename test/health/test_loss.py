"""Findings on lost frames."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtp_stereo_ros.config import NodeConfig
from dtp_stereo_ros.health.loss import (
    lost_beside_infos,
    lost_beside_infos_findings,
    lost_findings,
    lost_share,
)
from dtp_stereo_ros.health.recording import camera_findings

MS, S = 1_000_000, 1_000_000_000
TOPICS = {'left': '/l', 'right': '/r'}


def steady(count: int, period_ns: int = 100 * MS, first: int = 1_700_000_000 * S) -> list[int]:
    return [first + i * period_ns for i in range(count)]


def test_share_of_lost_frames() -> None:
    stamps = steady(100)
    assert lost_share(stamps, 100 * MS) == 0
    assert lost_share([s for i, s in enumerate(stamps) if i % 2 == 0], 100 * MS) == (
        pytest.approx(0.5, abs=0.01)
    )
    assert lost_share(stamps[:4], 100 * MS) == 0  # too few
    assert lost_share(stamps, 0) == 0  # no period
    # a camera that pauses, and one that is slower now
    assert lost_share(stamps + steady(20, first=stamps[-1] + 8 * S), 100 * MS) == 0
    assert lost_share(steady(50, 200 * MS), 200 * MS) == 0


@given(seed=st.integers(0, 10_000), most=st.floats(1.0, 4.0))
def test_a_camera_that_is_held_up_loses_nothing(seed: int, most: float) -> None:
    """Intervals of any length from one period on, as of a driver on a busy machine."""
    generator = random.Random(seed)
    stamps = list(
        itertools.accumulate(int(33 * MS * generator.uniform(1, most)) for _ in range(100))
    )
    assert lost_share(stamps, 33 * MS) < 0.2


@given(seed=st.integers(0, 10_000), share=st.sampled_from((0.3, 0.5, 0.7)))
def test_random_loss_is_measured(seed: int, share: float) -> None:
    generator = random.Random(seed)
    stamps = [s for s in steady(120, 33 * MS) if generator.random() >= share]
    assert lost_share(stamps, 33 * MS) == pytest.approx(share, abs=0.2)


def test_lost_frames_are_named_with_their_mend() -> None:
    lossy = [s for i, s in enumerate(steady(60)) if i % 5 < 3]
    came = {'left': [(s, s) for s in steady(60)], 'right': [(s, s) for s in lossy]}
    (found,) = lost_findings(came, 100 * MS, TOPICS, {'left': 'mend l', 'right': 'mend r'})
    assert (found.level, found.subject, found.mend) == ('warn', 'lost frames', 'mend r')
    assert found.text == (
        '/r: about 40 % of the frames are lost on the way '
        '(by their stamps, a frame is sent every 100 ms)'
    )


def test_images_missing_beside_their_infos() -> None:
    assert lost_beside_infos([(2, 20)]) == pytest.approx(0.9)
    assert lost_beside_infos([(2, 10), (5, 10), (8, 10)]) == pytest.approx(0.5)
    for counts in ([(20, 20)], [(20, 4)], [(0, 7)], [(0, 10), (0, 10), (10, 10)]):
        assert lost_beside_infos(counts) == 0
    shares = {'left': lost_beside_infos([(2, 20)]), 'right': lost_beside_infos([(19, 20)])}
    (found,) = lost_beside_infos_findings(shares, TOPICS, {'left': 'mend l', 'right': 'mend r'})
    assert (
        found.text == '/l: about 90 % of the frames are lost on the way (beside their camera_info)'
    )
    assert (found.level, found.subject, found.mend) == ('warn', 'lost frames', 'mend l')


@pytest.mark.parametrize(('hole_s', 'told'), [(0.1, False), (0.4, True), (10.0, True)])
def test_a_hole_in_a_recording_is_told(hole_s: float, told: bool) -> None:
    """At 30 Hz, after 1.6 s; that no single frames are missing around it does not count."""
    period_ns = 33_333_333
    stamps = [i * period_ns + int(hole_s * 1e9) * (i > 48) for i in range(100)]
    arrivals = {side: [(stamp, stamp) for stamp in stamps] for side in ('left', 'right')}
    topics = {'left': '/l', 'right': '/r', 'left_info': '/li', 'right_info': '/ri'}
    counts = {'left': 100, 'right': 100}
    found = camera_findings(arrivals, counts, topics, NodeConfig(), {'paired': 100}, 0)
    lost = [f for f in found if f.subject == 'lost frames']
    assert len(lost) == 2 * told
    if told:
        gap_s = hole_s + 1 / 30
        assert f'/l: 100 images at 30 Hz, none for {gap_s:.2g} s, 1.6 s after' in lost[0].text
