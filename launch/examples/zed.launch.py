"""ZED and depth from its rectified pair.

`ros2 launch dtp_stereo zed.launch.py camera_model:=zed2i`

Topics of zed_wrapper 5.4.1, which are others than before 5.2. The camera's own depth is off, which
leaves the GPU free. Arguments of depth.launch.py may be given, too.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare

_TOPICS = {
    'left_image': '/zed/zed_node/left/color/rect/image',
    'left_info': '/zed/zed_node/left/color/rect/camera_info',
    'right_image': '/zed/zed_node/right/color/rect/image',
    'right_info': '/zed/zed_node/right/color/rect/camera_info',
}


def generate_launch_description() -> LaunchDescription:
    """The driver's launch file, and ours."""
    ours = FindPackageShare('dtp_stereo')
    theirs = FindPackageShare('zed_wrapper')
    driver = PathJoinSubstitution([theirs, 'launch', 'zed_camera.launch.py'])
    driver_only = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(driver),
        launch_arguments={
            'camera_name': 'zed',
            'camera_model': LaunchConfiguration('camera_model'),
            'ros_params_override_path': PathJoinSubstitution([ours, 'config/examples/zed.yaml']),
        }.items(),
    )
    # Neither its arguments shall reach ours, nor ours it: namespace and node_name are of both.
    model = {'camera_model': LaunchConfiguration('camera_model')}
    camera = GroupAction([driver_only], scoped=True, forwarding=False, launch_configurations=model)
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(PathJoinSubstitution([ours, 'launch', 'depth.launch.py'])),
        launch_arguments=_TOPICS.items(),
    )
    declared = DeclareLaunchArgument(
        'camera_model', description='As of zed_wrapper: zed2i, zedx, ...'
    )
    return LaunchDescription([declared, camera, depth])
