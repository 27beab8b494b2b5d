"""The message classes of this ROS, for the writers in `messages/`."""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from stereo_msgs.msg import DisparityImage

from ..messages.types import MessageTypes

ROS_TYPES = MessageTypes(
    Image, CameraInfo, DisparityImage, PointCloud2, PointField, CompressedImage
)
