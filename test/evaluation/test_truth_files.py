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

# Numbers that a disparity has, px: of others, the reader takes the byte order to be wrong.
_DISPARITY = st.floats(2**-19, 1e6, width=32)


@given(
    arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.one_of(
            st.sampled_from([np.nan, 0.0]), _DISPARITY, _DISPARITY.map(lambda px: -px)
        ),
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
    [
        b'',
        b'PF\n1 1\n-1\n' + np.arange(3, dtype='<f4').tobytes(),
        b'Pf\n2 2\n-1\n\0\0',
        b'Pf\nx y\n-1\n',
        b'Pf\n1 1\n',
        b'Pf\n0 1\n-1\n',
        b'Pf\n1 1\nleft\n\0\0\0\0',
        b'Pf\n1 1\n-1\n' + b'\0' * 40,
        b'Pf\n2 1\n0\n' + np.ones(2, '<f4').tobytes(),
        b'Pf # ' + b'x' * 9999,
        b'P5\n1 1\n255\n\0',
    ],
    ids=[
        'empty',
        'three channels that differ',
        'cut short',
        'no size',
        'no scale',
        'empty size',
        'scale is a word',
        'longer than its size',
        'no byte order',
        'endless comment',
        'PGM',
    ],
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
def test_kitti_png_is_value_over_256_with_two_words_for_unknown(
    tmp_path: Path, stored: np.ndarray
) -> None:
    cv2.imwrite(str(tmp_path / 'd.png'), stored)
    disparity = truth_files.read_kitti_png(tmp_path / 'd.png')
    unknown = np.isin(stored, (0, 65535))  # none, and all bits set
    np.testing.assert_array_equal(np.isnan(disparity), unknown)
    np.testing.assert_array_equal(np.nan_to_num(disparity) * 256, np.where(unknown, 0, stored))
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


_HEADERS = {
    'three lines': 'Pf\n{w} {h}\n{scale}\n',
    'one line': 'Pf {w} {h} {scale}\n',
    'a line each': 'Pf\n{w}\n{h}\n{scale}\n',
    'comments': 'Pf\n# by GIMP\n# 3 4\n{w} {h}\n# more\n{scale}\n',
    'Windows': 'Pf\r\n{w} {h}\r\n{scale}\r\n',
    'blanks': 'Pf \t\n  {w}   {h} \n {scale}\n',
    'three channels': 'PF\n{w} {h}\n{scale}\n',
}


@pytest.mark.parametrize('header', _HEADERS.values(), ids=_HEADERS)
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('sign', ['right', 'wrong', 'zero'])
@given(
    disparity=arrays(
        np.float32,
        array_shapes(min_dims=2, max_dims=2, min_side=4, max_side=9),
        elements=st.sampled_from([np.nan, 0.25, 1.0, 3.5, 20.0, 44.0, 191.75]),
    )
)
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    max_examples=10,
)
def test_dialects_of_pfm(
    tmp_path: Path, header: str, order: str, sign: str, disparity: np.ndarray
) -> None:
    if np.isfinite(disparity).sum() < 16:
        disparity[:] = 20.0  # too few numbers tell no byte order
    little = (order == '<') == (sign == 'right')
    scale = '0' if sign == 'zero' else '-1.0' if little else '0.003922'
    height, width = disparity.shape
    pixels = np.where(np.isnan(disparity), np.float32(np.inf), disparity)[::-1]
    if header.startswith('PF'):
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    text = header.format(w=width, h=height, scale=scale)
    path = tmp_path / 'd.pfm'
    path.write_bytes(text.encode() + pixels.astype(f'{order}f4').tobytes())
    np.testing.assert_array_equal(truth_files.read_pfm(path), disparity)


# As they stand for unknown in one public set or another.
_MARKS = [0, np.inf, -np.inf, np.nan, -1, -9999, 65535, 1e10, 3.4028235e38, 1000]


@given(
    mark=st.sampled_from(_MARKS),
    negative=st.booleans(),
    disparity=arrays(np.float32, (6, 400), elements=st.sampled_from([0.5, 1.5, 20.0, 191.0])),
    unknown=arrays(np.bool_, (6, 400)),
)
def test_unknown_in_every_convention(
    mark: float, negative: bool, disparity: np.ndarray, unknown: np.ndarray
) -> None:
    unknown[0, 0] = False
    stored = -disparity if negative and not mark < 0 else disparity
    known = truth_files.known_px(np.where(unknown, np.float32(mark), stored), Path('d'))
    np.testing.assert_array_equal(known, np.where(unknown, np.float32(np.nan), disparity))


@pytest.mark.parametrize('mark', [-1.0, -999.0, 0.0, np.inf, 65535.0])
def test_truth_without_one_known_pixel_stays_unknown(mark: float) -> None:
    assert np.isnan(truth_files.known_px(np.full((4, 60), mark, np.float32), Path('d'))).all()


@pytest.mark.parametrize('factor', [256.0, -256.0, 1000.0])
def test_another_unit_is_named(factor: float) -> None:
    stored = factor * np.linspace(4, 30, 4 * 60, dtype=np.float32).reshape(4, 60)
    with pytest.raises(InputError, match=r'depth\.pfm: no disparities in px: their median is \d+'):
        truth_files.known_px(stored, Path('depth.pfm'))


def test_grey_truth_may_be_stored_in_colour_but_not_be_colour(tmp_path: Path) -> None:
    grey = np.array([[0, 16, 40, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / 'd.png'), np.dstack([grey] * 3))
    wanted = np.array([[np.nan, 1.0, 2.5, np.nan]], np.float32)  # 16 px are wider than the image
    np.testing.assert_array_equal(truth_files.scaled_grey_px(tmp_path / 'd.png', 16), wanted)
    cv2.imwrite(str(tmp_path / 'd.png'), np.dstack([grey, grey, grey, np.full_like(grey, 9)]))
    np.testing.assert_array_equal(truth_files.scaled_grey_px(tmp_path / 'd.png', 16), wanted)
    cv2.imwrite(str(tmp_path / 'flow.png'), np.dstack([grey, grey + 1, grey]).astype(np.uint16))
    with pytest.raises(InputError, match=r'flow\.png: not a grey image .* optical flow'):
        truth_files.kitti_px(tmp_path / 'flow.png')
