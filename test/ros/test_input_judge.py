"""Silence, loss and missing pairs of large images, window by window."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dtp_stereo_ros.ros import input_judge
from dtp_stereo_ros.ros.input_judge import InputJudge
from dtp_stereo_ros.ros.node import DepthNode
from dtp_stereo_ros.stereo import SIDES

PERIOD_NS = 33_333_333
OFFSET_NS = 10_000_000
_NUMBERS = itertools.count()
# Images and camera infos of both sides that come until the next judgement, to the findings then.
Window = Callable[[int, int], dict[str, list[str]]]


@pytest.fixture(params=['raw', 'compressed'])
def transport(request: pytest.FixtureRequest) -> str:
    """Transport of the images."""
    return str(request.param)


@pytest.fixture
def window(ros: None, monkeypatch: pytest.MonkeyPatch, transport: str) -> Iterator[Window]:
    """A camera of 1280x720 px whose sides never pair: they are 10 ms apart."""
    # As on a robot without the profile for large messages.
    monkeypatch.setenv('FASTDDS_BUILTIN_TRANSPORTS', 'DEFAULT')
    overrides = {'backend': 'sgbm', 'image_transport': transport}
    node = DepthNode(
        f'judged_{next(_NUMBERS)}',
        parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
    )
    node.begin()
    camera = node.cameras[0]
    judge = InputJudge(node, camera)
    judge.begin()
    counts = {'image': 0, 'info': 0}

    def stamped(msg: Any, kind: str, side: str) -> Any:
        ns = 100 * 10**9 + counts[kind] * PERIOD_NS + OFFSET_NS * SIDES.index(side)
        msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(ns, 10**9)
        return msg

    def come(images: int, infos: int) -> dict[str, list[str]]:
        for _ in range(infos):
            for side in SIDES:
                info = stamped(CameraInfo(width=1280, height=720), 'info', side)
                camera.inputs._take_info(side, info)
            counts['info'] += 1
        for _ in range(images):
            for side in SIDES:
                given = CompressedImage if transport == 'compressed' else Image
                image = stamped(given(data=bytes(1280 * 720)), 'image', side)
                camera.inputs._receive(side, image)
            counts['image'] += 1
        with monkeypatch.context() as patch:
            patch.setattr(input_judge, '_JUDGE_AFTER_S', 0.0)
            patch.setattr(input_judge, '_JUDGE_AFTER_FRAMES', 0)
            time.sleep(1e-3)
            judge._judge_sync()
        found = camera.findings.current()
        return {
            subject: [f.text for f in found.get(subject, ())]
            for subject in ('sync', 'lost frames')
        }

    yield come
    node.destroy_node()


@pytest.mark.parametrize('infos', [1, 2, 20])
def test_images_that_nobody_publishes_are_waited_for(window: Window, infos: int) -> None:
    """At any rate of the camera infos, from the first judgement on."""
    for _ in range(6):
        found = window(0, infos)
        assert found['lost frames'] == []
        (text,) = found['sync']
        assert text.startswith('waiting for /left/image_rect')
        assert '(0 publishers)' in text


@pytest.mark.parametrize('transport', ['raw'], indirect=True)
def test_images_that_do_not_pair_are_told_in_every_window(window: Window) -> None:
    """Infos may be counted a window before their image, and a few images may be missing."""
    for images, infos in ((30, 30), (29, 30), (31, 30), (30, 31), (25, 30), (25, 30), (25, 30)):
        found = window(images, infos)
        assert found['lost frames'] == []
        (text,) = found['sync']
        assert text.startswith('left and right come but do not pair')


@pytest.mark.parametrize('transport', ['raw'], indirect=True)
def test_loss_is_told_in_place_of_missing_pairs(window: Window) -> None:
    found = [window(5, 30) for _ in range(4)]
    assert [f['sync'] for f in found] == [[]] * 4
    assert [bool(f['lost frames']) for f in found] == [False, False, True, True]
