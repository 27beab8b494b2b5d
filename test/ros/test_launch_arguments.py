"""Launch arguments as text: what becomes a parameter, a remapping, a refusal."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables, validate
from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.ros import launch_arguments

_PRESETS = Path(__file__).resolve().parents[2] / 'config/presets'


def test_every_parameter_is_an_argument_that_tells_its_default() -> None:
    told = launch_arguments.descriptions()
    assert set(told) == {*tunables(PipelineConfig), *tunables(NodeConfig), 'use_sim_time'}
    assert told['left_right_check'].endswith(' 0 .. 64 px. Default: 0.0')
    assert ' One of raw, compressed. Default: raw' in told['image_transport']
    assert told['depth_encoding'].endswith(' Default: 32FC1')
    assert told['approximate_sync'].endswith(' Default: false')


def test_values_have_the_type_of_the_parameter() -> None:
    given = {
        'max_depth': '7',
        'speckle_size': ' 20 ',
        'rectify': 'True',
        'use_sim_time': 'false',
        'cameras': '[front, "rear"]',
        'model': '',
        'left_image': '/x',
    }
    values = launch_arguments.values(given)
    assert values == {
        'max_depth': 7.0,
        'speckle_size': 20,
        'rectify': True,
        'use_sim_time': False,
        'cameras': ['front', 'rear'],
    }
    assert isinstance(values['max_depth'], float)


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('max_depth', 'far', 'max_depth:=far is not a number'),
        ('queue_size', '2.5', 'queue_size:=2.5 is not a whole number'),
        ('use_color', 'yes', 'use_color:=yes is neither true nor false'),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        launch_arguments.values({name: text})
    assert str(caught.value) == message


def test_topics_of_one_camera() -> None:
    given = {'left_image': '/l', 'right_namespace': '/cam/right', 'points2': 'cloud'}
    assert launch_arguments.remappings(given, ()) == [
        ('left/image_rect', '/l'),
        ('right/image_rect', '/cam/right/image_rect'),
        ('right/camera_info', '/cam/right/camera_info'),
        ('points2', 'cloud'),
    ]
    assert launch_arguments.remappings({'left_image': 'left/image_rect'}, ()) == []


@pytest.mark.parametrize(
    ('given', 'cameras', 'targets'),
    [
        ({'left_namespace': '/cam/left/'}, (), ['/cam/left/image_rect', '/cam/left/camera_info']),
        (
            {'left_namespace': '/cam', 'left_image': 'raw', 'left_info': '/info'},
            (),
            ['/cam/raw', '/info'],
        ),
        (
            {'left_namespace': '/{camera}/', 'left_image': 'raw', 'left_info': 'a, b'},
            ('front', 'rear'),
            ['/front/raw', '/rear/raw', '/front/a', '/rear/b'],
        ),
        (
            {'left_namespace': '/x,/y', 'left_image': '{camera}/raw'},
            ('front', 'rear'),
            ['/x/front/raw', '/y/rear/raw', '/x/camera_info', '/y/camera_info'],
        ),
    ],
)
def test_topics_lie_below_their_namespace(
    given: dict[str, str], cameras: tuple[str, ...], targets: list[str]
) -> None:
    assert [target for _, target in launch_arguments.remappings(given, cameras)] == targets


@pytest.mark.parametrize(
    ('target', 'absolute'),
    [('left', '/robot/left'), ('/a/left', '/a/left'), ('~/left', '/robot/depth_node/left')],
)
@pytest.mark.parametrize('camera', ['', 'front'])
def test_a_viewer_shows_the_topics_of_the_node(target: str, absolute: str, camera: str) -> None:
    """Its own namespace is that of the camera."""
    first = f'{camera}/' if camera else ''
    pairs = [(f'{first}left/image_rect', target), (f'{first}disparity', target), ('rear/x', 'y')]
    found = launch_arguments.viewer_remappings(
        pairs if camera else pairs[:2], '/robot', 'depth_node', camera
    )
    assert found == [
        ('left/image_rect', absolute),
        ('disparity', absolute),
        ('disparity/compressed', f'{absolute}/compressed'),
    ]


def test_topics_of_several_cameras() -> None:
    given = {'left_image': '/{camera}/l', 'right_namespace': '/a, /b'}
    assert launch_arguments.remappings(given, ['front', 'rear']) == [
        ('front/left/image_rect', '/front/l'),
        ('rear/left/image_rect', '/rear/l'),
        ('front/right/image_rect', '/a/image_rect'),
        ('rear/right/image_rect', '/b/image_rect'),
        ('front/right/camera_info', '/a/camera_info'),
        ('rear/right/camera_info', '/b/camera_info'),
    ]
    with pytest.raises(ConfigError, match=r'^left_image:=/l has 1 topics for 2 cameras; give one'):
        launch_arguments.remappings({'left_image': '/l'}, ['front', 'rear'])


def test_raw_images_of_a_namespace() -> None:
    given = {'left_namespace': '/cam/left', 'right_namespace': '/r', 'right_image': 'mono'}
    assert launch_arguments.remappings(given, (), rectify=True) == [
        ('left/image_rect', '/cam/left/image_raw'),
        ('left/camera_info', '/cam/left/camera_info'),
        ('right/image_rect', '/r/mono'),
        ('right/camera_info', '/r/camera_info'),
    ]
    assert launch_arguments.remappings({'left_info': '/i'}, (), rectify=True) == [
        ('left/camera_info', '/i')
    ]


def test_parameters_that_change_topics(tmp_path: Path) -> None:
    file = tmp_path / 'own.yaml'
    file.write_text('/**:\n  ros__parameters:\n    cameras: [front, rear]\n    rectify: true\n')
    assert launch_arguments.inputs_of({}, file, '/depth_node') == (['front', 'rear'], True)
    above = {'cameras': ['a'], 'rectify': False}
    assert launch_arguments.inputs_of(above, file, '/depth_node') == (['a'], False)
    for text in ('/**:\n  ros__parameters:\n    max_depth: 5.0\n', 'other: 1\n', '{'):
        file.write_text(text)
        assert launch_arguments.inputs_of({}, file, '/depth_node') == ([], False)
        assert launch_arguments.inputs_of({'rectify': True}, file, '/depth_node') == ([], True)
    with pytest.raises(ConfigError, match=r'is of several cameras; name them, as cameras:=a,b$'):
        launch_arguments.remappings({'left_image': '/{camera}/l'}, [])


@pytest.mark.parametrize(
    ('node', 'raw'),
    [
        ('/front/depth_node', False),
        ('/rear/depth_node', True),
        ('/depth_node', False),
        ('/front_depth', True),
        ('/rear/front_depth', False),
    ],
)
def test_only_sections_of_the_node_change_its_topics(tmp_path: Path, node: str, raw: bool) -> None:
    file = tmp_path / 'own.yaml'
    file.write_text(
        '/front/depth_node: {ros__parameters: {rectify: false}}\n'
        'rear: {depth_node: {ros__parameters: {rectify: true}}}\n'
        '/front_depth: {ros__parameters: {rectify: true, cameras: [a]}}\n'
    )
    cameras = ['a'] if node == '/front_depth' else []
    assert launch_arguments.inputs_of({}, file, node) == (cameras, raw)


def test_a_name_that_nobody_declared_is_refused_with_the_nearest() -> None:
    known = ['max_depth', 'rviz']
    launch_arguments.check_names(['max_depth:=1', '--debug', 'rviz:='], known)
    with pytest.raises(ConfigError, match=r'^maxdepth:= is no .*; did you mean max_depth\?$'):
        launch_arguments.check_names(['maxdepth:=1'], known)
    launch_arguments.check_names(['container:=c'], known)
    assert launch_arguments.without_counterpart(['rviz:=true', 'container:=c']) == [
        'container:= has no effect: the node is a process of its own'
    ]
    with pytest.raises(ConfigError, match=r'^xyz:= is no .*; see --show-args$'):
        launch_arguments.check_names(['xyz:=1'], known)


@pytest.mark.parametrize('name', ['dense', 'detail', 'fast', 'navigation'])
def test_a_preset_is_valid_and_found(name: str) -> None:
    assert launch_arguments.preset_file('', _PRESETS) == []
    (file,) = launch_arguments.preset_file(name, _PRESETS)
    values = yaml.safe_load(Path(file).read_text())['/**']['ros__parameters']
    for cls in (PipelineConfig, NodeConfig):
        own = {key: values.pop(key) for key in tunables(cls) if key in values}
        validate(cls(**own))
    assert values == {}


def test_an_unknown_preset_names_those_that_are_there() -> None:
    with pytest.raises(ConfigError, match=r'choose one of dense, detail, fast, navigation$'):
        launch_arguments.preset_file('slow', _PRESETS)


@pytest.mark.parametrize(
    ('distribution', 'variable'),
    [
        ('humble', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        ('jazzy', 'FASTRTPS_DEFAULT_PROFILES_FILE'),
        ('kilted', 'FASTDDS_DEFAULT_PROFILES_FILE'),
        ('lyrical', 'FASTDDS_DEFAULT_PROFILES_FILE'),
        ('', 'FASTDDS_DEFAULT_PROFILES_FILE'),
    ],
)
def test_each_distribution_has_one_variable(distribution: str, variable: str) -> None:
    assert launch_arguments.profile_variable(distribution) == variable


@pytest.mark.parametrize(
    ('words', 'typed'),
    [
        (['ros2', 'launch', 'dtp_stereo', 'depth.launch.py', 'a:=1'], ['a:=1']),
        (['ros2', 'launch', '{folder}/depth.launch.py', 'a:=1'], ['a:=1']),
        (['ros2', 'launch', 'my_robot_bringup', 'depth.launch.py', 'robot:=r1'], []),
        (['ros2', 'launch', '/elsewhere/depth.launch.py', 'robot:=r1'], []),
        (['ros2', 'launch', 'my_robot_bringup', 'robot.launch.py', 'robot:=r1'], []),
    ],
)
def test_arguments_of_another_launch_file_are_not_ours(
    words: list[str], typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of the same name may include this one."""
    file = tmp_path / 'depth.launch.py'
    file.touch()
    monkeypatch.setattr('sys.argv', [word.format(folder=tmp_path) for word in words])
    assert launch_arguments.typed_after(str(file)) == typed
