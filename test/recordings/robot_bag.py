"""Bags of our own making: of ROS 2 with disparity, with depth and with neither, and of ROS 1."""

import cv2
import numpy as np
import pytest

rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='writes the bag of this test')
typesys = pytest.importorskip('rosbags.typesys')

STORE = typesys.get_typestore(typesys.Stores.ROS2_HUMBLE)
HEIGHT, WIDTH, SHIFT = 24, 64, 6
FOCAL_BASELINE = 48.0


def kind(name):
    return STORE.types[name]


def header(stamp_ns):
    time = kind('builtin_interfaces/msg/Time')(stamp_ns // 10**9, stamp_ns % 10**9)
    return kind('std_msgs/msg/Header')(time, 'camera')


def image(pixels, encoding, stamp_ns):
    height, width = pixels.shape[:2]
    data = np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8)
    step = data.size // height
    return kind('sensor_msgs/msg/Image')(header(stamp_ns), height, width, encoding, 0, step, data)


def info(stamp_ns, tx=-FOCAL_BASELINE):
    roi = kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    f = FOCAL_BASELINE / 0.1
    k = np.array([f, 0, WIDTH / 2, 0, f, HEIGHT / 2, 0, 0, 1])
    p = np.insert(k, (3, 6, 9), (tx, 0, 0))
    return kind('sensor_msgs/msg/CameraInfo')(
        header(stamp_ns), HEIGHT, WIDTH, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), p,
        0, 0, roi,
    )  # fmt: skip


def disparity(values, stamp_ns, limits=(1.0, 32.0)):
    roi = kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    return kind('stereo_msgs/msg/DisparityImage')(
        header(stamp_ns), image(values, '32FC1', stamp_ns), 100.0, 0.1, roi, *limits, 0.1
    )


def write_bag(path, truth='', left_tx=None, limits=(1.0, 32.0)):
    """Five frames; the right view is stamped 1 ms later, and its third image is lost.

    With `left_tx` there is a left camera info too, and both have a Tx.
    """
    rng = np.random.default_rng(0)
    with rosbag2.Writer(path, version=8) as writer:
        names = ['left/image_rect', 'right/image_rect', 'right/camera_info', 'left/camera_info']
        names += ['disparity', 'depth']
        types = ['sensor_msgs/msg/Image'] * 2 + ['sensor_msgs/msg/CameraInfo'] * 2
        types += ['stereo_msgs/msg/DisparityImage', 'sensor_msgs/msg/Image']
        topics = {
            name: writer.add_connection(f'/cam/{name}', msgtype, typestore=STORE)
            for name, msgtype in zip(names, types, strict=True)
        }

        def send(name, message, stamp_ns):
            connection = topics[name]
            raw = STORE.serialize_cdr(message, connection.msgtype)
            writer.write(connection, stamp_ns, raw)

        for i in range(5):
            stamp = 10**12 + i * 50_000_000
            wide = rng.integers(0, 255, (HEIGHT, WIDTH + SHIFT), np.uint8)
            send('right/camera_info', info(stamp, (left_tx or 0.0) - FOCAL_BASELINE), stamp)
            if left_tx is not None:
                send('left/camera_info', info(stamp, left_tx), stamp)
            send('left/image_rect', image(wide[:, :WIDTH], 'mono8', stamp), stamp)
            if i != 2:
                later = stamp + 1_000_000
                send('right/image_rect', image(wide[:, SHIFT:], 'mono8', later), later)
            values = np.full((HEIGHT, WIDTH), SHIFT, np.float32)
            values[0] = -1.0
            send('disparity', disparity(values, stamp, limits), stamp)
            depth = np.full((HEIGHT, WIDTH), 1000 * FOCAL_BASELINE / SHIFT, np.uint16)
            depth[0] = 0
            send('depth', image(depth, '16UC1', stamp), stamp)
    return f'bag:{path}{truth}'


def write_compressed_ros1_bag(path):
    """Three frames as PNG in a bag of ROS 1."""
    store = typesys.get_typestore(typesys.Stores.ROS1_NOETIC)
    kinds = store.types
    msgtype = 'sensor_msgs/msg/CompressedImage'
    rng = np.random.default_rng(0)
    with pytest.importorskip('rosbags.rosbag1').Writer(path) as writer:
        topics = {
            side: writer.add_connection(
                f'/cam/{side}/image_rect_color/compressed', msgtype, typestore=store
            )
            for side in ('left', 'right')
        }
        for i in range(3):
            time = kinds['builtin_interfaces/msg/Time'](1000 + i, 0)
            wide = rng.integers(0, 255, (HEIGHT, WIDTH + SHIFT, 3), np.uint8)
            for side, pixels in (('left', wide[:, :WIDTH]), ('right', wide[:, SHIFT:])):
                header = kinds['std_msgs/msg/Header'](i, time, 'camera')
                _, data = cv2.imencode('.png', pixels)
                message = kinds[msgtype](header, 'png', data.ravel())
                raw = store.serialize_ros1(message, msgtype)
                writer.write(topics[side], (1000 + i) * 10**9, raw)
    return f'bag:{path}'


def write_stamped_bag(path, left_ns, right_ns, count=60):
    """Frames at 20 Hz, each side stamped by a function of the time of recording."""
    pixels = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    with rosbag2.Writer(path, version=8) as writer:
        for side, stamp_ns in (('left', left_ns), ('right', right_ns)):
            connection = writer.add_connection(
                f'/cam/{side}/image_rect', 'sensor_msgs/msg/Image', typestore=STORE
            )
            for i in range(count):
                time_ns = 10**12 + i * 50_000_000
                message = image(pixels, 'mono8', stamp_ns(time_ns))
                raw = STORE.serialize_cdr(message, connection.msgtype)
                writer.write(connection, time_ns, raw)
    return f'bag:{path}'
