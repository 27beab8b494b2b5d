"""Starts `depth_node`: `ros2 launch dtp_stereo depth.launch.py left_image:=/cam/left`.

Several cameras on one model: `cameras:=front,rear`; the topics of each lie under its name.
"""

from __future__ import annotations

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

_SHARE = FindPackageShare('dtp_stereo')

# Launch argument: (topic of the node, description).
_INPUTS = {
    'left_image': ('left/image_rect', 'Rectified left image.'),
    'left_info': ('left/camera_info', 'Calibration of the left camera.'),
    'right_image': ('right/image_rect', 'Rectified right image.'),
    'right_info': ('right/camera_info', 'Calibration of the right camera.'),
}
_OPTIONS = {
    'namespace': ('', 'Namespace of the node; outputs and unmapped inputs lie in it.'),
    'params_file': (
        PathJoinSubstitution([_SHARE, 'config', 'dtp_stereo.yaml']),
        'Parameter file of the node.',
    ),
    'backend': ('', 'Inference backend; empty takes that of params_file.'),
    'model': ('', 'Model name or path; empty takes that of params_file.'),
    'cameras': ('', 'Names of several stereo cameras, as front,rear; empty takes params_file.'),
    'large_messages': (
        'false',
        'Use our Fast DDS profile for messages of megabytes; start the camera with it, too.',
    ),
    'enclave': ('/', 'Security enclave of the node under SROS 2: docs/security.md.'),
    'rviz': ('false', 'Show the cloud and the images in RViz.'),
    'rviz_frame': ('stereo_left_optical_frame', 'Fixed frame of RViz.'),
    'log_level': ('info', 'Log level of the node: debug, info, warn, error.'),
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the node is made when their values are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in _OPTIONS.items()
    ] + [
        DeclareLaunchArgument(name, default_value=topic, description=description)
        for name, (topic, description) in _INPUTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_nodes)])


def _nodes(context: LaunchContext) -> list[Action]:
    remappings = [(topic, LaunchConfiguration(name)) for name, (topic, _) in _INPUTS.items()]
    # Only what was given on the command line stands above the parameter file.
    overrides: dict[str, str | list[str]] = {
        name: value
        for name in ('backend', 'model')
        if (value := LaunchConfiguration(name).perform(context))
    }
    cameras = LaunchConfiguration('cameras').perform(context).replace(' ', '')
    if cameras:
        overrides['cameras'] = cameras.split(',')
    namespace = LaunchConfiguration('namespace').perform(context)
    params_file = Path(LaunchConfiguration('params_file').perform(context))
    if not params_file.is_file():  # launch_ros would start the node without it
        raise RuntimeError(f'params_file: there is no file {params_file}; check the path')
    depth_node = Node(
        package='dtp_stereo',
        executable='depth_node',
        namespace=namespace,
        parameters=[str(params_file), overrides],
        remappings=remappings,
        ros_arguments=[
            *('--log-level', LaunchConfiguration('log_level')),
            *('--enclave', LaunchConfiguration('enclave')),
        ],
        output='both',
        emulate_tty=True,
    )
    rviz = Node(
        package='rviz2',
        executable='rviz2',
        # Of several cameras, RViz shows the first.
        namespace='/'.join(filter(None, (namespace, cameras.split(',')[0]))),
        remappings=remappings,
        arguments=[
            '--display-config',
            PathJoinSubstitution([_SHARE, 'config', 'rviz', 'depth.rviz']),
            '--fixed-frame',
            LaunchConfiguration('rviz_frame'),
        ],
        condition=IfCondition(LaunchConfiguration('rviz')),
    )
    # One name for Fast DDS 3 (Kilted and later), one for Fast DDS 2 (Humble, Jazzy).
    profile = [
        SetEnvironmentVariable(
            name,
            PathJoinSubstitution([_SHARE, 'config', 'dds', 'fastdds_large_data.xml']),
            condition=IfCondition(LaunchConfiguration('large_messages')),
        )
        for name in ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
    ]
    return [*profile, depth_node, rviz]
