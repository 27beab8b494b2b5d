"""Starts `depth_node`: `ros2 launch dtp_stereo depth.launch.py left_image:=/cam/left`.

Every parameter of the node is an argument; `--show-args` lists them. Several cameras on one model:
`cameras:=front,rear left_image:=/{camera}/left/image_rect`.
"""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    LogInfo,
    OpaqueFunction,
    SetEnvironmentVariable,
)
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare
from launch_ros.utilities import make_namespace_absolute, prefix_namespace

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.ros import launch_arguments

_SHARE = FindPackageShare('dtp_stereo')
_OPTIONS = {
    'namespace': ('', 'Namespace of the node; outputs and unmapped inputs lie in it.'),
    'node_name': ('depth_node', 'Name of the node.'),
    'params_file': (
        PathJoinSubstitution([_SHARE, 'config', 'dtp_stereo.yaml']),
        'Parameter file of the node; it stands above preset, and the arguments above both.',
    ),
    'preset': (
        '',
        'Parameter set, measured in docs/reports/presets.md: navigation, dense, detail, fast.',
    ),
    'large_messages': (
        'false',
        'Use our Fast DDS profile for messages of megabytes; start the camera with it, too.',
    ),
    'enclave': ('/', 'Security enclave of the node under SROS 2: docs/guides/security.md.'),
    'rviz': ('false', 'Show the cloud and the images in RViz, where it is installed.'),
    'rviz_frame': ('stereo_left_optical_frame', 'Fixed frame of RViz.'),
    'log_level': ('info', 'Log level of the node: debug, info, warn, error.'),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    given = {**launch_arguments.topic_descriptions(), **launch_arguments.descriptions()}
    options = {**_OPTIONS, **{name: ('', text) for name, text in given.items()}}
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in options.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_actions, args=[set(options)])])


def _actions(context: LaunchContext, declared: set[str]) -> list[Action]:
    try:
        return _nodes(context, declared)
    except ConfigError as error:
        raise RuntimeError(str(error)) from error  # launch prints it in one line, and ends


def _nodes(context: LaunchContext, declared: set[str]) -> list[Action]:
    launch_arguments.check_names(launch_arguments.typed_after(__file__), declared)
    given = {name: str(context.launch_configurations[name]) for name in declared}
    parameters = launch_arguments.values(given)
    share = Path(_SHARE.perform(context))
    params_file = Path(given['params_file'])
    if not params_file.is_file():  # launch_ros would start the node without it
        raise ConfigError(f'params_file: there is no file {params_file}; check the path')
    files = [
        *launch_arguments.preset_file(given['preset'], share / 'config/presets'),
        str(params_file),
    ]
    name, namespace = given['node_name'], given['namespace'].rstrip('/')
    # PushRosNamespace of a launch file that includes this one stands before.
    pushed = context.launch_configurations.get('ros_namespace')
    whole = make_namespace_absolute(prefix_namespace(pushed, namespace)) or ''
    parts = list(filter(None, (*whole.split('/'), name)))
    logger, full_name = '.'.join(parts), '/' + '/'.join(parts)
    cameras, rectify = launch_arguments.inputs_of(parameters, params_file, full_name)
    remappings = launch_arguments.remappings(given, cameras, rectify)
    unused = launch_arguments.without_counterpart(launch_arguments.typed_after(__file__))
    actions: list[Action] = [LogInfo(msg=text) for text in unused]
    if _is_true('large_messages', given):
        variable = launch_arguments.profile_variable(os.environ.get('ROS_DISTRO', ''))
        profile = share / 'config/dds/fastdds_large_data.xml'
        actions.append(SetEnvironmentVariable(variable, str(profile)))
    actions.append(
        Node(
            package='dtp_stereo',
            executable='depth_node',
            name=name,
            namespace=namespace,
            parameters=[*files, parameters],
            remappings=remappings,
            ros_arguments=[
                # Of the node alone: at debug, rcl and the middleware write pages.
                *('--log-level', f'{logger}:={given["log_level"]}'),
                *('--enclave', given['enclave']),
            ],
            output='both',
            emulate_tty=True,
        )
    )
    if _is_true('rviz', given):
        # Of several cameras, RViz shows the first.
        first = cameras[0] if cameras else ''
        shown = launch_arguments.viewer_remappings(remappings, whole, name, first)
        actions.append(_rviz('/'.join(filter(None, (namespace, first))), shown, given, share))
    return actions


def _rviz(
    namespace: str, remappings: list[tuple[str, str]], given: dict[str, str], share: Path
) -> Action:
    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        package = f'ros-{os.environ.get("ROS_DISTRO", "DISTRO")}-rviz2'
        return LogInfo(msg=f'rviz2 is not installed, the node runs without; apt install {package}')
    return Node(
        package='rviz2',
        executable='rviz2',
        namespace=namespace,
        remappings=remappings,
        arguments=[
            *('--display-config', str(share / 'config/rviz/depth.rviz')),
            *('--fixed-frame', given['rviz_frame']),
        ],
    )


def _is_true(name: str, given: dict[str, str]) -> bool:
    value = given[name].lower()
    if value not in ('true', 'false', '1', '0'):
        raise ConfigError(f'{name}:={given[name]} is neither true nor false')
    return value in ('true', '1')
