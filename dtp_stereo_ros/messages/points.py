"""`sensor_msgs/PointCloud2` to points."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .types import PointCloud2

# Datatypes of sensor_msgs/PointField that coordinates come in.
_FLOATS = {7: 'f4', 8: 'f8'}


def read_points(msg: PointCloud2, topic: str) -> npt.NDArray[np.float64]:
    """The finite points, (N, 3) float64 in the frame and unit (m) of the message.

    Raises:
        InputError: the cloud has no x, y and z, or its data does not fit its size.
    """
    fields = {field.name: field for field in msg.fields}
    order = '>' if msg.is_bigendian else '<'
    names = ('x', 'y', 'z')
    if any(name not in fields or fields[name].datatype not in _FLOATS for name in names):
        raise InputError(f'{topic}: cloud has no x, y and z as floats; name another topic')
    used = [fields[name] for name in names]
    needed = max(field.offset + np.dtype(_FLOATS[field.datatype]).itemsize for field in used)
    if (
        msg.point_step < needed
        or msg.row_step < msg.point_step * msg.width
        or len(msg.data) < msg.row_step * msg.height
    ):
        raise InputError(
            f'{topic}: {len(msg.data)} bytes of data do not fit the size of the cloud'
        )
    layout = np.dtype(
        {
            'names': names,
            'formats': [order + _FLOATS[field.datatype] for field in used],
            'offsets': [field.offset for field in used],
            'itemsize': msg.point_step,
        }
    )
    rows = np.frombuffer(msg.data, np.uint8)[: msg.row_step * msg.height]
    rows = rows.reshape(msg.height, msg.row_step)[:, : msg.point_step * msg.width]
    points = np.ascontiguousarray(rows).reshape(-1).view(layout)
    xyz = np.stack([points[name].astype(np.float64) for name in names], axis=1)
    return xyz[np.isfinite(xyz).all(axis=1)]
