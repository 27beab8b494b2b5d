"""A stranger's program: plain rclpy, nothing of ours. Saves what it hears as .npz.

Usage: plain_subscriber.py OUT.npz COUNT TIMEOUT_S
"""

import sys
import time

import numpy as np
import rclpy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

out, count, timeout_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rclpy.init(args=[])
node = rclpy.create_node('stranger')
heard = {'disparity': [], 'depth/image': [], 'depth/camera_info': [], 'points2': []}
types = (DisparityImage, Image, CameraInfo, PointCloud2)
for topic, message_type in zip(heard, types, strict=True):
    node.create_subscription(message_type, topic, heard[topic].append, 10)
deadline = time.monotonic() + timeout_s
while time.monotonic() < deadline and any(len(m) < count for m in heard.values()):
    rclpy.spin_once(node, timeout_sec=0.2)


def stamps(messages):
    """Header stamps, ns."""
    return np.array(
        [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages], np.int64
    )


disparity = heard['disparity'][-1]
depth = heard['depth/image'][-1]
info = heard['depth/camera_info'][-1]
cloud = heard['points2'][-1]
window = disparity.valid_window
np.savez(
    out,
    disparity_stamps=stamps(heard['disparity']),
    depth_stamps=stamps(heard['depth/image']),
    info_stamps=stamps(heard['depth/camera_info']),
    cloud_stamps=stamps(heard['points2']),
    frames=[
        disparity.header.frame_id,
        disparity.image.header.frame_id,
        depth.header.frame_id,
        info.header.frame_id,
        cloud.header.frame_id,
    ],
    image_stamp=stamps([disparity.image]),
    encodings=[disparity.image.encoding, depth.encoding],
    steps=[disparity.image.step, depth.step],
    f_t=[disparity.f, disparity.t],
    limits=[disparity.min_disparity, disparity.max_disparity, disparity.delta_d],
    window=[window.x_offset, window.y_offset, window.width, window.height],
    disparity=np.frombuffer(disparity.image.data, '<f4').reshape(disparity.image.height, -1),
    depth=np.frombuffer(depth.data, '<f4').reshape(depth.height, -1),
    info_p=info.p,
    cloud_shape=[cloud.height, cloud.width, cloud.point_step, cloud.row_step],
    cloud_dense=cloud.is_dense,
    cloud_data=np.frombuffer(cloud.data, np.uint8),
)
node.destroy_node()
rclpy.shutdown()
