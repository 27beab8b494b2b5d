"""The launch file, run by launch_ros: arguments become remaps, parameters and a namespace."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from sensor_msgs.msg import Image

from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables, validate
from dtp_stereo_ros.ros.services import Caller
from dtp_stereo_ros.ros.sync import SIDES

needs_launch = pytest.mark.skipif(
    importlib.util.find_spec('launch_ros') is None, reason='launch_ros is not installed'
)

_REPOSITORY = Path(__file__).resolve().parents[2]
_WAIT_S = 30.0
_PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
file, *arguments = sys.argv[1:]
service = LaunchService()
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[tuple(a.split(':=', 1)) for a in arguments])]))
sys.exit(service.run())
"""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An install prefix as colcon makes it, of this source tree."""
    root = tmp_path / 'prefix'
    (root / 'share/ament_index/resource_index/packages').mkdir(parents=True)
    (root / 'share/ament_index/resource_index/packages/dtp_stereo').touch()
    (root / 'share/dtp_stereo').mkdir()
    for folder in ('config', 'launch'):
        (root / 'share/dtp_stereo' / folder).symlink_to(_REPOSITORY / folder)
    executable = root / 'lib/dtp_stereo/depth_node'
    executable.parent.mkdir(parents=True)
    executable.write_text(
        f'#!{sys.executable}\n'
        'import os, pathlib, sys\nfrom dtp_stereo_ros.ros.depth_node import main\n'
        'profile = os.environ.get("FASTDDS_DEFAULT_PROFILES_FILE", "")\n'
        'pathlib.Path(os.environ["ROS_LOG_DIR"], "profile").write_text(profile)\n'
        'sys.exit(main())\n'
    )
    executable.chmod(0o755)
    return root


def parameters(names: list[str]) -> list[object]:
    with Caller(GetParameters, '/front/depth_node/get_parameters', _WAIT_S) as caller:
        values = caller.call(GetParameters.Request(names=names)).values
    return [v.string_value or v.double_value for v in values]


@contextmanager
def launched(prefix: Path, tmp_path: Path, arguments: list[str]) -> Iterator[None]:
    """The launch file with these arguments; at the end it must obey SIGINT."""
    environment = {
        **os.environ,
        'AMENT_PREFIX_PATH': f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", "")}',
        'PYTHONPATH': f'{_REPOSITORY}:{os.environ.get("PYTHONPATH", "")}',
        'ROS_LOG_DIR': str(tmp_path / 'log'),
    }
    (tmp_path / 'log').mkdir()
    launch_file = prefix / 'share/dtp_stereo/launch/depth.launch.py'
    command = [sys.executable, '-c', _PROGRAM, str(launch_file), *arguments]
    with subprocess.Popen(command, env=environment) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(_WAIT_S) == 0


def wait_for_subscriptions(node: Node, wanted: set[str]) -> None:
    """Of /front/depth_node."""
    deadline = time.monotonic() + _WAIT_S
    found: set[str] = set()
    while not wanted <= found:
        assert time.monotonic() < deadline, found
        if ('depth_node', '/front') in node.get_node_names_and_namespaces():
            topics = node.get_subscriber_names_and_types_by_node('depth_node', '/front')
            found = {name for name, _ in topics}
        time.sleep(0.1)


@pytest.mark.slow
@needs_launch
def test_arguments_reach_the_node(node: Node, prefix: Path, tmp_path: Path) -> None:
    settings = tmp_path / 'settings.yaml'
    settings.write_text('/**:\n  ros__parameters:\n    max_depth: 7.5\n    backend: auto\n')
    arguments = [
        'namespace:=front',
        f'params_file:={settings}',
        'backend:=sgbm',
        'left_image:=/cam/left',
        'right_info:=right/info',
        'large_messages:=true',
        'enclave:=/dtp_stereo/depth_node',
    ]
    # Somebody must listen, or the node does not subscribe to images.
    node.create_subscription(Image, '/front/depth/image', lambda _: None, 1)
    with launched(prefix, tmp_path, arguments):
        assert parameters(['max_depth', 'backend', 'model']) == [7.5, 'sgbm', 'dtpnet']
        wanted = {
            '/cam/left',
            '/front/left/camera_info',
            '/front/right/image_rect',
            '/front/right/info',
        }
        wait_for_subscriptions(node, wanted)
        outputs = node.get_publisher_names_and_types_by_node('depth_node', '/front')
        assert '/front/disparity' in {name for name, _ in outputs}
        enclaves = node.get_node_names_and_namespaces_with_enclaves()
        assert ('depth_node', '/front', '/dtp_stereo/depth_node') in enclaves
        profile = Path((tmp_path / 'log' / 'profile').read_text())
        assert profile == prefix / 'share/dtp_stereo/config/dds/fastdds_large_data.xml'
        assert profile.is_file()


@pytest.mark.slow
@needs_launch
def test_cameras_reach_the_node(node: Node, prefix: Path, tmp_path: Path) -> None:
    arguments = ['namespace:=front', 'backend:=sgbm', 'cameras:=near, far']
    wanted = {f'/front/{name}/{side}/camera_info' for name in ('near', 'far') for side in SIDES}
    with launched(prefix, tmp_path, arguments):
        wait_for_subscriptions(node, wanted)
        outputs = node.get_publisher_names_and_types_by_node('depth_node', '/front')
        assert {'/front/near/disparity', '/front/far/points2'} <= {name for name, _ in outputs}


def test_shipped_parameter_file_fits_the_node() -> None:
    """Every line of it, the commented ones too, is a setting with a valid value."""
    text = (_REPOSITORY / 'config/dtp_stereo.yaml').read_text()
    settings = {}
    for line in text.splitlines():
        match = re.match(r'    # (\w+): (\S+)', line)
        if match:
            settings[match[1]] = yaml.safe_load(match[2])
    assert len(settings) >= 8
    for cls in (PipelineConfig, NodeConfig):
        own = {name: settings.pop(name) for name in tunables(cls) if name in settings}
        own = {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}
        config = cls(**own)
        validate(config)
        assert config != cls()
    assert settings == {}
    assert yaml.safe_load(text) == {'/**': {'ros__parameters': {'use_sim_time': False}}}


def test_the_profile_is_well_formed_and_holds_a_cloud() -> None:
    root = ElementTree.parse(_REPOSITORY / 'config/dds/fastdds_large_data.xml').getroot()
    space = '{http://www.eprosima.com}'
    values = {e.tag.removeprefix(space): e.text for e in root.iter()}
    largest = 1280 * 720 * 32
    assert int(values['maxMessageSize'] or 0) > largest
    assert int(values['segment_size'] or 0) >= 4 * largest


@needs_launch
def test_a_missing_parameter_file_ends_the_launch(prefix: Path, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        'AMENT_PREFIX_PATH': f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", "")}',
        'ROS_LOG_DIR': str(tmp_path / 'log'),
    }
    launch_file = prefix / 'share/dtp_stereo/launch/depth.launch.py'
    command = [sys.executable, '-c', _PROGRAM, str(launch_file), 'params_file:=/nowhere.yaml']
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert 'params_file: there is no file /nowhere.yaml; check the path' in said
    assert 'process started' not in said
