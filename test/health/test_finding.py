"""Findings and the line that a log has of them."""

from __future__ import annotations

import numpy as np
import pytest

from dtp_stereo_ros.health.brightness import BrightnessCheck
from dtp_stereo_ros.health.finding import Finding, from_line


def test_a_line_becomes_text_and_mend_and_back() -> None:
    line = 'K is zero; Tx, too; run the calibrator'
    found = from_line('error', 'calibration', line)
    assert found == Finding('error', 'calibration', 'K is zero; Tx, too', 'run the calibrator')
    assert found.line == line
    alone = from_line('warn', 'image', 'no mend here')
    assert (alone.text, alone.mend, alone.line) == ('no mend here', '', 'no mend here')


@pytest.mark.parametrize(
    ('encoding', 'brightest', 'said'),
    [('mono16', 16, True), ('bayer_rggb16', 15, True), ('mono16', 17, False), ('', 3, False)],
)
def test_twelve_bits_in_sixteen(encoding: str, brightest: int, said: bool) -> None:
    check = BrightnessCheck(images=3)
    image = np.zeros((20, 30, 3), np.uint8)
    image[4, 5] = brightest
    assert check.look(image, encoding, '/l') == check.look(image, encoding, '/l') == []
    found = check.look(image, encoding, '/l')
    assert len(found) == said
    if said:
        assert found[0].text.startswith(f'/l: no pixel of {encoding} is above 4095')
        image[4, 5] = 200
        assert check.look(image, encoding, '/l') == []
        image[4, 5] = 3
        assert check.look(image, encoding, '/l') == []  # three in a row again
