"""The outputs of a stereo camera: one result to the messages of all topics.

The node publishes them, and `dtp-stereo bag --write` records them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cloud import LazyDepth, decimated
from ..config import NodeConfig
from ..stereo import StereoCalibration, StereoResult, UInt8Array
from .pictures import disparity_picture
from .point_cloud import point_cloud, voxel_cloud
from .results import confidence_image, depth_camera_info, depth_image, disparity_image
from .types import CameraInfo, Header, MessageTypes, PointCloud2


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


def output_messages(
    types: MessageTypes,
    wanted: Collection[str],
    computed: Computed,
    config: NodeConfig,
    cloud: PointCloud2 | None = None,
) -> Iterator[tuple[str, Any]]:
    """Topic and message of the wanted `OUTPUTS`, and of no other; converted one by one.

    A backend without confidence has no message of that topic. A cloud of an earlier frame that
    nobody reads any more may be given, to be filled again.
    """
    result, calibration, header = computed.result, computed.calibration, computed.header
    if 'disparity' in wanted:
        yield 'disparity', disparity_image(types, result, calibration, header)
    if 'disparity/compressed' in wanted:
        yield 'disparity/compressed', disparity_picture(types, result, calibration, header)
    if 'confidence' in wanted and result.confidence is not None:
        yield 'confidence', confidence_image(types, result.confidence, header)
    if 'depth/camera_info' in wanted:
        yield 'depth/camera_info', depth_camera_info(computed.left_info, header)
    if 'depth/image' in wanted:
        depth_m = calibration.depth_m(result.disparity_px)
        yield 'depth/image', depth_image(types, depth_m, config.depth_encoding, header)
    if 'points2' in wanted:
        yield 'points2', cloud_of(types, computed, config, cloud)


def cloud_of(
    types: MessageTypes,
    computed: Computed,
    config: NodeConfig,
    before: PointCloud2 | None = None,
) -> PointCloud2:
    """The cloud after its filters; `before` as of `point_cloud`."""
    calibration, color = computed.calibration, computed.left if config.use_color else None
    disparity_px = computed.result.disparity_px
    if config.decimation > 1:
        calibration = decimated(calibration, config.decimation)
        every = slice(None, None, config.decimation)
        disparity_px = disparity_px[every, every]
        color = None if color is None else np.ascontiguousarray(color[every, every])
    beyond_m = computed.max_depth_m if config.invalid_as_inf else np.inf
    arguments = (
        types,
        LazyDepth(disparity_px, computed.calibration, beyond_m),
        calibration,
        computed.header,
        color,
        config.avoid_point_cloud_padding,
    )
    if config.voxel_size > 0:
        return voxel_cloud(*arguments, config.voxel_size)
    return point_cloud(*arguments, before)
