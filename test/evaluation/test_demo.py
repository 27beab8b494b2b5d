"""The demo as a user runs it: a process that starts the node, and ends with it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from dtp_stereo_ros.evaluation import motorcycle

pytest.importorskip('rclpy', reason='the demo starts the ROS node')
pytest.importorskip('skimage', reason='brings the Motorcycle pair')

_PYTHON = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'demo', '--backend', 'sgbm']


def test_the_pair_has_its_known_size_offset_and_range() -> None:
    frame, truth_px = motorcycle.load()
    assert frame.calibration is not None
    assert frame.calibration.disparity_offset_px == pytest.approx(-31.086)
    assert truth_px.shape == frame.left.shape[:2] == (500, 741)
    assert np.isnan(truth_px).mean() == pytest.approx(0.0735, abs=1e-3)
    assert np.nanmin(truth_px) == pytest.approx(7.19, abs=0.01)
    assert np.nanmax(truth_px) == pytest.approx(59.91, abs=0.01)


@pytest.fixture(scope='module')
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """What a run of the demo printed, and its folder."""
    out = tmp_path_factory.mktemp('demo')
    command = [*_PYTHON, '--frames', '5', '-o', str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, out


def test_what_comes_through_the_node_is_what_the_pipeline_computes(
    demo: tuple[str, Path],
) -> None:
    printed, out = demo
    # EPE and bad-1/2/3 of the published disparity, to the printed digit, are SGBM's own.
    rows = dict(re.findall(r'^(depth_node|SGBM) +([\d. ]+)$', printed, re.MULTILINE))
    assert rows['depth_node'] == rows['SGBM']
    epe_px = float(rows['SGBM'].split()[0])
    assert epe_px == pytest.approx(1.38, abs=0.05)
    for name in ('left.png', 'disparity.png', 'error.png'):
        picture = cv2.imread(str(out / name))
        assert picture is not None, name
        assert picture.shape == (500, 741, 3), name


def test_the_cloud_is_metric_and_coloured(demo: tuple[str, Path]) -> None:
    header, _, body = (demo[1] / 'cloud.ply').read_bytes().partition(b'end_header\n')
    cloud = np.frombuffer(body, [('xyz', '<f4', 3), ('rgb', 'u1', 3)])
    assert f'element vertex {len(cloud)}'.encode() in header
    depth_m = cloud['xyz'][:, 2]
    # The truth of the pair: Z = f T / (d + 31.086 px) is 2.1 m to 5.0 m.
    assert np.percentile(depth_m, 1) == pytest.approx(2.15, abs=0.1)
    assert np.percentile(depth_m, 99) == pytest.approx(4.8, abs=0.2)
    # The tank is the reddest thing in it.
    red = cloud[(cloud['rgb'][:, 0] > 150) & (cloud['rgb'][:, 1:].max(axis=1) < 50)]
    assert len(red) > 1000
    assert np.median(red['xyz'][:, 2]) == pytest.approx(2.3, abs=0.2)


@pytest.mark.parametrize('ending', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_takes_the_node_with_it(tmp_path: Path, ending: int) -> None:
    command = [*_PYTHON, '--frames', '10000', '-o', str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        line = demo.stdout.readline()
        node = Path('/proc', re.search(r'process (\d+)', line)[1])
        assert node.is_dir()
        time.sleep(2.0)
        demo.send_signal(ending)
        demo.wait(30)
    assert demo.returncode == 130
    assert not node.exists()


def test_a_node_that_cannot_start_is_one_line_with_its_reason(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    done = subprocess.run(
        [*_PYTHON, '--backend', 'onnx', '--model', '/none.onnx', '-o', str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert 'the node ended with code 2; its last line:' in done.stderr
    assert '/none.onnx' in done.stderr
    assert done.stderr.count('\n') == 1
