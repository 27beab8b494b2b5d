"""Images in, results out."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dtp_stereo_ros.errors import CalibrationError, InputError
from dtp_stereo_ros.image_io import (
    atomic,
    check_output,
    colorize,
    read_image,
    silence_opencv,
    write_npy,
    write_pfm,
    write_result,
)
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame, StereoResult

MakeFrame = Callable[..., StereoFrame]


@pytest.fixture
def result() -> StereoResult:
    disparity = np.full((4, 6), 10.0, np.float32)
    disparity[1, 2] = 25.0
    disparity[3, 5] = np.nan
    return StereoResult(disparity, None, 0.0, 64.0)


@pytest.fixture
def frame(make_frame: MakeFrame) -> StereoFrame:
    calibration = StereoCalibration(500.0, 500.0, 3.0, 3.0, 2.0, 0.1, 6, 4)
    return make_frame(2, (4, 6), calibration=calibration)


def test_colour_order_depth_and_alpha_of_images(tmp_path: Path) -> None:
    rgb = np.zeros((3, 5, 3), np.uint8)
    rgb[...] = (200, 100, 50)
    cv2.imwrite(str(tmp_path / 'rgb.png'), rgb[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / 'rgb.png'), rgb)
    bgra = np.dstack([rgb[..., ::-1], np.zeros((3, 5), np.uint8)])
    cv2.imwrite(str(tmp_path / 'alpha.png'), bgra)
    np.testing.assert_array_equal(read_image(tmp_path / 'alpha.png'), rgb)
    cv2.imwrite(str(tmp_path / 'grey.png'), rgb[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / 'grey.png'), 200)
    cv2.imwrite(str(tmp_path / 'deep.png'), rgb[..., 0].astype(np.uint16) * 256)
    np.testing.assert_array_equal(read_image(tmp_path / 'deep.png'), 200)


def test_unreadable_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'none.png: cannot be read \(No such file'):
        read_image(tmp_path / 'none.png')
    for name, content in (('empty.png', b''), ('text.png', b'not an image')):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f'{name}: is no image'):
            read_image(tmp_path / name)
    with pytest.raises(InputError, match='cannot be read'):
        read_image(tmp_path)


def _turned(path: Path, image: np.ndarray, orientation: int) -> None:
    """Write an image with an EXIF orientation."""
    exif = b'II*\0\x08\0\0\0' + struct.pack('<HHHII', 1, 0x0112, 3, 1, orientation) + bytes(4)
    content = cv2.imencode(path.suffix, image)[1].tobytes()
    if path.suffix == '.jpg':
        segment = b'Exif\0\0' + exif
        head = b'\xff\xe1' + struct.pack('>H', len(segment) + 2) + segment
        content = content[:2] + head + content[2:]
    else:
        chunk = b'eXIf' + exif
        head = struct.pack('>I', len(exif)) + chunk + struct.pack('>I', zlib.crc32(chunk))
        content = content[:33] + head + content[33:]  # after IHDR
    path.write_bytes(content)


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize('ending', ['.jpg', '.png'])
def test_an_orientation_for_viewers_turns_no_pixels(
    tmp_path: Path, ending: str, orientation: int
) -> None:
    image = np.zeros((16, 40, 3), np.uint8)
    image[:8, :20] = 255
    path = tmp_path / f'image{ending}'
    _turned(path, image, orientation)
    found = read_image(path)
    assert found.shape == image.shape
    assert np.abs(found.astype(int) - image).max() < 40  # JPEG's own errors
    if ending == '.png' and cv2.__version__ < '4.6':
        return  # it does not know the tag of a PNG
    # The tag is one that OpenCV obeys by itself.
    assert (cv2.imread(str(path)).shape == (40, 16, 3)) == (orientation > 4)


@pytest.mark.parametrize('ending', ['.jpg', '.png'])
@pytest.mark.parametrize('share', [0.5, 0.9])
def test_an_image_that_is_cut_short_is_named(tmp_path: Path, ending: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    content = cv2.imencode(ending, noise)[1].tobytes()
    path = tmp_path / f'cut{ending}'
    path.write_bytes(content + b'behind the end')
    assert read_image(path).shape == noise.shape
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=f'cut{ending}: is '):
        read_image(path)


def test_npy_is_the_disparity(tmp_path: Path, frame: StereoFrame, result: StereoResult) -> None:
    write_result(tmp_path / 'out.npy', frame, result)
    stored = np.load(tmp_path / 'out.npy', allow_pickle=False)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, result.disparity_px)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    disparity=arrays.arrays(
        np.float32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(width=32)
    )
)
def test_pfm_round_trip(tmp_path: Path, disparity: np.ndarray) -> None:
    write_pfm(tmp_path / 'out.pfm', disparity)
    stored = cv2.imread(str(tmp_path / 'out.pfm'), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(stored, np.where(np.isnan(disparity), np.inf, disparity))


def test_ply_holds_points_in_metres_with_colours(
    tmp_path: Path, frame: StereoFrame, result: StereoResult
) -> None:
    write_result(tmp_path / 'out.ply', frame, result)
    header, body = (tmp_path / 'out.ply').read_bytes().split(b'end_header\n')
    assert header.startswith(b'ply\nformat binary_little_endian 1.0\n')
    assert b'element vertex 23\n' in header
    vertices = np.frombuffer(body, [('xyz', '<f4', 3), ('rgb', 'u1', 3)])
    assert len(vertices) == 23, 'the unknown pixel has no point'
    # Row 1, column 2 is the ninth pixel: f T / d = 50 / 25 = 2 m.
    np.testing.assert_allclose(vertices['xyz'][8], [2 * (2 - 3) / 500, 2 * (1 - 2) / 500, 2.0])
    np.testing.assert_array_equal(vertices['rgb'][8], frame.left[1, 2])


def test_png_is_coloured_by_disparity(
    tmp_path: Path, frame: StereoFrame, result: StereoResult
) -> None:
    write_result(tmp_path / 'out.png', frame, result)
    image = read_image(tmp_path / 'out.png')
    assert image.shape == (4, 6, 3)
    assert image[3, 5].tolist() == [0, 0, 0]
    red, _, blue = image[1, 2].astype(int)
    assert red > blue, 'near is red'
    assert image[0, 0, 2] > image[0, 0, 0], 'far is blue'


def test_colours_span_the_given_range() -> None:
    values = np.array([[0.0, 5.0, 10.0, np.inf, np.nan]], np.float32)
    image = colorize(values, 0.0, 10.0)
    turbo = cv2.applyColorMap(np.array([[0, 128, 255]], np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    np.testing.assert_array_equal(image[:, :3], turbo)
    np.testing.assert_array_equal(image[:, 3:], 0)
    np.testing.assert_array_equal(colorize(np.full((2, 2), np.nan, np.float32)), 0)


def test_outputs_are_refused_before_any_work(tmp_path: Path, frame: StereoFrame) -> None:
    with pytest.raises(InputError, match=r'out.gif: unknown ending; choose one of \.npy, \.pfm'):
        check_output(tmp_path / 'out.gif', None)
    with pytest.raises(InputError, match=r'there is no folder .*missing'):
        check_output(tmp_path / 'missing' / 'out.png', None)
    (tmp_path / 'folder.png').mkdir()
    with pytest.raises(InputError, match=r'folder\.png: is a folder; name a file'):
        check_output(tmp_path / 'folder.png', None)
    with pytest.raises(CalibrationError, match='--calib'):
        check_output(tmp_path / 'out.ply', None)
    check_output(tmp_path / 'out.ply', frame.calibration)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / 'out.npy'
    target.write_bytes(b'old')
    with pytest.raises(RuntimeError, match='half way'), atomic(target) as file:
        file.write(b'new')
        raise RuntimeError('half way')
    assert target.read_bytes() == b'old'
    assert list(tmp_path.iterdir()) == [target]


def test_where_a_link_leads_is_written(tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir()
    target, link = tmp_path / 'elsewhere' / 'target.npy', tmp_path / 'link.npy'
    link.symlink_to(target)
    for value in (1.0, 2.0):  # a link to nothing, then to a file
        write_npy(link, np.full((2, 3), value, np.float32))
        assert link.is_symlink()
        assert np.load(target)[0, 0] == value
    assert sorted(path.name for path in tmp_path.rglob('*')) == [
        'elsewhere', 'link.npy', 'target.npy',
    ]  # fmt: skip


@pytest.mark.parametrize('linked', [False, True])
def test_a_pipe_takes_what_is_written_and_stays(tmp_path: Path, linked: bool) -> None:
    pipe, link = tmp_path / 'pipe', tmp_path / 'link'
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with subprocess.Popen(['cat', pipe], stdout=subprocess.PIPE) as reader:
        with atomic(link if linked else pipe) as file:
            file.write(b'content')
        assert reader.communicate(timeout=60)[0] == b'content'
    assert pipe.is_fifo() and link.is_symlink()


def test_standard_output_is_written_through(tmp_path: Path) -> None:
    code = (
        'from pathlib import Path\nfrom dtp_stereo_ros.image_io import atomic\n'
        "with atomic(Path('/dev/stdout')) as file: file.write(b'content')"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)
    assert done.stdout == b'content'


def test_written_files_have_ordinary_permissions(
    tmp_path: Path, frame: StereoFrame, result: StereoResult
) -> None:
    plain = tmp_path / 'plain'
    plain.touch()
    write_result(tmp_path / 'out.npy', frame, replace(result))
    assert (tmp_path / 'out.npy').stat().st_mode == plain.stat().st_mode


def test_opencv_is_silenced_whatever_its_version(capfd: pytest.CaptureFixture[str]) -> None:
    """The function has one name below OpenCV 4.13 and another from there on."""
    log = cv2 if hasattr(cv2, 'setLogLevel') else cv2.utils.logging
    before = log.getLogLevel()
    log.setLogLevel(3)
    try:
        silence_opencv()
        assert log.getLogLevel() == 0
        assert cv2.imread('/no/such/image.png') is None
    finally:
        log.setLogLevel(before)
    assert capfd.readouterr().err == ''
