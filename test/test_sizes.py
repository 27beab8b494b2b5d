"""Sizes as users write them."""

import pytest

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.sizes import parse_size


def test_numbers_come_as_they_are_written():
    assert parse_size('640x480', '--size', 'WIDTHxHEIGHT') == (640, 480)
    assert parse_size('160X512', '--sizes', 'HEIGHTxWIDTH', 32) == (160, 512)


@pytest.mark.parametrize(
    'text', ['', '640', '640x', '640x480x3', '0x480', '-1x5', '640x9000', 'axb']
)
def test_what_is_no_size_is_named(text):
    with pytest.raises(ConfigError) as caught:
        parse_size(text, '--size', 'WIDTHxHEIGHT')
    assert str(caught.value) == f'--size: {text!r} is not WIDTHxHEIGHT, for example 640x480'


def test_multiples():
    with pytest.raises(ConfigError, match='--sizes: 30x64 must be multiples of 32'):
        parse_size('30x64', '--sizes', 'HEIGHTxWIDTH', 32)
