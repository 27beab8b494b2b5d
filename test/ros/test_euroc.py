"""The recorded EuRoC bag through the real node, as a stranger's process sees it.

Depths of the room by SGBM and by hand: padded wall 2.5 m, chessboard 2.3 m, floor 1.2 m.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bag_player import play_bag
from rclpy.node import Node
from rosbags.highlevel import AnyReader

from dtp_stereo_ros.ros.harness.node_process import NodeProcess

pytestmark = pytest.mark.slow

_REMAPS = {
    f'{side}/{kind}': f'/stereo/{side}/{kind}'
    for side in ('left', 'right')
    for kind in ('image_rect', 'camera_info')
}


@pytest.fixture(scope='module')
def bag(data_root: Path) -> Path:
    return data_root / 'euroc' / 'euroc_rect'


@pytest.fixture(scope='module')
def heard(ros: None, bag: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the stranger heard while the bag was played at half speed."""
    folder = tmp_path_factory.mktemp('euroc')
    out = folder / 'heard.npz'
    script = Path(__file__).with_name('plain_subscriber.py')
    parameters = {'backend': 'sgbm', 'disparity_range': 128}
    with NodeProcess(parameters, _REMAPS, folder / 'node.log') as process:
        command = [sys.executable, str(script), str(out), '5', '60']
        with subprocess.Popen(command) as stranger:
            player = Node('player')
            for _ in range(4):  # looped: stamps jump back
                play_bag(player, bag, speed=0.5)
                if stranger.poll() is not None:
                    break
            player.destroy_node()
            assert stranger.wait(70) == 0, process.output()
        assert process.stop() == 0, process.output()
    with np.load(out) as data:
        return dict(data)


@pytest.fixture(scope='module')
def left_stamps(bag: Path) -> set[int]:
    with AnyReader([bag]) as reader:
        connections = [c for c in reader.connections if c.topic == '/stereo/left/image_rect']
        messages = [reader.deserialize(r, c.msgtype) for c, _, r in reader.messages(connections)]
    return {m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages}


def test_stamps_and_frames_are_the_left_images(
    heard: dict[str, Any], left_stamps: set[int]
) -> None:
    assert len(left_stamps) == 95
    for topic in ('disparity', 'depth', 'info', 'cloud'):
        stamps = heard[f'{topic}_stamps'].tolist()
        assert len(stamps) >= 5
        assert set(stamps) <= left_stamps
    assert heard['image_stamp'][0] == heard['disparity_stamps'][-1]
    assert set(heard['frames']) == {'stereo_left_optical_frame'}


def test_disparity_message_describes_the_camera(heard: dict[str, Any]) -> None:
    focal, baseline = heard['f_t']
    assert focal == pytest.approx(436.24429, rel=1e-6)
    assert baseline == pytest.approx(0.110078, rel=1e-5)
    low, high, delta = heard['limits']
    assert low == pytest.approx(48.02083 / 100.0, rel=1e-5)  # f T / max_depth
    assert high == 128.0  # the matcher's limit comes before f T / min_depth = 240
    assert delta == 0.0625
    assert heard['window'].tolist() == [0, 0, 752, 480]
    assert heard['encodings'].tolist() == ['32FC1', '32FC1']
    assert heard['steps'].tolist() == [4 * 752, 4 * 752]


def test_invalid_pixels_lie_below_the_minimum_and_are_never_nan(heard: dict[str, Any]) -> None:
    disparity = heard['disparity']
    low, high, _ = heard['limits']
    assert disparity.shape == (480, 752)
    invalid = disparity < low
    assert np.all(disparity[invalid] == np.float32(low - 1))
    assert np.all(disparity[~invalid] <= high)
    assert 0.6 < np.mean(~invalid) < 0.99


def test_depths_of_the_room(heard: dict[str, Any]) -> None:
    """Median depth of regions that were found by eye in the left image."""
    focal, baseline = heard['f_t']
    disparity, low = heard['disparity'], heard['limits'][0]
    depth = np.where(disparity >= low, focal * baseline / disparity, np.nan)
    regions = {  # rows, columns, metres
        'padded wall': (slice(120, 220), slice(300, 340), 2.5),
        'chessboard': (slice(195, 265), slice(650, 725), 2.3),
        'floor': (slice(420, 470), slice(100, 250), 1.2),
    }
    for name, (rows, columns, expected_m) in regions.items():
        assert np.nanmedian(depth[rows, columns]) == pytest.approx(expected_m, abs=0.1), name


def test_depth_image_agrees_with_the_disparity(heard: dict[str, Any]) -> None:
    """From different frames (the drone stands still), hence the median."""
    focal, baseline = heard['f_t']
    valid = (heard['disparity'] > 1) & np.isfinite(heard['depth'])
    from_disparity = focal * baseline / heard['disparity'][valid]
    assert np.median(np.abs(from_disparity / heard['depth'][valid] - 1)) < 0.01
    assert heard['info_p'][[0, 2, 3, 6]] == pytest.approx([436.24429, 364.44123, 0, 256.95168])


def test_cloud_decoded_by_hand(heard: dict[str, Any]) -> None:
    assert heard['cloud_shape'].tolist() == [480, 752, 32, 32 * 752]
    assert not heard['cloud_dense']
    points = heard['cloud_data'].reshape(480, 752, 32)
    xyz = points[..., :12].copy().view('<f4')
    # the floor at the lower left: left of the axis, below it, 1.2 m away along z
    x, y, z = np.nanmedian(xyz[420:470, 100:250].reshape(-1, 3), axis=0)
    assert z == pytest.approx(1.2, abs=0.1)
    assert x == pytest.approx((175 - 364.4) * z / 436.2, abs=0.05)
    assert y == pytest.approx((445 - 257.0) * z / 436.2, abs=0.05)
    blue, green, red, zero = points[..., 16:20].reshape(-1, 4).T
    assert np.array_equal(blue, green) and np.array_equal(green, red)  # a grey camera
    assert red.std() > 30
    assert not zero.any()
