"""Ground truth codecs: round trips and files that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation import truth_files
from dtp_stereo_ros.image_io import write_pfm


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.one_of(st.just(np.nan), st.floats(-1e6, 1e6, width=32)),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pfm_round_trip(tmp_path: Path, disparity: np.ndarray) -> None:
    write_pfm(tmp_path / 'd.pfm', disparity)
    np.testing.assert_array_equal(truth_files.read_pfm(tmp_path / 'd.pfm'), disparity)


@pytest.mark.parametrize(('order', 'scale'), [('>', '1'), ('<', '-1'), ('<', '-0.003922')])
def test_pfm_by_hand_is_bottom_up_and_its_scale_gives_only_the_order(
    tmp_path: Path, order: str, scale: str
) -> None:
    stored = np.array([[1.5, np.inf], [3.0, 4.0]], f'{order}f4')
    (tmp_path / 'd.pfm').write_bytes(f'Pf\n2 2\n{scale}\n'.encode() + stored.tobytes())
    expected = [[3.0, 4.0], [1.5, np.nan]]
    np.testing.assert_array_equal(truth_files.read_pfm(tmp_path / 'd.pfm'), expected)


@pytest.mark.parametrize(
    'content',
    [b'', b'PF\n1 1\n-1\n' + b'\0' * 12, b'Pf\n2 2\n-1\n\0\0', b'Pf\nx y\n-1\n', b'Pf\n1 1\n'],
    ids=['empty', 'three channels', 'cut short', 'no size', 'no scale'],
)
def test_a_broken_pfm_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / 'broken.pfm'
    path.write_bytes(content)
    with pytest.raises(InputError, match=r'broken\.pfm: not a one-channel PFM'):
        truth_files.read_pfm(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'none\.pfm: cannot be read \(No such file'):
        truth_files.read_pfm(tmp_path / 'none.pfm')


@given(
    arrays(
        np.uint16, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 65535)
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_kitti_png_is_value_over_256_and_zero_unknown(tmp_path: Path, stored: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / 'd.png'), stored)
    disparity = truth_files.read_kitti_png(tmp_path / 'd.png')
    np.testing.assert_array_equal(np.isnan(disparity), stored == 0)
    np.testing.assert_array_equal(np.nan_to_num(disparity) * 256, stored)
    assert disparity.dtype == np.float32


def test_an_8_bit_png_is_no_kitti_truth(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'd.png'), np.ones((2, 3), np.uint8))
    with pytest.raises(InputError, match=r'expected a grey image of uint16, got uint8 \(2, 3\)'):
        truth_files.read_kitti_png(tmp_path / 'd.png')


def test_scaled_grey(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'd.pgm'), np.array([[0, 16, 40]], np.uint8))
    disparity = truth_files.read_scaled_grey(tmp_path / 'd.pgm', 16)
    np.testing.assert_array_equal(disparity, np.array([[np.nan, 1.0, 2.5]], np.float32))


def test_occluded_pixels_of_a_middlebury_mask_are_not_kept(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'm.png'), np.array([[0, 128, 255]], np.uint8))
    assert truth_files.read_non_occluded(tmp_path / 'm.png').tolist() == [[False, False, True]]
