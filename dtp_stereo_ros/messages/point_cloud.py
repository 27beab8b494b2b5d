"""Depth to `sensor_msgs/PointCloud2`: organised, or one point per voxel."""

from __future__ import annotations

import cv2
import numpy as np

from ..cloud import LazyDepth, voxel_grid
from ..row_parts import row_parts
from ..stereo import Float32Array, StereoCalibration, UInt8Array
from .images import zeros_of
from .types import Header, MessageTypes, PointCloud2, PointField

# Of sensor_msgs/PointField.
_FLOAT32 = 7
# Floats of a point, by whether it has a colour and avoids padding.
_FLOATS = {(True, False): 8, (False, False): 4, (True, True): 4, (False, True): 3}


def point_cloud(
    types: MessageTypes,
    depth_m: Float32Array | LazyDepth,
    calibration: StereoCalibration,
    header: Header,
    color: UInt8Array | None = None,
    avoid_padding: bool = False,
    before: PointCloud2 | None = None,
) -> PointCloud2:
    """Organised cloud in the left optical frame (x right, y down, z forward; metres).

    Args:
        types: of the message.
        depth_m: (H, W); pixels that are not finite become points of NaN.
        calibration: of that size.
        header: of the left image.
        color: RGB uint8 (H, W, 3), or None for a cloud without colour.
        avoid_padding: points of 16 bytes (12 without colour) instead of the 32 (16) that PCL's
            aligned types have.
        before: of an earlier frame, which nobody reads any more. Where it has the same layout it
            is filled again and returned: fresh memory costs as much as filling it.

    Returns:
        Fields x y z, and rgb as PCL packs it: a FLOAT32 whose bytes are B, G, R, 0.
    """
    height, width = depth_m.shape
    size, has_color = (height, width), color is not None
    if before is not None and _has_layout(before, size, has_color, avoid_padding):
        msg, points = before, _floats(before)
        msg.header = header
    else:
        msg, points = _new_cloud(types, size, header, has_color, avoid_padding)
    places = [0, 1, 2, *([_rgb_index(points.shape[2])] if has_color else [])]
    order = [number for pair in enumerate(places) for number in pair]
    for rows in row_parts(height, width):
        part = np.empty((len(places), rows.stop - rows.start, width), np.float32)
        calibration.points_m(depth_m[rows], rows.start, part[:3].transpose(1, 2, 0))
        if color is not None:
            _packed_color(color[rows], part[3])
        # One pass over the points, where one for each coordinate takes a quarter longer.
        cv2.mixChannels(list(part), [points[rows]], order)
    return msg


def voxel_cloud(
    types: MessageTypes,
    depth_m: Float32Array | LazyDepth,
    calibration: StereoCalibration,
    header: Header,
    color: UInt8Array | None,
    avoid_padding: bool,
    voxel_size_m: float,
) -> PointCloud2:
    """Cloud with one point per voxel: not organised (one row), dense. Arguments as above."""
    points_m, colors = voxel_grid(calibration.points_m(depth_m[:]), color, voxel_size_m)
    size = 1, len(points_m)
    msg, points = _new_cloud(types, size, header, colors is not None, avoid_padding)
    points[..., :3] = points_m
    if colors is not None and len(colors):
        _packed_color(colors[None], points[..., _rgb_index(points.shape[2])])
    msg.is_dense = True
    return msg


def _new_cloud(
    types: MessageTypes,
    size: tuple[int, int],
    header: Header,
    has_color: bool,
    avoid_padding: bool,
) -> tuple[PointCloud2, Float32Array]:
    """A cloud of (height, width) zeros, and its floats (height, width, floats of a point).

    They are filled in place, in the array that the message takes.
    """
    height, width = size
    floats = _FLOATS[has_color, avoid_padding]
    fields = [_float_field(types, name, 4 * index) for index, name in enumerate('xyz')]
    if has_color:
        fields.append(_float_field(types, 'rgb', 4 * _rgb_index(floats)))
    msg = types.point_cloud()
    msg.header = header
    msg.height, msg.width = height, width
    msg.fields = fields
    msg.is_bigendian = False
    msg.point_step = 4 * floats
    msg.row_step = 4 * floats * width
    msg.is_dense = False
    zeros_of(msg, msg.row_step * height)
    return msg, _floats(msg)


def _has_layout(
    msg: PointCloud2, size: tuple[int, int], has_color: bool, avoid_padding: bool
) -> bool:
    """Whether a cloud of `_new_cloud` was made with these arguments."""
    step = 4 * _FLOATS[has_color, avoid_padding]
    made = msg.height, msg.width, msg.point_step, len(msg.fields)
    return made == (*size, step, 4 if has_color else 3)


def _floats(msg: PointCloud2) -> Float32Array:
    """Floats of a cloud (height, width, floats of a point), in its own memory."""
    floats = np.frombuffer(msg.data, '<f4') if len(msg.data) else np.empty(0, '<f4')
    return floats.reshape(msg.height, msg.width, msg.point_step // 4)


def _rgb_index(floats: int) -> int:
    """Place of the colour in a point of so many floats."""
    return 4 if floats == 8 else 3


def _packed_color(color: UInt8Array, floats: Float32Array) -> None:
    """Write RGB (H, W, 3) into floats (H, W): B, G, R and 0 in the bytes of each."""
    bgra = cv2.cvtColor(color, cv2.COLOR_RGB2BGRA).view('<u4')[..., 0]
    np.bitwise_and(bgra, 0x00FFFFFF, out=floats.view('<u4'))


def _float_field(types: MessageTypes, name: str, offset: int) -> PointField:
    return types.point_field(name=name, offset=offset, datatype=_FLOAT32, count=1)
