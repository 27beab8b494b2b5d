"""Point clouds as messages: what is read, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sensor_msgs.msg import PointCloud2, PointField

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.messages.points import read_points


def cloud(point_step: int = 16, kind: int = PointField.FLOAT32) -> PointCloud2:
    """Two points in one row, the second of them not finite."""
    size = 8 if kind == PointField.FLOAT64 else 4
    rows = np.zeros((2, max(point_step, 3 * size)), np.uint8)
    values = np.array([[1, 2, 3], [4, np.nan, 6]], f'<f{size}')
    rows[:, : 3 * size] = values.view(np.uint8)
    return PointCloud2(
        height=1,
        width=2,
        fields=[
            PointField(name=name, offset=size * n, datatype=kind, count=1)
            for n, name in enumerate('xyz')
        ],
        point_step=point_step,
        row_step=2 * point_step,
        data=rows.tobytes()[: 2 * point_step],
    )


@pytest.mark.parametrize(
    ('point_step', 'kind'), [(12, PointField.FLOAT32), (32, PointField.FLOAT64)]
)
def test_finite_points_are_read(point_step: int, kind: int) -> None:
    assert read_points(cloud(point_step, kind), '/scan').tolist() == [[1, 2, 3]]


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('padding', [0, 5])
def test_any_layout_is_read(order: str, padding: int) -> None:
    """Fields in another order and with others between, padded rows, either byte order."""
    layout = np.dtype(
        {
            'names': ['ring', 'z', 'x', 'y'],
            'formats': ['u1', f'{order}f8', f'{order}f4', f'{order}f4'],
            'offsets': [0, 3, 12, 17],
            'itemsize': 23,
        }
    )
    points = np.zeros((2, 3), layout)
    points['ring'], points['x'] = 255, np.arange(6).reshape(2, 3)
    points['y'], points['z'] = 0.5, [[10, 11, 12], [13, 14, np.inf]]
    rows = np.full((2, 3 * 23 + padding), 171, np.uint8)
    rows[:, : 3 * 23] = points.view(np.uint8).reshape(2, -1)
    kinds = {'x': PointField.FLOAT32, 'y': PointField.FLOAT32, 'z': PointField.FLOAT64}
    message = PointCloud2(
        height=2,
        width=3,
        is_bigendian=order == '>',
        fields=[
            PointField(name=name, offset=offset, datatype=kinds.get(name, PointField.UINT8))
            for name, offset in zip(layout.names, (0, 3, 12, 17), strict=True)
        ],
        point_step=23,
        row_step=rows.shape[1],
        data=rows.tobytes(),
    )
    expected = [[0, 0.5, 10], [1, 0.5, 11], [2, 0.5, 12], [3, 0.5, 13], [4, 0.5, 14]]
    assert read_points(message, '/scan').tolist() == expected


@pytest.mark.parametrize('point_step', [0, 4, 8, 11])
def test_points_smaller_than_their_fields_are_refused(point_step: int) -> None:
    with pytest.raises(InputError, match=r'/scan: .* do not fit'):
        read_points(cloud(point_step), '/scan')


def test_a_cloud_that_is_cut_short_is_refused() -> None:
    message = cloud()
    message.data = message.data[:-1]
    with pytest.raises(InputError, match='/scan: 31 bytes of data do not fit'):
        read_points(message, '/scan')
