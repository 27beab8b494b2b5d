"""Messages of bags in the classes of rclpy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dtp_stereo_ros.messages.copies import copied

typesys = pytest.importorskip('rosbags.typesys')


@pytest.mark.parametrize('store', ['ROS1_NOETIC', 'ROS2_HUMBLE'])
def test_an_image_of_a_bag(store: str) -> None:
    kinds = typesys.get_typestore(typesys.Stores[store]).types
    time = kinds['builtin_interfaces/msg/Time'](12, 345)
    number = [7] if store.startswith('ROS1') else []
    header = kinds['std_msgs/msg/Header'](*number, time, 'camera')
    data = np.arange(24, dtype=np.uint8)
    given = kinds['sensor_msgs/msg/Image'](header, 2, 4, 'rgb8', 0, 12, data)
    made = copied(Image, given)
    assert isinstance(made, Image)
    assert (made.header.stamp.sec, made.header.stamp.nanosec) == (12, 345)
    assert made.header.frame_id == 'camera'
    assert (made.height, made.width, made.step, made.encoding) == (2, 4, 12, 'rgb8')
    assert bytes(made.data) == data.tobytes()
    compressed = kinds['sensor_msgs/msg/CompressedImage'](header, 'png', data)
    assert bytes(copied(CompressedImage, compressed).data) == data.tobytes()


def test_a_camera_info_of_numbers_of_all_kinds() -> None:
    """A calibration without distortion has an empty list."""
    stamp = SimpleNamespace(sec=1, nanosec=2)
    roi = SimpleNamespace(x_offset=3, y_offset=4, height=5, width=6, do_rectify=np.bool_(True))
    given = SimpleNamespace(
        header=SimpleNamespace(stamp=stamp, frame_id='left', seq=3), height=48, width=64,
        distortion_model='plumb_bob', d=np.array([]), k=np.arange(9.0), r=np.eye(3).ravel(),
        p=list(range(12)), binning_x=np.uint32(2), binning_y=0, roi=roi,
    )  # fmt: skip
    made = copied(CameraInfo, given)
    assert list(made.d) == []
    assert made.k.tolist() == list(range(9))
    assert made.p.tolist() == list(range(12))
    assert made.roi.do_rectify is True
    assert (made.roi.width, made.binning_x) == (6, 2)
    given.d = [0.1, -0.2]
    assert list(copied(CameraInfo, given).d) == [0.1, -0.2]


def test_a_message_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(AttributeError, match='header'):
        copied(Image, SimpleNamespace())
