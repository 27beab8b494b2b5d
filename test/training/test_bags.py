"""Bags of our own making, ROS 2, with disparity, with depth and with neither."""

import numpy as np
import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.training.readers import open_pairs

rosbag2 = pytest.importorskip('rosbags.rosbag2', reason='writes the bag of this test')
typesys = pytest.importorskip('rosbags.typesys')
pytest.importorskip('rosbags.image', reason='rosbags-image decodes images')

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


def info(stamp_ns):
    roi = kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    p = np.zeros(12)
    p[3] = -FOCAL_BASELINE
    return kind('sensor_msgs/msg/CameraInfo')(
        header(stamp_ns), HEIGHT, WIDTH, 'plumb_bob', np.zeros(5), np.zeros(9), np.zeros(9), p,
        0, 0, roi,
    )  # fmt: skip


def disparity(values, stamp_ns):
    roi = kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    return kind('stereo_msgs/msg/DisparityImage')(
        header(stamp_ns), image(values, '32FC1', stamp_ns), 100.0, 0.1, roi, 1.0, 32.0, 0.1
    )


def write_bag(path, truth=''):
    """Five frames; the right view is stamped 1 ms later, and its third image is lost."""
    rng = np.random.default_rng(0)
    with rosbag2.Writer(path, version=8) as writer:
        names = ['left/image_rect', 'right/image_rect', 'right/camera_info', 'disparity', 'depth']
        types = ['sensor_msgs/msg/Image'] * 2 + ['sensor_msgs/msg/CameraInfo']
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
            send('right/camera_info', info(stamp), stamp)
            send('left/image_rect', image(wide[:, :WIDTH], 'mono8', stamp), stamp)
            if i != 2:
                later = stamp + 1_000_000
                send('right/image_rect', image(wide[:, SHIFT:], 'mono8', later), later)
            values = np.full((HEIGHT, WIDTH), SHIFT, np.float32)
            values[0] = -1.0
            send('disparity', disparity(values, stamp), stamp)
            depth = np.full((HEIGHT, WIDTH), 1000 * FOCAL_BASELINE / SHIFT, np.uint16)
            depth[0] = 0
            send('depth', image(depth, '16UC1', stamp), stamp)
    return f'bag:{path}{truth}'


@pytest.mark.parametrize('truth', ['', ',truth=/cam/disparity', ',truth=/cam/depth'])
def test_pairs_of_a_bag(tmp_path, truth):
    spec = write_bag(tmp_path / 'robot', truth)
    scenes = open_pairs(spec, tmp_path / 'cache')
    assert len(scenes) == 4
    for scene in scenes:
        frame = scene.load_frame()
        assert np.array_equal(frame.left[:, SHIFT:], frame.right[:, :-SHIFT])
        if truth:
            found = scene.load_truth().disparity_px
            np.testing.assert_allclose(found[1:], SHIFT, rtol=1e-6)
            assert np.isnan(found[0]).all()
        else:
            assert scene.load_truth is None


def test_a_bag_is_unpacked_once(tmp_path):
    spec = write_bag(tmp_path / 'robot')
    first = open_pairs(spec, tmp_path / 'cache')
    before = first[0].left.stat().st_mtime_ns
    assert open_pairs(spec, tmp_path / 'cache')[0].left.stat().st_mtime_ns == before
    assert len(list((tmp_path / 'cache').iterdir())) == 1


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (',left=/nothing', r'no topic /nothing; it has /cam/depth, '),
        (',right=/cam/depth,truth=/cam/depth,info=/x', 'no topic /x'),
        (',top=/x', "bag option 'top=/x'"),
        (',right=/cam/disparity', '/cam/disparity is no image but stereo_msgs/msg/DisparityImage'),
        (',truth=/cam/depth,info=/cam/disparity,left=/cam/depth,right=', 'bag option'),
    ],
)
def test_wrong_topics_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        open_pairs(write_bag(tmp_path / 'robot', options), tmp_path / 'cache')
    assert not list((tmp_path / 'cache').glob('*'))


def test_a_real_bag(data_root, tmp_path):
    bag = data_root / 'euroc' / 'euroc_rect'
    if not bag.exists():
        pytest.skip(f'no bag at {bag}')
    scenes = open_pairs(f'bag:{bag}', tmp_path)
    assert len(scenes) == 95
    frame = scenes[40].load_frame()
    assert frame.left.shape == (480, 752, 3)
    assert not np.array_equal(frame.left, frame.right)
