"""The publishers of a stereo camera's results, and what is converted for those who subscribed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from ..cloud import beyond_range_at, decimated
from ..config import NodeConfig
from ..stereo import Float32Array, StereoCalibration, StereoResult, UInt8Array
from .messages import confidence_image, depth_camera_info, depth_image, disparity_image
from .point_cloud import point_cloud, voxel_cloud

OUTPUT_TYPES = {
    'disparity': DisparityImage,
    'points2': PointCloud2,
    'depth/image': Image,
    'depth/camera_info': CameraInfo,
    'confidence': Image,
}

_OUTPUT_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


@dataclass(frozen=True)
class Computed:
    """One result with everything that its messages are made from.

    Attributes:
        result: of the pipeline.
        calibration: at the size of the images.
        left: RGB uint8 (H, W, 3), colours the cloud.
        left_info: newest of the left camera.
        header: of the left image.
        max_depth_m: what is farther is beyond range, +Inf.
    """

    result: StereoResult
    calibration: StereoCalibration
    left: UInt8Array
    left_info: CameraInfo
    header: Header
    max_depth_m: float


class Outputs:
    """All output publishers; reliable, keep-last 1, overridable by `qos_overrides` parameters.

    Args:
        node: owner of the publishers.
        prefix: put before the topic names.

    Attributes:
        enabled: while False nothing is wanted and nothing is published (the node is not active).
        topics: the relative names to the full ones.
    """

    def __init__(self, node: Node, prefix: str) -> None:
        self.enabled = False
        self._publishers = {
            topic: node.create_publisher(
                message_type,
                prefix + topic,
                _OUTPUT_QOS,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            for topic, message_type in OUTPUT_TYPES.items()
        }
        self.topics = {name: made.topic_name for name, made in self._publishers.items()}

    def wanted(self) -> frozenset[str]:
        """Topics that somebody subscribes to."""
        if not self.enabled:
            return frozenset()
        return frozenset(t for t, p in self._publishers.items() if p.get_subscription_count() > 0)

    def publish(self, wanted: frozenset[str], computed: Computed, config: NodeConfig) -> None:
        """Convert and publish the wanted topics, and no other.

        Raises:
            InputError: the depth limits leave no disparity range to publish.
        """
        result, calibration, header = computed.result, computed.calibration, computed.header
        if 'disparity' in wanted:
            self._send('disparity', disparity_image(result, calibration, header))
        if 'confidence' in wanted and result.confidence is not None:
            self._send('confidence', confidence_image(result.confidence, header))
        if 'depth/camera_info' in wanted:
            self._send('depth/camera_info', depth_camera_info(computed.left_info, header))
        if not wanted & {'depth/image', 'points2'}:
            return
        depth_m = calibration.depth_m(result.disparity_px)
        if 'depth/image' in wanted:
            self._send('depth/image', depth_image(depth_m, config.depth_encoding, header))
        if 'points2' in wanted:
            self._send('points2', cloud_of(depth_m, computed, config))

    def _send(self, topic: str, msg: object) -> None:
        if self.enabled:
            self._publishers[topic].publish(msg)


def cloud_of(depth_m: Float32Array, computed: Computed, config: NodeConfig) -> PointCloud2:
    """The cloud after its filters."""
    calibration, color = computed.calibration, computed.left if config.use_color else None
    if config.decimation > 1:
        every = slice(None, None, config.decimation)
        depth_m, calibration = depth_m[every, every], decimated(calibration, config.decimation)
        color = None if color is None else np.ascontiguousarray(color[every, every])
    if config.invalid_as_inf:
        depth_m = beyond_range_at(depth_m, computed.max_depth_m)
    arguments = (depth_m, calibration, computed.header, color, config.avoid_point_cloud_padding)
    if config.voxel_size > 0:
        return voxel_cloud(*arguments, config.voxel_size)
    return point_cloud(*arguments)
