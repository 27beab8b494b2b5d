"""Every encoding of the design page against pixels laid out by hand."""

from __future__ import annotations

import array
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.images import ENCODINGS, sixteen_bits, to_image, to_rgb
from dtp_stereo_ros.ros.message_types import ROS_TYPES

TOPIC = '/left/image_rect'


def image(pixels: np.ndarray, encoding: str, padding: int = 0, big_endian: bool = False) -> Image:
    """Build a message byte by byte, without our own `to_image`."""
    if big_endian:
        pixels = pixels.astype(pixels.dtype.newbyteorder('>'))
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    msg = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    msg.step = rows.shape[1]
    msg.is_bigendian = int(big_endian)
    msg.data = array.array('B', rows.tobytes())
    return msg


def random_pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(
    seed=st.integers(0, 2**16),
    height=st.integers(1, 9),
    width=st.integers(2, 9),  # OpenCV 4.5.4 takes no colour image of one pixel
    padding=st.integers(0, 5),
)
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('rgb8', [0, 1, 2]),
        ('bgr8', [2, 1, 0]),
        ('8UC3', [2, 1, 0]),
        ('rgba8', [0, 1, 2]),
        ('bgra8', [2, 1, 0]),
        ('8UC4', [2, 1, 0]),
    ],
)
def test_colour(
    encoding: str, order: list[int], seed: int, height: int, width: int, padding: int
) -> None:
    pixels = random_pixels(seed, height, width, 4 if 'a' in encoding or '4' in encoding else 3)
    rgb = to_rgb(image(pixels, encoding, padding), TOPIC)
    assert rgb.dtype == np.uint8 and rgb.flags.c_contiguous
    assert np.array_equal(rgb, pixels[..., order])


@given(seed=st.integers(0, 2**16), width=st.integers(1, 9), padding=st.integers(0, 5))
@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey(encoding: str, seed: int, width: int, padding: int) -> None:
    pixels = random_pixels(seed, 4, width)
    rgb = to_rgb(image(pixels, encoding, padding), TOPIC)
    assert np.array_equal(rgb, np.repeat(pixels[..., None], 3, axis=2))


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
def test_grey_of_16_bits_uses_the_whole_range(encoding: str, big_endian: bool) -> None:
    # Others where the bytes are exchanged.
    pixels = np.array([[0x0040, 0x0141, 0x80C0, 0xFFBF]], np.uint16)
    rgb = to_rgb(image(pixels, encoding, padding=2, big_endian=big_endian), TOPIC)
    assert rgb[0, :, 0].tolist() == [0, 1, 128, 255]
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


@pytest.mark.parametrize('big_endian', [False, True])
@pytest.mark.parametrize(
    ('encoding', 'order'),
    [
        ('rgb16', [0, 1, 2]),
        ('bgr16', [2, 1, 0]),
        ('16UC3', [2, 1, 0]),
        ('rgba16', [0, 1, 2]),
        ('bgra16', [2, 1, 0]),
        ('16UC4', [2, 1, 0]),
    ],
)
def test_colour_of_16_bits(encoding: str, order: list[int], big_endian: bool) -> None:
    narrow = random_pixels(5, 3, 7, 4 if 'a' in encoding or '4' in encoding else 3)
    pixels = (narrow.astype(np.uint16) << 8) | (narrow ^ 64)
    rgb = to_rgb(image(pixels, encoding, padding=6, big_endian=big_endian), TOPIC)
    assert np.array_equal(rgb, narrow[..., order])


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_of_one_colour(pattern: str, bits: int) -> None:
    value = {'r': 200, 'g': 100, 'b': 50}
    tile = np.array([value[c] for c in pattern], np.uint8).reshape(2, 2)
    if bits == 16:
        tile = tile.astype(np.uint16) * 257
    rgb = to_rgb(image(np.tile(tile, (4, 5)), f'bayer_{pattern}{bits}', padding=4), TOPIC)
    assert rgb.shape == (8, 10, 3)
    assert np.array_equal(rgb[2:-2, 2:-2], np.full((4, 6, 3), [200, 100, 50]))


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')],
)
def test_yuv422(encoding: str, order: str) -> None:
    """BT.601: (Y, U, V) = (81, 90, 240) is red, (16, 128, 128) black, (235, 128, 128) white."""
    columns = []
    for y, u, v in ((81, 90, 240), (16, 128, 128), (235, 128, 128)):
        values = {'y': y, 'u': u, 'v': v}
        columns += [values[c] for c in order]
    pixels = np.array(columns, np.uint8).reshape(1, 6, 2)
    rgb = to_rgb(image(pixels, encoding, padding=1), TOPIC).astype(int)
    expected = np.repeat([[254, 0, 0], [0, 0, 0], [255, 255, 255]], 2, axis=0)[None]
    assert np.abs(rgb - expected).max() <= 2


# (Y, U, V) of BT.601 with limited range.
RED, BLACK, WHITE, BLUE = (81, 90, 240), (16, 128, 128), (235, 128, 128), (41, 240, 110)


@pytest.mark.parametrize('encoding', ['nv12', 'nv21', 'nv24'])
def test_planes_of_luma_and_chroma(encoding: str) -> None:
    """Blocks of 2 x 2 px of one colour; the chroma of nv21 is V first."""
    blocks = np.array([[RED, BLACK, WHITE], [BLUE, WHITE, RED]], np.uint8)
    whole = blocks.repeat(2, axis=0).repeat(2, axis=1)
    chroma = (whole if encoding == 'nv24' else blocks)[..., 1:]
    if encoding == 'nv21':
        chroma = chroma[..., ::-1]
    rows = np.concatenate((whole[..., 0], np.ascontiguousarray(chroma).reshape(-1, 6)))
    padding = 0 if encoding == 'nv24' else 5
    msg = image(rows, encoding, padding)
    msg.height = 4
    rgb = to_rgb(msg, TOPIC).astype(int)
    colours = {RED: (254, 0, 0), BLACK: (0, 0, 0), WHITE: (255, 255, 255), BLUE: (0, 0, 254)}
    expected = np.array([[colours[tuple(map(int, p))] for p in row] for row in whole])
    assert np.abs(rgb - expected).max() <= 2


def test_planes_that_do_not_fit_are_named() -> None:
    odd = image(random_pixels(0, 6, 6), 'nv12')
    odd.height = 3
    with pytest.raises(InputError, match='odd height'):
        to_rgb(odd, TOPIC)
    short = image(random_pixels(0, 5, 6), 'nv21')
    short.height = 4
    with pytest.raises(InputError, match=r'expected step x height x 1\.5 = 36'):
        to_rgb(short, TOPIC)
    padded = image(random_pixels(0, 12, 6), 'nv24', padding=2)
    padded.height = 4
    with pytest.raises(InputError, match='padded rows'):
        to_rgb(padded, TOPIC)


@pytest.mark.parametrize('encoding', ['8SC1', '16SC1', '32SC1', '32FC1', '64FC1', '8UC2', 'h264'])
def test_what_is_no_picture_is_refused_by_name(encoding: str) -> None:
    with pytest.raises(InputError, match=f"{TOPIC}: encoding '{encoding}' is not supported"):
        to_rgb(image(random_pixels(0, 4, 6), encoding), TOPIC)


def test_all_encodings_of_the_design_are_there() -> None:
    wanted = {
        'mono8',
        'mono16',
        '8UC1',
        '16UC1',
        'rgb8',
        'bgr8',
        'rgba8',
        'bgra8',
        '8UC3',
        'bayer_rggb8',
        'bayer_bggr8',
        'bayer_gbrg8',
        'bayer_grbg8',
        'yuv422',
        'yuv422_yuy2',
    }
    assert wanted <= set(ENCODINGS)


def changed(**fields: Any) -> Image:
    msg = image(random_pixels(0, 4, 6, 3), 'rgb8')
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ('msg', 'text'),
    [
        (changed(encoding='32FC1'), "encoding '32FC1' is not supported, use one of mono8"),
        (changed(encoding=''), "encoding '' is not supported"),
        (changed(width=0), '0x4 rgb8 image is empty'),
        (changed(height=0, data=array.array('B')), '6x0 rgb8 image is empty'),
        (changed(step=17), 'step 17, a row takes 18 bytes'),
        (changed(data=array.array('B', bytes(71))), '71 bytes of data, expected step x height'),
        (changed(height=5), '72 bytes of data, expected step x height = 90'),
        (changed(encoding='yuv422', width=5), 'odd width'),
        (changed(height=2**32 - 1, width=2**31), 'step 18'),
    ],
)
def test_faults_are_one_line_that_names_the_topic(msg: Image, text: str) -> None:
    with pytest.raises(InputError) as caught:
        to_rgb(msg, TOPIC)
    assert str(caught.value).startswith(f'{TOPIC}: ')
    assert text in str(caught.value)
    assert '\n' not in str(caught.value)


def compressed(pixels_bgr: np.ndarray, ending: str) -> CompressedImage:
    done, data = cv2.imencode(ending, pixels_bgr)
    assert done
    return CompressedImage(format=ending[1:], data=array.array('B', data.tobytes()))


def test_png_is_exact_and_jpeg_is_close() -> None:
    smooth = cv2.GaussianBlur(random_pixels(1, 40, 60, 3), (0, 0), 5)
    assert np.array_equal(to_rgb(compressed(smooth, '.png'), TOPIC), smooth[..., ::-1])
    jpeg = to_rgb(compressed(smooth, '.jpg'), TOPIC).astype(int)
    assert np.abs(jpeg - smooth[..., ::-1]).mean() < 4


def test_grey_png_becomes_three_channels() -> None:
    grey = random_pixels(2, 5, 7)
    assert np.array_equal(
        to_rgb(compressed(grey, '.png'), TOPIC), np.repeat(grey[..., None], 3, axis=2)
    )


@pytest.mark.parametrize('bits', [8, 16])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_compressed_mosaics_are_those_of_raw_images(bits: int, pattern: str) -> None:
    """The compressed plug-in of image_transport names the encoding of the raw image."""
    pixels = random_pixels(4, 12, 20)
    pixels = pixels if bits == 8 else pixels.astype(np.uint16) * 257
    encoding = f'bayer_{pattern}{bits}'
    msg = compressed(pixels, '.png')
    msg.format = f'{encoding}; png compressed '
    raw = to_rgb(to_image(ROS_TYPES, pixels, encoding, Header()), TOPIC)
    np.testing.assert_array_equal(to_rgb(msg, TOPIC), raw)
    # Coloured before it was compressed, it is no mosaic any more.
    coloured = compressed(raw[..., ::-1], '.png')
    coloured.format = f'{encoding}; png compressed bgr8'
    np.testing.assert_array_equal(to_rgb(coloured, TOPIC), raw)


def test_images_of_16_bits_are_known() -> None:
    for encoding in ENCODINGS:
        wide = encoding.endswith('16') or encoding.startswith('16')
        assert sixteen_bits(Image(encoding=encoding)) == encoding * wide
    grey = random_pixels(2, 5, 7)
    assert sixteen_bits(compressed(grey.astype(np.uint16), '.png')) == 'the PNG'
    for msg in (compressed(grey, '.png'), compressed(grey, '.jpg'), CompressedImage(), Image()):
        assert sixteen_bits(msg) == ''


def test_a_compressed_mosaic_of_an_unknown_pattern_is_named() -> None:
    msg = compressed(random_pixels(4, 12, 20), '.png')
    msg.format = 'bayer_wrgb8; png compressed '
    with pytest.raises(InputError, match="format 'bayer_wrgb8; png compressed ' is not supported"):
        to_rgb(msg, TOPIC)


@pytest.mark.parametrize('data', [b'', b'no picture', b'\xff\xd8\xff\xe0 cut off'])
def test_broken_compressed_image_is_named(data: bytes) -> None:
    msg = CompressedImage(format='jpeg', data=array.array('B', data))
    with pytest.raises(InputError, match=f'^{TOPIC}: '):
        to_rgb(msg, TOPIC)


@given(seed=st.integers(0, 2**16), data=st.data())
def test_random_messages_decode_or_say_why(seed: int, data: st.DataObject) -> None:
    """No other exception, whatever the fields hold."""
    msg = Image(
        height=data.draw(st.integers(0, 6)),
        width=data.draw(st.integers(0, 6)),
        step=data.draw(st.integers(0, 30)),
        encoding=data.draw(st.sampled_from([*ENCODINGS, 'nonsense'])),
        is_bigendian=data.draw(st.integers(0, 255)),
    )
    size = data.draw(st.sampled_from([msg.step * msg.height, 0, 7]))
    msg.data = array.array('B', random_pixels(seed, size).tobytes())
    try:
        rgb = to_rgb(msg, TOPIC)
    except InputError as error:
        assert '\n' not in str(error)
    else:
        assert rgb.shape == (msg.height, msg.width, 3) and rgb.dtype == np.uint8


@given(seed=st.integers(0, 2**16), width=st.integers(1, 9))
def test_to_image_round_trip(seed: int, width: int) -> None:
    pixels = random_pixels(seed, 3, width, 3)
    msg = to_image(ROS_TYPES, pixels, 'rgb8', Header(frame_id='here'))
    assert (msg.header.frame_id, msg.step, msg.is_bigendian) == ('here', 3 * width, 0)
    assert np.array_equal(to_rgb(msg, TOPIC), pixels)
