"""Messages as they are read and written here: by their fields, of whatever class they are.

The node has the classes of rclpy, a bag those of rosbags; both share one decoder and one writer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Header: TypeAlias = Any
Image: TypeAlias = Any
CompressedImage: TypeAlias = Any
CameraInfo: TypeAlias = Any
DisparityImage: TypeAlias = Any
PointCloud2: TypeAlias = Any
PointField: TypeAlias = Any


@dataclass(frozen=True)
class MessageTypes:
    """Factories of empty messages; the writers fill them.

    Attributes:
        image, compressed_image, camera_info, point_cloud, point_field: of sensor_msgs.
        disparity_image: of stereo_msgs.
    """

    image: Callable[..., Image]
    camera_info: Callable[..., CameraInfo]
    disparity_image: Callable[..., DisparityImage]
    point_cloud: Callable[..., PointCloud2]
    point_field: Callable[..., PointField]
    compressed_image: Callable[..., CompressedImage]
