"""Disparity and depth messages, laid out by hand, to the disparity that they state."""

from __future__ import annotations

import array
import struct
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from stereo_msgs.msg import DisparityImage

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.truth import raw_disparity
from dtp_stereo_ros.stereo import StereoCalibration

TOPIC = '/ground_truth/depth'
CALIBRATION = StereoCalibration(
    fx_px=400.0, fy_px=400.0, cx_left_px=31.5, cx_right_px=36.5, cy_px=23.5, baseline_m=0.12,
    width_px=64, height_px=48,
)  # fmt: skip
# f b = 48; the principal points differ by 5 px.
OFFSET_PX = -5.0
DEPTH_M = np.array([[1.0, 2.0, 4.0], [8.0, 0.5, 16.0]], np.float32)


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode('.png', pixels)[1])


def compressed(data: bytes, text: str) -> CompressedImage:
    return CompressedImage(format=text, data=array.array('B', data))


def image(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    msg = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.step, msg.data = rows.shape[1], array.array('B', rows.tobytes())
    return msg


def expected(depth_m: np.ndarray) -> np.ndarray:
    return (48.0 / depth_m + OFFSET_PX).astype(np.float32)


@given(padding=st.integers(0, 9))
@pytest.mark.parametrize('encoding', ['32FC1', '16UC1', 'mono16'])
def test_raw_depth(encoding: str, padding: int) -> None:
    pixels = DEPTH_M if encoding == '32FC1' else (1000 * DEPTH_M).astype(np.uint16)
    found = raw_disparity(image(pixels, encoding, padding), CALIBRATION, TOPIC)
    np.testing.assert_allclose(found, expected(DEPTH_M), rtol=1e-6)


@pytest.mark.parametrize(
    ('header', 'text'),
    [
        (b'', '16UC1; png compressed'),
        (struct.pack('<iff', 0, 0.0, 0.0), '16UC1; compressedDepth png'),
        (struct.pack('<iff', 0, 0.0, 0.0), '16UC1; compressedDepth'),
    ],
)
def test_compressed_depth_in_mm(header: bytes, text: str) -> None:
    stored = (1000 * DEPTH_M).astype(np.uint16)
    stored[0, 1] = 0
    found = raw_disparity(compressed(header + png(stored), text), CALIBRATION, TOPIC)
    assert np.isnan(found[0, 1])
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known], expected(DEPTH_M)[known], rtol=1e-6)
    assert known.sum() == 5


def test_compressed_depth_as_inverse() -> None:
    """Quantisation 100, largest depth 10 m, as compressed_depth_image_transport sets them."""
    scale = np.float32(100 * 101)
    offset = 1 - scale / np.float32(10)
    stored = np.rint(scale / DEPTH_M + offset)
    stored = np.where(DEPTH_M > 10, 0, stored).astype(np.uint16)
    data = struct.pack('<iff', 0, scale, offset) + png(stored)
    found = raw_disparity(compressed(data, '32FC1; compressedDepth png'), CALIBRATION, TOPIC)
    assert np.isnan(found[1, 2])
    known = DEPTH_M <= 10
    np.testing.assert_allclose(found[known], expected(DEPTH_M)[known], atol=0.01)


@pytest.mark.parametrize(
    ('data', 'text', 'named'),
    [
        (b'', '16UC1; png compressed', 'is no depth'),
        (b'\x00' * 40, '16UC1; compressedDepth rvl', "format '16UC1; compressedDepth rvl'"),
        (b'\xff\xd8\xff\xe0 a jpeg', 'mono8; jpeg compressed', 'is no depth'),
        (png(np.zeros((4, 4), np.uint8)), 'mono8; png compressed', 'does not decode to 16 bits'),
        (png(np.zeros((4, 4), np.uint16))[:60], '16UC1; png compressed', TOPIC),
    ],
)
def test_other_compression_is_named(data: bytes, text: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        raw_disparity(compressed(data, text), CALIBRATION, TOPIC)


@pytest.mark.parametrize(
    ('limits', 'known'),
    [
        ((0.0, 0.0), [True, True, False, True]),
        ((7.0, 7.0), [True, True, False, True]),
        ((float('nan'),) * 2, [True, True, False, True]),
        ((1.0, 32.0), [True, True, False, False]),
        ((10.0, 64.0), [False, True, False, True]),
    ],
)
def test_limits_of_a_disparity_image(limits: tuple[float, float], known: list[bool]) -> None:
    msg = DisparityImage(min_disparity=limits[0], max_disparity=limits[1])
    msg.image = image(np.array([[4.0, 20.0, -1.0, 50.0]], np.float32), '32FC1')
    found = raw_disparity(msg, None, TOPIC)
    assert np.isfinite(found)[0].tolist() == known


@pytest.mark.parametrize('offset_px', [-5.0, 0.0, 12.3])
@pytest.mark.parametrize('min_disparity', [-16.0, 0.0, 3.0])
def test_disparities_of_stereo_image_proc(offset_px: float, min_disparity: float) -> None:
    """It subtracts the offset from its mark `min_disparity - 1` too, not from the limits."""
    calibration = replace(CALIBRATION, cx_right_px=CALIBRATION.cx_left_px - offset_px)
    raw = min_disparity + np.array([[-1.0, 0.0, 5.5, 63.0, -1.0]], np.float32)
    msg = DisparityImage(min_disparity=min_disparity, max_disparity=min_disparity + 63)
    msg.image = image(raw - np.float32(offset_px), '32FC1')
    found = raw_disparity(msg, calibration, TOPIC)
    raw[0, [0, 4]] = np.nan
    np.testing.assert_allclose(found, raw, atol=1e-5)


def test_depth_without_calibration_is_named() -> None:
    with pytest.raises(InputError, match='depth needs a camera_info'):
        raw_disparity(image(DEPTH_M, '32FC1'), None, TOPIC)
    with pytest.raises(InputError, match="encoding 'rgb8' is no disparity or depth"):
        raw_disparity(image(np.zeros((2, 9), np.uint8), 'rgb8'), CALIBRATION, TOPIC)
