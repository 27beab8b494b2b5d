"""What a compressed image says of its size is believed only within bounds."""

from __future__ import annotations

import array
import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages import images
from dtp_stereo_ros.messages.compressed_images import declared_size, decompress


def encoded(ending: str, width: int, height: int, *flags: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return bytes(cv2.imencode(ending, pixels, flags)[1].tobytes())


def message(data: bytes) -> CompressedImage:
    return CompressedImage(format='x', data=array.array('B', data))


# OpenCV 4.5.4 takes no colour image of one pixel.
@given(st.integers(2, 70), st.integers(1, 70), st.sampled_from(['.png', '.jpg']), st.booleans())
def test_size_is_read_from_the_header(
    width: int, height: int, ending: str, progressive: bool
) -> None:
    flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1) if ending == '.jpg' and progressive else ()
    data = encoded(ending, width, height, *flags)
    assert declared_size(data) == (width, height)
    assert decompress(message(data), 'topic').shape == (height, width, 3)


def test_a_few_bytes_cannot_ask_for_gigabytes() -> None:
    bomb = bytearray(encoded('.png', 8, 8))
    for size in (30_000, 4_000):
        bomb[16:24] = struct.pack('>II', size, size)
        with pytest.raises(InputError, match=rf'topic: .* says that it has {size}x{size} pixels'):
            decompress(message(bytes(bomb)), 'topic')
    black = np.zeros((3000, 4000), np.uint8)
    data = cv2.imencode('.png', black)[1].tobytes()
    assert decompress(message(bytes(data)), 'topic').shape == (3000, 4000, 3)


@given(st.integers(0, 3), st.integers(0, 255), st.integers(0, 1))
def test_chunks_of_a_png_lie_within_it(chunk: int, value: int, byte: int) -> None:
    """OpenCV would allocate the 4 GB that a chunk says it has."""
    data = bytearray(encoded('.png', 8, 8))
    place = 8
    lengths = []
    while place < len(data):
        lengths.append(place)
        place += 12 + int.from_bytes(data[place : place + 4], 'big')
    place = lengths[chunk % len(lengths)]
    before = int.from_bytes(data[place : place + 4], 'big')
    data[place + byte] = value
    after = int.from_bytes(data[place : place + 4], 'big')
    if after > before:
        with pytest.raises(InputError, match=r'topic: .* is cut off or damaged'):
            decompress(message(bytes(data)), 'topic')


def test_cut_png() -> None:
    data = encoded('.png', 8, 8)
    for size in (34, 40, len(data) - 1):
        with pytest.raises(InputError, match=r'topic: .* is cut off or damaged'):
            decompress(message(data[:size]), 'topic')
    assert decompress(message(data + b'padding'), 'topic').shape == (8, 8, 3)


def test_raw_images_are_bounded_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, 'MAX_PIXELS', 100)
    raw = Image(width=101, height=1, encoding='mono8', step=101)
    raw.data = array.array('B', bytes(101))
    with pytest.raises(InputError, match='topic: 101x1 mono8 image is larger than any camera'):
        images.to_rgb(raw, 'topic')


@pytest.mark.parametrize('ending', ['.tiff', '.bmp', '.webp'])
def test_other_formats_are_refused(ending: str) -> None:
    with pytest.raises(InputError, match='neither JPEG nor PNG'):
        decompress(message(encoded(ending, 16, 16)), 'topic')


@given(
    st.sampled_from(['.png', '.jpg']),
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=6),
    st.integers(0, 4000),
)
def test_damage_is_refused_in_one_line_or_decodes(
    ending: str, flips: list[tuple[int, int]], length: int
) -> None:
    data = bytearray(encoded(ending, 20, 12)[:length])
    for place, value in flips:
        if place < len(data):
            data[place] = value
    try:
        image = decompress(message(bytes(data)), 'topic')
    except InputError as error:
        assert str(error).startswith('topic: ')
        assert '\n' not in str(error)
    else:
        assert image.ndim == 3 and image.dtype == np.uint8
