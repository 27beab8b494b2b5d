"""OAK and depth from its rectified pair: `ros2 launch dtp_stereo oak.launch.py`.

Topics of depthai_ros_driver 2.12.2 (Humble, Jazzy) and 3.3.0 (Kilted). Stamps of left and right
may differ by microseconds. Arguments of depth.launch.py may be given, too.
"""

from __future__ import annotations

from pathlib import Path

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.substitutions import FindPackageShare

_TOPICS = {
    'left_image': '/oak/left/image_rect',
    'left_info': '/oak/left/camera_info',
    'right_image': '/oak/right/image_rect',
    'right_info': '/oak/right/camera_info',
    'approximate_sync': 'true',
}


def generate_launch_description() -> LaunchDescription:
    """The driver's launch file, and ours."""
    return LaunchDescription([OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Action]:
    driver = Path(FindPackageShare('depthai_ros_driver').perform(context), 'launch')
    ours = Path(FindPackageShare('dtp_stereo').perform(context))
    # camera.launch.py became driver.launch.py with version 3.
    files = [driver / 'driver.launch.py', driver / 'camera.launch.py']
    driver_only = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(next((f for f in files if f.is_file()), files[0]))),
        launch_arguments={
            'name': 'oak',
            'params_file': str(ours / 'config/examples/oak.yaml'),
        }.items(),
    )
    # Neither its arguments shall reach ours, nor ours it: namespace and params_file are of both.
    camera = GroupAction([driver_only], scoped=True, forwarding=False)
    depth = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(ours / 'launch/depth.launch.py')),
        launch_arguments=_TOPICS.items(),
    )
    return [camera, depth]
