"""What is installed, by pip and by colcon, and what the manifest promises."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import dtp_stereo_ros

REPOSITORY = Path(__file__).resolve().parents[1]
SOURCES = (
    'dtp_stereo_ros', 'launch', 'config', 'resource',
    'package.xml', 'setup.py', 'setup.cfg', 'pyproject.toml', 'README.md', 'LICENSE',
)  # fmt: skip
# Where `resource/models` holds no model yet, a file of this name stands in for it.
MODEL = 'packaging_test.onnx'
_RESOLVE = f'from dtp_stereo_ros import models; print(models.resolve({MODEL[:-5]!r}, [".onnx"]))'

ROS_PACKAGES = {
    'ament_index_python', 'builtin_interfaces', 'cv_bridge', 'diagnostic_msgs', 'launch',
    'launch_ros', 'message_filters', 'rcl_interfaces', 'rclpy', 'rosgraph_msgs', 'sensor_msgs',
    'std_msgs', 'std_srvs', 'stereo_msgs',
}  # fmt: skip

# Of the extras; package.xml has none of them.
_EXTRAS = (
    'accelerate', 'embreex', 'matplotlib', 'mcap', 'onnx', 'onnxruntime', 'openvino', 'ray',
    'rerun', 'rosbags', 'selenium', 'tensorboard', 'torch', 'torch_pruning', 'tqdm',
)  # fmt: skip


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what makes the package, so that builds leave nothing in the repository."""
    root = tmp_path_factory.mktemp('src') / 'dtp_stereo'
    root.mkdir()
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, root / name, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(path, root / name)
    (root / 'resource' / 'models').mkdir(exist_ok=True)
    (root / 'resource' / 'models' / MODEL).write_bytes(b'model')
    return root


@pytest.fixture(scope='module', params=['copied', 'linked'])
def colcon_prefix(request: pytest.FixtureRequest, source: Path) -> Path:
    """The prefix of a `colcon build`, plain and with --symlink-install."""
    if importlib.util.find_spec('colcon_core') is None:
        pytest.skip('colcon is not installed; pip install colcon-common-extensions')
    workspace = source.parent / request.param
    workspace.mkdir()
    command = [sys.executable, '-m', 'colcon', 'build', '--base-paths', str(source)]
    _run([*command, *['--symlink-install'] * (request.param == 'linked')], cwd=workspace)
    return workspace / 'install' / 'dtp_stereo'


@pytest.fixture(scope='module')
def wheel_prefix(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel in it."""
    root = tmp_path_factory.mktemp('wheel')
    pip = [sys.executable, '-m', 'pip']
    _run([*pip, 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', str(root), str(source)])
    (wheel,) = root.glob('dtp_stereo-*.whl')
    _run([sys.executable, '-m', 'venv', '--without-pip', str(root / 'venv')])
    python = root / 'venv' / 'bin' / 'python'
    _run([*pip, '--python', str(python), 'install', '-q', '--no-deps', '--no-index', str(wheel)])
    return root / 'venv'


def test_colcon_puts_everything_where_ros2_looks(colcon_prefix: Path) -> None:
    share = colcon_prefix / 'share'
    for path in (
        share / 'ament_index/resource_index/packages/dtp_stereo',
        share / 'dtp_stereo/package.xml',
        share / 'dtp_stereo/LICENSE',
        share / 'dtp_stereo/launch/depth.launch.py',
        share / 'dtp_stereo/config/dtp_stereo.yaml',
        share / 'dtp_stereo/config/rviz/depth.rviz',
        share / 'dtp_stereo/config/foxglove/dtp_stereo.json',
        share / 'dtp_stereo/config/presets/navigation.yaml',
        share / 'dtp_stereo/config/examples/oak.yaml',
        share / 'dtp_stereo/launch/examples/oak.launch.py',
        share / f'dtp_stereo/models/{MODEL}',
    ):
        assert path.is_file(), path
    for name in ('depth_node', 'dtp-stereo'):
        assert os.access(colcon_prefix / 'lib' / 'dtp_stereo' / name, os.X_OK), name


def test_the_executable_of_a_colcon_install_runs_and_finds_the_model(
    colcon_prefix: Path, source: Path
) -> None:
    sourced = ['bash', '-c', f'. {colcon_prefix.parent}/setup.bash && exec "$@"', 'bash']
    executable = colcon_prefix / 'lib' / 'dtp_stereo' / 'dtp-stereo'
    version = _run([*sourced, str(executable), '--version'], env=_environment())
    assert version == f'dtp-stereo {dtp_stereo_ros.__version__}'
    node = colcon_prefix / 'lib' / 'dtp_stereo' / 'depth_node'
    _starts([*sourced, str(node)])
    installed = colcon_prefix / 'share' / 'dtp_stereo' / 'models' / MODEL
    linked = source / 'resource' / 'models' / MODEL
    found = _run([*sourced, sys.executable, '-c', _RESOLVE], env=_environment())
    assert Path(found).resolve() == installed.resolve()
    assert (installed.resolve() == linked) == (colcon_prefix.parents[1].name == 'linked')


def test_ament_index_finds_a_colcon_install(
    colcon_prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(colcon_prefix))
    assert packages.get_package_share_directory('dtp_stereo') == str(
        colcon_prefix / 'share' / 'dtp_stereo'
    )


def test_a_wheel_in_a_fresh_environment_runs_and_finds_the_model(wheel_prefix: Path) -> None:
    environment = _environment()
    version = _run([str(wheel_prefix / 'bin' / 'dtp-stereo'), '--version'], env=environment)
    assert version == f'dtp-stereo {dtp_stereo_ros.__version__}'
    _starts([str(wheel_prefix / 'bin' / 'depth_node')])
    python = wheel_prefix / 'bin' / 'python'
    found = _run([str(python), '-c', _RESOLVE], env=environment)
    assert found == str(wheel_prefix / 'share' / 'dtp_stereo' / 'models' / MODEL)


def test_manifest_and_module_agree() -> None:
    manifest = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
    assert manifest.findtext('name') == 'dtp_stereo'
    assert manifest.findtext('version') == dtp_stereo_ros.__version__
    assert manifest.findtext('export/build_type') == 'ament_python'


def test_manifest_names_exactly_the_ros_packages_that_are_imported() -> None:
    manifest = ElementTree.parse(REPOSITORY / 'package.xml').getroot()
    declared = {str(element.text) for element in manifest.findall('exec_depend')}
    files = [*REPOSITORY.glob('dtp_stereo_ros/**/*.py'), *REPOSITORY.glob('launch/*.py')]
    imported = set().union(*(_imports(path) for path in files)) & ROS_PACKAGES
    assert declared & ROS_PACKAGES == imported


def test_tests_are_collected_with_the_packages_of_the_manifest_alone() -> None:
    """As `colcon test` has them after `rosdep install`."""
    code = f'import sys\nfor name in {_EXTRAS!r}: sys.modules[name] = None\n'
    code += (
        "import pytest\nsys.exit(pytest.main(['--collect-only', '-q', '-p', 'no:cacheprovider']))"
    )
    collected = _run([sys.executable, '-c', code], cwd=REPOSITORY)
    assert 'error' not in collected.splitlines()[-1]
    assert 'test/ros/test_node.py::' in collected or importlib.util.find_spec('rclpy') is None


def _starts(node: list[str]) -> None:
    """The node prints its help, as `ros2 run` starts it."""
    if importlib.util.find_spec('rclpy') is not None:
        assert _run([*node, '--help'], env=_environment()).startswith('usage: ')


def _imports(path: Path) -> set[str]:
    """Top-level names of all absolute imports of a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names.update(alias.name.split('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split('.')[0])
    return names


def _environment() -> dict[str, str]:
    """Environment in which the dependencies of this one, but not this checkout, are found."""
    return {
        **{k: v for k, v in os.environ.items() if k != 'DTP_STEREO_MODEL_PATH'},
        'PYTHONPATH': sysconfig.get_paths()['purelib'],
    }


def _run(command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    # Away from the repository, whose folder would otherwise be imported from.
    done = subprocess.run(
        command, env=env, cwd=cwd or Path(sys.prefix), capture_output=True, text=True
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
    return done.stdout.strip()
