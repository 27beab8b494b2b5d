"""Depth to `sensor_msgs/PointCloud2`: organised, or one point per voxel."""

from __future__ import annotations

import array

import cv2
import numpy as np

from ..cloud import voxel_grid
from ..stereo import Float32Array, StereoCalibration, UInt8Array
from .types import Header, MessageTypes, PointCloud2, PointField

# Of sensor_msgs/PointField.
_FLOAT32 = 7


def point_cloud(
    types: MessageTypes,
    depth_m: Float32Array,
    calibration: StereoCalibration,
    header: Header,
    color: UInt8Array | None = None,
    avoid_padding: bool = False,
) -> PointCloud2:
    """Organised cloud in the left optical frame (x right, y down, z forward; metres).

    Args:
        types: of the message.
        depth_m: (H, W); pixels that are not finite become points of NaN.
        calibration: of that size.
        header: of the left image.
        color: RGB uint8 (H, W, 3), or None for a cloud without colour.
        avoid_padding: see `cloud_message`.
    """
    return cloud_message(types, calibration.points_m(depth_m), header, color, avoid_padding)


def voxel_cloud(
    types: MessageTypes,
    depth_m: Float32Array,
    calibration: StereoCalibration,
    header: Header,
    color: UInt8Array | None,
    avoid_padding: bool,
    voxel_size_m: float,
) -> PointCloud2:
    """Cloud with one point per voxel: not organised (one row), dense. Arguments as above."""
    points, colors = voxel_grid(calibration.points_m(depth_m), color, voxel_size_m)
    row_color = None if colors is None else colors[None]
    msg = cloud_message(types, points[None], header, row_color, avoid_padding)
    msg.is_dense = True
    return msg


def cloud_message(
    types: MessageTypes,
    points_m: Float32Array,
    header: Header,
    color: UInt8Array | None,
    avoid_padding: bool,
) -> PointCloud2:
    """Points (H, W, 3) in metres, with RGB uint8 (H, W, 3) or without colour.

    Args:
        types: of the message.
        points_m: NaN where there is none.
        header: of the left image.
        color: or None.
        avoid_padding: points of 16 bytes (12 without colour) instead of the 32 (16) that PCL's
            aligned types have.

    Returns:
        Fields x y z, and rgb as PCL packs it: a FLOAT32 whose bytes are B, G, R, 0.
    """
    height, width = points_m.shape[:2]
    has_color = color is not None
    if avoid_padding:
        floats, rgb_index = (4, 3) if has_color else (3, 3)
    else:
        floats, rgb_index = (8, 4) if has_color else (4, 4)
    # Filled in place in the array that the message takes, without a second copy of megabytes.
    data = array.array('B', [0]) * (4 * floats * width * height)
    if data:
        points = np.frombuffer(data, '<f4').reshape(height, width, floats)
        for index in range(3):
            points[..., index] = points_m[..., index]
        if color is not None:
            points[..., rgb_index] = _packed_color(color)

    fields = [_float_field(types, name, 4 * index) for index, name in enumerate('xyz')]
    if has_color:
        fields.append(_float_field(types, 'rgb', 4 * rgb_index))
    msg = types.point_cloud()
    msg.header = header
    msg.height, msg.width = height, width
    msg.fields = fields
    msg.is_bigendian = False
    msg.point_step = 4 * floats
    msg.row_step = 4 * floats * width
    msg.is_dense = False
    msg.data = data
    return msg


def _packed_color(color: UInt8Array) -> Float32Array:
    """RGB (H, W, 3) to (H, W) little-endian float32 whose bytes are B, G, R, 0."""
    bgra = cv2.cvtColor(color, cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]
    return np.bitwise_and(bgra, 0x00FFFFFF).view('<f4')


def _float_field(types: MessageTypes, name: str, offset: int) -> PointField:
    return types.point_field(name=name, offset=offset, datatype=_FLOAT32, count=1)
