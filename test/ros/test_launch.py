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

import numpy as np
import pytest
import yaml
from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from scene_bag import planes, write_scene_bag
from sensor_msgs.msg import Image

from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables, validate
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.ros.harness.player import FramePublisher
from dtp_stereo_ros.ros.launch_arguments import profile_variable
from dtp_stereo_ros.ros.service_caller import Caller
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

needs_launch = pytest.mark.skipif(
    importlib.util.find_spec('launch_ros') is None, reason='launch_ros is not installed'
)

_REPOSITORY = Path(__file__).resolve().parents[2]
_WAIT_S = 30.0
_PROGRAM = """
import os, sys
from launch import LaunchDescription, LaunchService
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import PushRosNamespace
file, *arguments = sys.argv[1:]
pushed = os.environ.get('PUSHED')
included = IncludeLaunchDescription(
    PythonLaunchDescriptionSource(file),
    launch_arguments=[tuple(a.split(':=', 1)) for a in arguments])
service = LaunchService()
service.include_launch_description(LaunchDescription([
    GroupAction([*([PushRosNamespace(pushed)] if pushed else []), included])]))
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
        'names = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")\n'
        'profiles = {n: os.environ[n] for n in names if n in os.environ}\n'
        'pathlib.Path(os.environ["ROS_LOG_DIR"], "profile").write_text(repr(profiles))\n'
        'sys.exit(main())\n'
    )
    executable.chmod(0o755)
    return root


def parameters(names: list[str]) -> list[object]:
    with Caller(GetParameters, '/front/depth_node/get_parameters', _WAIT_S) as caller:
        values = caller.call(GetParameters.Request(names=names)).values
    return [v.string_value or v.double_value for v in values]


def started(
    prefix: Path, tmp_path: Path, arguments: list[str], file: str = 'depth.launch.py'
) -> subprocess.Popen[str]:
    """A launch file as a process, with these arguments."""
    environment = {
        **os.environ,
        'AMENT_PREFIX_PATH': f'{prefix}:{os.environ.get("AMENT_PREFIX_PATH", "")}',
        'PYTHONPATH': f'{_REPOSITORY}:{os.environ.get("PYTHONPATH", "")}',
        'ROS_LOG_DIR': str(tmp_path / 'log'),
    }
    (tmp_path / 'log').mkdir()
    launch_file = prefix / 'share/dtp_stereo/launch' / file
    command = [sys.executable, '-c', _PROGRAM, str(launch_file), *arguments]
    with (tmp_path / 'launch.log').open('w') as log:
        return subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, text=True
        )


@contextmanager
def launched(
    prefix: Path, tmp_path: Path, arguments: list[str], file: str = 'depth.launch.py'
) -> Iterator[Path]:
    """A launch file with these arguments, and what it prints; it must obey SIGINT at the end."""
    with started(prefix, tmp_path, arguments, file) as process:
        try:
            yield tmp_path / 'launch.log'
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(_WAIT_S) == 0


def refused(
    prefix: Path, tmp_path: Path, arguments: list[str], file: str = 'depth.launch.py'
) -> str:
    """What a launch prints that ends by itself, with an error."""
    with started(prefix, tmp_path, arguments, file) as process:
        assert process.wait(_WAIT_S) == 1
    return (tmp_path / 'launch.log').read_text()


def wait_for_text(log: Path, text: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def wait_for_subscriptions(
    node: Node, wanted: set[str], name: str = 'depth_node', namespace: str = '/front'
) -> None:
    deadline = time.monotonic() + _WAIT_S
    found: set[str] = set()
    while not wanted <= found:
        assert time.monotonic() < deadline, found
        if (name, namespace) in node.get_node_names_and_namespaces():
            topics = node.get_subscriber_names_and_types_by_node(name, namespace)
            found = {topic for topic, _ in topics}
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
        profile = prefix / 'share/dtp_stereo/config/dds/fastdds_large_data.xml'
        assert profile.is_file()
        variable = profile_variable(os.environ.get('ROS_DISTRO', ''))
        assert (tmp_path / 'log' / 'profile').read_text() == repr({variable: str(profile)})


@pytest.mark.slow
@needs_launch
def test_cameras_reach_the_node(node: Node, prefix: Path, tmp_path: Path) -> None:
    arguments = [
        'namespace:=front',
        'backend:=sgbm',
        'cameras:=near, far',
        'left_info:=/{camera}/left/info',
        'right_info:=/a/right,/b/right',
        'points2:={camera}/cloud',
    ]
    wanted = {'/near/left/info', '/far/left/info', '/a/right', '/b/right'}
    with launched(prefix, tmp_path, arguments):
        wait_for_subscriptions(node, wanted)
        outputs = node.get_publisher_names_and_types_by_node('depth_node', '/front')
        assert {'/front/near/disparity', '/front/far/cloud'} <= {name for name, _ in outputs}


@pytest.mark.slow
@needs_launch
def test_a_preset_a_name_and_the_debug_lines_of_the_node_alone(
    node: Node, prefix: Path, tmp_path: Path
) -> None:
    arguments = [
        *('namespace:=front', 'node_name:=deep', 'backend:=sgbm', 'preset:=navigation'),
        *('max_depth:=9', 'left_namespace:=/cam/left', 'right_namespace:=/cam/right'),
        *('log_level:=debug', 'rviz:=true'),
    ]
    preset = yaml.safe_load((_REPOSITORY / 'config/presets/navigation.yaml').read_text())
    threshold = preset['/**']['ros__parameters']['confidence_threshold']
    publisher = FramePublisher(node, '/cam/')
    node.create_subscription(Image, '/front/depth/image', lambda _: None, 1)
    with launched(prefix, tmp_path, arguments) as log:
        wait_for_subscriptions(node, {'/cam/left/camera_info'}, name='deep')
        with Caller(GetParameters, '/front/deep/get_parameters', _WAIT_S) as caller:
            names = ['confidence_threshold', 'max_depth']
            values = caller.call(GetParameters.Request(names=names)).values
        assert [v.double_value for v in values] == [threshold, 9.0]
        assert threshold > 0
        wait_for_text(log, 'rviz2 is not installed, the node runs without')
        wait_for_text(log, '[front.deep]: lifecycle: inactive -> active')
        deadline = time.monotonic() + _WAIT_S
        while '[front.deep]: result 1: ' not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            publisher.publish(_frame(node.get_clock().now().nanoseconds))
            time.sleep(0.1)
    text = log.read_text()
    assert '[front.deep]: pair 1 is complete' in text
    assert {m[1] for m in re.finditer(r'\[DEBUG\] \[[\d.]+\] \[(\S+)\]:', text)} == {'front.deep'}


@pytest.mark.slow
@needs_launch
@pytest.mark.parametrize(('name', 'raw'), [('deep', True), ('other', False)])
def test_only_parameters_of_the_node_change_its_topics(
    node: Node, prefix: Path, tmp_path: Path, name: str, raw: bool
) -> None:
    file = tmp_path / 'own.yaml'
    file.write_text(
        '/front/deep: {ros__parameters: {rectify: true}}\n'
        '/front/other: {ros__parameters: {rectify: false}}\n'
    )
    topics = ('namespace:=front', 'left_namespace:=/cam/left', 'right_namespace:=/cam/right')
    arguments = [f'node_name:={name}', f'params_file:={file}', 'backend:=sgbm', *topics]
    image = f'/cam/left/{"image_raw" if raw else "image_rect"}'
    node.create_subscription(Image, '/front/depth/image', lambda _: None, 1)
    with launched(prefix, tmp_path, arguments):
        wait_for_subscriptions(node, {image}, name=name)
        with Caller(GetParameters, f'/front/{name}/get_parameters', _WAIT_S) as caller:
            (value,) = caller.call(GetParameters.Request(names=['rectify'])).values
    assert value.bool_value == raw


@pytest.mark.slow
@needs_launch
@pytest.mark.parametrize(
    ('given', 'logger'), [('', 'robot1'), ('front', 'robot1.front'), ('/front', 'front')]
)
def test_a_robot_launch_pushes_its_namespace(
    given: str,
    logger: str,
    node: Node,
    prefix: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The log level reaches the node where it is then."""
    monkeypatch.setenv('PUSHED', 'robot1')
    namespace = f'/{logger.replace(".", "/")}/'
    publisher = FramePublisher(node, namespace)
    node.create_subscription(Image, f'{namespace}depth/image', lambda _: None, 1)
    arguments = ['backend:=sgbm', 'log_level:=debug', *([f'namespace:={given}'] if given else [])]
    with launched(prefix, tmp_path, arguments) as log:
        deadline = time.monotonic() + _WAIT_S
        while f'[{logger}.depth_node]: pair 1 is complete' not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            publisher.publish(_frame(node.get_clock().now().nanoseconds))
            time.sleep(0.1)


def _frame(stamp_ns: int) -> StereoFrame:
    grey = np.random.default_rng(0).integers(0, 255, (120, 320, 3), np.uint8)
    calibration = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)
    return StereoFrame(grey, grey, stamp_ns, calibration)


@pytest.mark.slow
@needs_launch
@pytest.mark.parametrize(
    ('argument', 'said'),
    [
        ('max_dept:=3', 'max_dept:= is no argument of this launch file; did you mean max_depth?'),
        ('max_depth:=far', 'max_depth:=far is not a number'),
        ('rviz:=maybe', 'rviz:=maybe is neither true nor false'),
        (
            'preset:=fastest',
            'preset:=fastest is unknown; choose one of dense, detail, fast, navigation',
        ),
        ('params_file:=/no/such.yaml', 'params_file: there is no file /no/such.yaml'),
    ],
)
def test_a_mistake_ends_the_launch(argument: str, said: str, prefix: Path, tmp_path: Path) -> None:
    output = refused(prefix, tmp_path, ['backend:=sgbm', argument])
    assert said in output
    assert 'Traceback' not in output
    assert 'process started' not in output


# Launch file in place of a driver's: it declares what might reach ours, and prints its own.
_DRIVER = """
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo
from launch.substitutions import LaunchConfiguration
def generate_launch_description():
    names = ['node_name', 'namespace', 'params_file', 'ros_params_override_path', 'camera_model']
    return LaunchDescription([
        *(DeclareLaunchArgument(n, default_value='theirs') for n in names),
        LogInfo(msg=['driver: ', LaunchConfiguration('params_file'), ' ',
                     LaunchConfiguration('ros_params_override_path'), ' of ',
                     LaunchConfiguration('camera_model'), ' in ',
                     LaunchConfiguration('namespace')])])
"""

_OF_OAK = 'oak.yaml theirs of theirs in theirs'


@pytest.mark.slow
@needs_launch
@pytest.mark.parametrize(
    ('name', 'package', 'file', 'info', 'said'),
    [
        ('realsense', 'realsense2_camera', '', '/camera/camera/infra2/camera_info', '__ns:=/cam'),
        (
            'zed',
            'zed_wrapper',
            'zed_camera',
            '/zed/zed_node/right/color/rect/camera_info',
            'zed.yaml of zed2i in theirs',
        ),
        ('oak', 'depthai_ros_driver', 'driver', '/oak/right/camera_info', _OF_OAK),
        ('oak', 'depthai_ros_driver', 'camera', '/oak/right/camera_info', _OF_OAK),
    ],
)
def test_examples_start_the_driver_and_our_node(
    name: str, package: str, file: str, info: str, said: str,
    node: Node, prefix: Path, tmp_path: Path,
) -> None:  # fmt: skip
    (prefix / 'share/ament_index/resource_index/packages' / package).touch()
    folder = prefix / 'share' / package / 'launch'
    folder.mkdir(parents=True)
    if file:
        (folder / f'{file}.launch.py').write_text(_DRIVER)
    executable = prefix / 'lib' / package / 'realsense2_camera_node'
    executable.parent.mkdir(parents=True)
    executable.write_text('#!/bin/sh\necho "$@"\n')
    executable.chmod(0o755)
    arguments = ['backend:=sgbm', 'camera_model:=zed2i', 'max_depth:=6.0', 'namespace:=robot']
    with launched(prefix, tmp_path, arguments, f'examples/{name}.launch.py') as log:
        wait_for_subscriptions(node, {info}, namespace='/robot')
        wait_for_text(log, said)
        with Caller(GetParameters, '/robot/depth_node/get_parameters', _WAIT_S) as caller:
            values = caller.call(GetParameters.Request(names=['max_depth'])).values
        assert [v.double_value for v in values] == [6.0]


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
    assert yaml.safe_load(text) == {'/**': {'ros__parameters': {'diagnostics_period': 1.0}}}


def test_the_profile_is_well_formed_and_holds_a_cloud() -> None:
    root = ElementTree.parse(_REPOSITORY / 'config/dds/fastdds_large_data.xml').getroot()
    space = '{http://www.eprosima.com}'
    values = {e.tag.removeprefix(space): e.text for e in root.iter()}
    largest = 1280 * 720 * 32
    assert int(values['maxMessageSize'] or 0) > largest
    assert int(values['segment_size'] or 0) >= 4 * largest


@pytest.mark.slow
@needs_launch
def test_a_replay_ends_the_launch_with_its_outcome(prefix: Path, tmp_path: Path) -> None:
    bag = write_scene_bag(tmp_path / 'b', planes(3))
    arguments = [
        f'bag:={bag}',
        f'report:={tmp_path / "report"}',
        f'json:={tmp_path / "result.json"}',
        'options:=--backend sgbm --disparity-range 64',
    ]
    with started(prefix, tmp_path, arguments, 'replay.launch.py') as process:
        assert process.wait(2 * _WAIT_S) == 0, (tmp_path / 'launch.log').read_text()
    recording = result_file.read(tmp_path / 'result.json')['recordings'][0]
    assert recording['replay']['answered'] == 3
    assert (tmp_path / 'report' / 'report.html').is_file()


@pytest.mark.slow
@needs_launch
@pytest.mark.parametrize(
    ('argument', 'said'),
    [
        ('rate:=2', 'bag:= is missing; name the bag'),
        ('bagg:=b', 'bagg:= is no argument of this launch file; did you mean bag?'),
        ('bag:=/no/such', 'dtp-stereo replay ended with code 2'),
    ],
)
def test_a_replay_that_fails_fails_the_launch(
    argument: str, said: str, prefix: Path, tmp_path: Path
) -> None:
    output = refused(prefix, tmp_path, [argument], 'replay.launch.py')
    assert said in output
    assert 'Traceback' not in output
