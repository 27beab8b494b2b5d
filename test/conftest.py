"""Settings and fixtures shared by all tests, and the place of the development data."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import hypothesis
import numpy as np
import pytest

from dtp_stereo_ros.backends import speed_files
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

# No deadline: a busy machine is not a failure. The same examples every time in CI.
hypothesis.settings.register_profile('local', deadline=None)
hypothesis.settings.register_profile('ci', deadline=None, derandomize=True)
hypothesis.settings.load_profile('ci' if os.environ.get('CI') else 'local')

# Folders of which no test runs without a package.
collect_ignore: list[str] = []
if importlib.util.find_spec('torch') is None:
    collect_ignore += ['network', 'training']

# One ROS domain of this machine for the session.
HAS_ROS = importlib.util.find_spec('rclpy') is not None
if HAS_ROS:
    # Before rclpy is imported: DDS reads its environment once per process.
    from dtp_stereo_ros.ros.harness.node_process import LARGE_MESSAGES_ENV, LOCAL_ENV, NodeProcess

    os.environ.update(LARGE_MESSAGES_ENV)
    os.environ.update(LOCAL_ENV)
    # None that a tool takes for itself, see `node_process.domain_of`, and not the same in two
    # processes that test side by side.
    worker = os.environ.get('PYTEST_XDIST_WORKER')
    number = os.getppid() + 3 * int(worker.removeprefix('gw')) if worker else os.getpid()
    os.environ['ROS_DOMAIN_ID'] = str(81 + number % 20)
else:
    collect_ignore += ['messages', 'ros', 'tools', 'pairing/test_camera_infos.py']

_REPOSITORY = Path(__file__).resolve().parents[1]

MakeOnnx = Callable[..., Path]
MakeFrame = Callable[..., StereoFrame]

# What the files of `make_onnx` say about themselves.
METADATA = {
    'dtp_stereo.name': 'tiny',
    'dtp_stereo.padding_multiple': '16',
    'dtp_stereo.max_disparity_px': '64',
    'dtp_stereo.min_width_px': '32',
    'dtp_stereo.precision': 'fp32',
}


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Folder with real stereo data: `DTP_STEREO_DATA`, else ../shared/data; skips without."""
    root = Path(os.environ.get('DTP_STEREO_DATA') or _REPOSITORY.parent / 'shared' / 'data')
    if not root.is_dir():
        pytest.skip(f'no stereo data at {root}; set DTP_STEREO_DATA')
    return root


@pytest.fixture(scope='session')
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of times of backends, which spares most tests a measurement."""
    return tmp_path_factory.mktemp('cache')


@pytest.fixture(autouse=True)
def no_user_cache(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of backends are neither read from the user's cache nor written to it."""
    monkeypatch.setattr(speed_files, 'cache_folder', lambda name: session_cache / name)


@pytest.fixture
def empty_cache(no_user_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own: backends that have no times are started, and measured."""
    monkeypatch.setattr(speed_files, 'cache_folder', lambda name: tmp_path / 'cache' / name)
    return tmp_path / 'cache'


@pytest.fixture
def motorcycle_calibration() -> StereoCalibration:
    """Of scikit-image's Motorcycle pair: the principal points differ by 31 px."""
    return StereoCalibration(994.978, 994.978, 311.193, 342.279, 254.877, 0.193001, 741, 500)


@pytest.fixture
def make_frame() -> MakeFrame:
    """Make a textured pair whose raw disparity is the same everywhere."""

    def make(
        disparity_px: int,
        size: tuple[int, int] = (120, 320),
        calibration: StereoCalibration | None = None,
        seed: int = 0,
    ) -> StereoFrame:
        height, width = size
        noise = np.random.default_rng(seed).uniform(0, 255, (height, width + disparity_px, 3))
        texture = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 1.5)
        texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        # The right camera sees everything further to the left: x_right = x_left - disparity.
        return StereoFrame(
            np.ascontiguousarray(texture[:, :width]),
            np.ascontiguousarray(texture[:, disparity_px:]),
            calibration=calibration,
        )

    return make


@pytest.fixture
def make_onnx(tmp_path: Path) -> MakeOnnx:
    """Write an .onnx whose answer is known.

    Disparity is a quarter of the left image's mean channel; confidence is the right image's mean
    channel over 255. Mixed up sides, channels or sizes are seen in the numbers.
    """
    onnx = pytest.importorskip('onnx', reason='makes the model of this test')
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT

    def make(
        name: str = 'tiny.onnx',
        metadata: dict[str, str] | None = None,
        size: Sequence[int | str] = ('H', 'W'),
        outputs: Sequence[str] = ('disparity', 'confidence'),
        inputs: Sequence[str] = ('left', 'right'),
    ) -> Path:
        nodes, values = [], []
        for source, target, factor in zip(inputs, outputs, (0.25, 1 / 255), strict=False):
            mean, scale = f'mean_{target}', f'scale_{target}'
            nodes.append(helper.make_node('ReduceMean', [source], [mean], axes=[1], keepdims=1))
            nodes.append(helper.make_node('Mul', [mean, scale], [target]))
            values.append(helper.make_tensor(scale, kind, [1], [factor]))
        graph = helper.make_graph(
            nodes,
            'tiny',
            [helper.make_tensor_value_info(i, kind, [1, 3, *size]) for i in inputs],
            [helper.make_tensor_value_info(o, kind, [1, 1, *size]) for o in outputs],
            values,
        )
        model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid('', 13)])
        helper.set_model_props(model, METADATA if metadata is None else metadata)
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make


@pytest.fixture(scope='session')
def ray() -> Iterator[Any]:
    """A real Ray of two workers on this machine."""
    module = pytest.importorskip('ray')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('RAY_USAGE_STATS_ENABLED', '0')
        # Its workers find the modules of the tests.
        patch.setenv('PYTHONPATH', os.pathsep.join(filter(None, sys.path)))
        module.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield module
    module.shutdown()


def pytest_report_header() -> str:
    """Say why tests are missing, where they are."""
    if HAS_ROS:
        return f'ROS domain {os.environ["ROS_DOMAIN_ID"]}'
    return (
        'tests with ROS are left out: rclpy is not installed (pip install "dtp_stereo[ros]", or '
        'ROS 2)'
    )


@pytest.fixture(scope='session')
def ros() -> Iterator[None]:
    """An initialised rclpy."""
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture
def node(ros: None) -> Iterator[Any]:
    """A plain node to publish and subscribe with."""
    from rclpy.node import Node

    made = Node('tester')
    yield made
    made.destroy_node()


@pytest.fixture
def start_depth_node(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Start `depth_node` with SGBM; at the end it must obey SIGINT with exit code 0."""
    started: list[NodeProcess] = []

    def start(remaps: Mapping[str, str] | None = None, **parameters: Any) -> NodeProcess:
        defaults = {'backend': 'sgbm', 'disparity_range': 64, 'diagnostics_period': 0.2}
        log = tmp_path / f'node{len(started)}.log'
        process = NodeProcess({**defaults, **parameters}, remaps or {}, log)
        process.__enter__()
        started.append(process)
        return process

    yield start
    for process in started:
        assert process.stop() == 0, process.output()
