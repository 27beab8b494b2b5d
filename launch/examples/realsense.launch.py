"""RealSense D400 and depth from its infrared pair: `ros2 launch dtp_stereo realsense.launch.py`.

Topics of realsense2_camera 4.58.3. The camera's own depth is off. Its projector may stay on, or:
`ros2 param set /camera/camera depth_module.emitter_enabled 0`. Arguments of depth.launch.py may be
given, too.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

_CAMERA = {
    'enable_infra1': True,
    'enable_infra2': True,
    'enable_depth': False,
    'enable_color': False,
}
_TOPICS = {
    'left_image': '/camera/camera/infra1/image_rect_raw',
    'left_info': '/camera/camera/infra1/camera_info',
    'right_image': '/camera/camera/infra2/image_rect_raw',
    'right_info': '/camera/camera/infra2/camera_info',
}


def generate_launch_description() -> LaunchDescription:
    """The driver's node, and ours."""
    camera = Node(
        package='realsense2_camera',
        executable='realsense2_camera_node',
        namespace='camera',
        name='camera',
        parameters=[_CAMERA],
        output='screen',
    )
    launch = PathJoinSubstitution([FindPackageShare('dtp_stereo'), 'launch', 'depth.launch.py'])
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(launch), launch_arguments=_TOPICS.items()
    )
    return LaunchDescription([camera, depth])
