"""A pair of image files that is typed, as `infer` and `view` take it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from ..calibration_io import read_calibration
from ..health.brightness import BrightnessCheck
from ..health.view_check import pair_findings
from ..image_io import has_16_bits, read_pair
from ..stereo import StereoFrame


def read_given_pair(left: Path, right: Path, calib: str | None) -> StereoFrame:
    """The pair with its calibration; what looks wrong of the views is told on stderr.

    Args:
        left, right: images.
        calib: value of --calib.

    Raises:
        InputError: an image cannot be read, or the sizes differ.
        CalibrationError: the calibration cannot be used.
    """
    frame = read_pair(left, right)
    if calib:
        size_px = frame.width_px, frame.height_px
        frame = replace(frame, calibration=read_calibration(calib, size_px, left))
    findings = pair_findings(frame, str(left), str(right))
    for path, image in ((left, frame.left), (right, frame.right)):
        dark = BrightnessCheck(images=1).look(image, 'the file', str(path))
        findings += dark if dark and has_16_bits(path) else []
    for finding in findings:
        print(f'warning: {finding.line}', file=sys.stderr)
    return frame
