"""Encodings that we do not list go to cv_bridge; one that is missing or broken costs one line."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import numpy as np
import pytest
from sensor_msgs.msg import Image

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.images import set_other_decoder, to_rgb
from dtp_stereo_ros.ros.cv_bridge_decoder import CvBridgeDecoder

TOPIC = '/left/image_rect'


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Log of a decoder that is in use."""
    found: list[str] = []
    set_other_decoder(CvBridgeDecoder(found.append))
    yield found
    set_other_decoder(None)


def bridge(monkeypatch: pytest.MonkeyPatch, answer: object) -> list[str]:
    """A module of the name, which answers with a value, or raises it; returns its calls."""
    calls: list[str] = []

    class CvBridge:
        def imgmsg_to_cv2(self, msg: Image, encoding: str) -> object:
            calls.append(f'{msg.encoding} to {encoding}')
            if isinstance(answer, Exception):
                raise answer
            return answer

    module = types.ModuleType('cv_bridge')
    module.CvBridge = CvBridge  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)
    return calls


def message(encoding: str) -> Image:
    return Image(height=2, width=3, encoding=encoding, step=3, data=bytes(6))


def test_it_serves_what_we_do_not_list(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    calls = bridge(monkeypatch, picture)
    assert np.array_equal(to_rgb(message('new_format'), TOPIC), picture)
    to_rgb(message('mono8'), TOPIC)
    assert calls == ['new_format to rgb8']
    assert lines == []


@pytest.mark.parametrize(
    ('answer', 'named'),
    [
        (ValueError('[32FC1] is not a color format'), r"'x9' is not supported \(\[32FC1\] is not"),
        (np.zeros((2, 3)), r'cv_bridge made float64 \(2, 3\) of it'),
    ],
)
def test_what_it_cannot_decode_is_named(
    lines: list[str], monkeypatch: pytest.MonkeyPatch, answer: object, named: str
) -> None:
    bridge(monkeypatch, answer)
    with pytest.raises(InputError, match=named):
        to_rgb(message('x9'), TOPIC)
    assert lines == []


def test_without_it_nothing_is_logged(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere:
        def find_spec(self, name: str, *_: object) -> None:
            if name == 'cv_bridge':
                raise ModuleNotFoundError("No module named 'cv_bridge'", name='cv_bridge')

    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Nowhere(), *sys.meta_path])
    with pytest.raises(InputError, match='cv_bridge is not installed'):
        to_rgb(message('x9'), TOPIC)
    assert lines == []


def test_one_that_cannot_be_imported_costs_one_line(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == 'cv_bridge':
                raise ImportError('numpy.core.multiarray\nfailed to import')

    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    monkeypatch.setattr(sys, 'meta_path', [Broken(), *sys.meta_path])
    for _ in range(3):
        with pytest.raises(InputError, match=r'numpy\.core\.multiarray failed to import'):
            to_rgb(message('x9'), TOPIC)
    assert len(lines) == 1
    assert '\n' not in lines[0]
    assert lines[0].endswith('; apt install ros-$ROS_DISTRO-cv-bridge')
