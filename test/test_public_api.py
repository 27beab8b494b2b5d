"""The names at the top of the package, and the README's example of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import dtp_stereo_ros
from dtp_stereo_ros import (
    PipelineConfig,
    StereoCalibration,
    StereoFrame,
    StereoPipeline,
    config,
    image_io,
    pipeline,
    read_image,
    stereo,
)

_README = Path(__file__).parents[1] / 'README.md'
_BLOCKED = ('rclpy', 'sensor_msgs', 'stereo_msgs', 'message_filters', 'torch')


def _python(code: str, folder: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, cwd=folder, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def _blocking() -> str:
    return f'import sys\nfor name in {_BLOCKED!r}: sys.modules[name] = None\n'


def test_the_names_are_those_of_the_modules() -> None:
    assert PipelineConfig is config.PipelineConfig
    assert StereoPipeline is pipeline.StereoPipeline
    assert (StereoCalibration, StereoFrame) == (stereo.StereoCalibration, stereo.StereoFrame)
    assert read_image is image_io.read_image
    assert set(dtp_stereo_ros.__all__) <= set(dir(dtp_stereo_ros))
    with pytest.raises(AttributeError, match='StereoPipelin'):
        dtp_stereo_ros.StereoPipelin  # noqa: B018


def test_the_import_loads_no_library() -> None:
    code = (
        'import sys, dtp_stereo_ros\n'
        "print([name for name in ('numpy', 'cv2', 'torch', 'yaml') if name in sys.modules])"
    )
    assert _python(code).strip() == '[]'


def test_all_names_import_without_ros_and_pytorch() -> None:
    _python(_blocking() + f'from dtp_stereo_ros import {", ".join(dtp_stereo_ros.__all__)}')


def test_the_example_of_the_readme_runs(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    (example,) = re.findall(r'```python\n(.*?)```', _README.read_text(encoding='utf-8'), re.DOTALL)
    assert 'from dtp_stereo_ros import' in example
    rng = np.random.default_rng(0)
    texture = cv2.resize(rng.integers(0, 255, (40, 70, 3)).astype(np.uint8), (280, 160))
    cv2.imwrite(str(tmp_path / 'left.png'), texture[:, :256])
    cv2.imwrite(str(tmp_path / 'right.png'), texture[:, 12:268])
    shown = _python(
        _blocking() + example + '\nimport numpy as np\nprint(np.nanmedian(disparity_px))', tmp_path
    )
    assert float(shown) == pytest.approx(12, abs=0.5)
