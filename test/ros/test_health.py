"""Faults of the input that neither break a message nor stop the stream, told with their mend."""

from __future__ import annotations

import copy
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from systems import CALIBRATION, Start, doctor, found, playing

from dtp_stereo_ros.health.finding import Finding
from dtp_stereo_ros.messages.images import to_image, to_rgb
from dtp_stereo_ros.ros.diagnostics import findings_of
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.ros.service_caller import set_parameter
from dtp_stereo_ros.stereo import StereoFrame

WAIT_S = 40.0
LEFT, RIGHT = 'left/image_rect', 'right/image_rect'
Messages = dict[str, Any]


@pytest.fixture
def frame(make_frame: Callable[..., StereoFrame]) -> StereoFrame:
    return make_frame(24, (120, 320), CALIBRATION)


def told(probe: Probe, subject: str, part: str = '') -> Finding:
    """Wait until the node states a finding of a subject, with that part in its text."""
    deadline = time.monotonic() + WAIT_S
    stated: list[Finding] = []
    while time.monotonic() < deadline:
        probe.spin(0.2)
        for msg in probe.messages['/diagnostics'][-1:]:
            stated = [f for status in msg.status for f in findings_of(status)]
            for finding in stated:
                if finding.subject == subject and part in finding.text:
                    return finding
    pytest.fail(f'the node never stated {subject}; it states {stated}')


def well(probe: Probe) -> None:
    """Wait until the node finds nothing and gives results."""
    deadline = time.monotonic() + WAIT_S
    before = len(probe.arrivals_s['disparity'])
    while time.monotonic() < deadline:
        probe.spin(0.2)
        (msg,) = probe.messages['/diagnostics'][-1:] or [None]
        more = len(probe.arrivals_s['disparity']) - before
        if msg and more >= 5 and all(s.level == DiagnosticStatus.OK for s in msg.status):
            return
    pytest.fail(f'the node is not well: {msg}')


def mends(findings: list[dict[str, str]], subject: str) -> list[str]:
    """The mends of one subject."""
    return [f['mend'] for f in findings if f['subject'] == subject and f['level'] != 'ok']


def exchanged(messages: Messages) -> None:
    left, right = messages[LEFT], messages[RIGHT]
    messages[LEFT], messages[RIGHT] = right, left


def raw(messages: Messages) -> None:
    """The right camera's principal point lies 5 px lower than that of the rectified camera."""
    image = messages[RIGHT]
    lower = np.roll(to_rgb(image, RIGHT), 5, axis=0)
    messages[RIGHT] = to_image(ROS_TYPES, lower, 'rgb8', image.header)
    messages['right/camera_info'].k[5] += 5.0


def test_exchanged_views(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame, exchanged):
        stated = told(probe, 'views')
        code, findings = doctor()
    assert stated.level == 'error'
    assert stated.text.startswith('/left/image_rect and /right/image_rect are exchanged')
    assert '-r left/image_rect:=/right/image_rect' in stated.mend
    assert code == 1
    assert mends(findings, 'views') == [stated.mend]
    with playing(node, frame):
        well(probe)


def test_what_pairs_had_wrong_is_not_told_when_none_come(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame, lambda m: m['right/camera_info'].p.__setitem__(3, 0.0)):
        assert told(probe, 'calibration').text.startswith('right camera_info: Tx is zero')
    told(probe, 'sync', 'waiting for')
    end = time.monotonic() + WAIT_S
    levels = {2}
    while levels & {2}:
        assert time.monotonic() < end, 'the calibration of pairs that are gone is still wrong'
        probe.spin(0.5)
        statuses = probe.newest('/diagnostics').status
        levels = {s.level[0] for s in statuses if s.name.endswith(': calibration')}


def test_the_doctor_sees_exchanged_views_while_the_node_rests(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node()
    with playing(node, frame, exchanged):
        time.sleep(4)  # the node listens for two seconds at the start
        code, findings = doctor()
    assert code == 1
    assert ('input', 'idle: nobody subscribes to an output') in found(findings, 'ok')
    assert [s for s, _ in found(findings, 'error')] == ['views']


def test_raw_images_and_their_mend(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame, raw):
        stated = told(probe, 'views')
        code, findings = doctor()
        assert stated.text.startswith('the images are raw: their rows differ by 5.0 px')
        assert stated.mend == 'ros2 param set /depth_node rectify true'
        assert (code, mends(findings, 'views')) == (1, [stated.mend])
        assert set_parameter('depth_node', 'rectify', True, WAIT_S) == (True, '')
        well(probe)
        code, findings = doctor()
        assert (code, found(findings, 'warn')) == (0, [])
    with playing(node, frame, lambda m: m['right/camera_info'].k.__setitem__(5, 65.0)):
        stated = told(probe, 'views')
    assert stated.text.startswith('rectify is set but the images are rectified')
    assert stated.mend == 'ros2 param set /depth_node rectify false'


def test_lost_frames(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    index = itertools.count()

    def lossy(messages: Messages) -> None:
        if next(index) % 5 in (1, 3):
            del messages[RIGHT]

    with playing(node, frame, lossy):
        stated = told(probe, 'lost frames')
        code, findings = doctor()
    assert stated.text.startswith('/right/image_rect: about 40 % of the frames are lost')
    assert 'ros2 topic hz /right/image_rect' in stated.mend  # these are small
    assert mends(findings, 'lost frames') == [stated.mend]
    assert code == 0  # a warning: three of five frames give results
    with playing(node, frame):
        well(probe)


def test_a_camera_that_pauses_loses_nothing(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    for _ in range(3):
        with playing(node, frame):
            well(probe)
            probe.spin(4)
        time.sleep(3)
    assert ' lost ' not in process.output()


def test_all_large_images_lost(node: Node, frame: StereoFrame, tmp_path: Path) -> None:
    """Camera infos come, the images of 2 MB do not: the transports are too small for them."""
    probe = Probe(node, ('disparity',), diagnostics=True)

    def only_infos(messages: Messages) -> None:
        del messages[LEFT], messages[RIGHT]
        for info in messages.values():
            info.width, info.height = 1920, 1080

    log, default = tmp_path / 'node.log', {'FASTDDS_BUILTIN_TRANSPORTS': 'DEFAULT'}
    parameters = {'backend': 'sgbm', 'diagnostics_period': 0.2}
    with NodeProcess(parameters, {}, log, env=default), playing(node, frame, only_infos):
        stated = told(probe, 'lost frames')
    assert stated.text == (
        '/left/image_rect: about 100 % of the frames are lost on the way (beside their '
        'camera_info)'
    )
    assert 'large_messages:=true' in stated.mend


@pytest.mark.parametrize(
    ('stamp_ns', 'text'),
    [
        (lambda side, now: 0, '/left/image_rect: its images have no stamp'),
        (lambda side, now: 1_700_000_000_500_000_000, 'its images all have one stamp'),
        (lambda side, now: now // 10**9 * 10**9, 'its stamps are whole seconds'),
        (lambda side, now: now - (side == 'left') * 10**18, 'the clocks of the cameras differ'),
    ],
)
def test_stamps(
    node: Node,
    start_depth_node: Start,
    frame: StereoFrame,
    stamp_ns: Callable[[str, int], int],
    text: str,
) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)

    def stamped(messages: Messages) -> None:
        now = node.get_clock().now().nanoseconds
        for topic, msg in messages.items():
            stamp = stamp_ns(topic.partition('/')[0], now)
            msg.header = copy.deepcopy(msg.header)
            msg.header.stamp.sec, msg.header.stamp.nanosec = divmod(stamp, 10**9)

    with playing(node, frame, stamped):
        stated = told(probe, 'stamps')
        code, findings = doctor()
    assert text in stated.text
    assert 'approximate_sync' not in stated.line
    assert code == 1
    assert stated.mend in mends(findings, 'stamps')
    with playing(node, frame):
        well(probe)


def test_two_nodes_of_one_name(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    first = start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame):
        well(probe)
        second = start_depth_node()
        stated = told(probe, 'name')
        code, findings = doctor()
        assert stated.text == '2 nodes are called /depth_node, so each result comes 2 times'
        assert (code, mends(findings, 'name')) == (1, [stated.mend] * len(mends(findings, 'name')))
        assert mends(findings, 'name')
        # In two containers of one host they may have one process id.
        tokens: set[str] = set()
        end = time.monotonic() + WAIT_S
        while len(tokens) < 2:
            assert time.monotonic() < end, f'both nodes are {tokens}'
            probe.spin(0.1)
            values = [v for s in probe.newest('/diagnostics').status for v in s.values]
            tokens |= {v.value.rpartition(', ')[2] for v in values if v.key == 'process'}
        second.stop()
        well(probe)
    assert '2 nodes are called' in first.output()
    assert '2 nodes are called' in second.output()


def test_a_late_camera_info_is_no_error(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    first_s: list[float] = []

    def late(messages: Messages) -> None:
        first_s.append(time.monotonic())
        if time.monotonic() - first_s[0] < 1.2:
            del messages['left/camera_info'], messages['right/camera_info']

    camera = FramePublisher(node)
    deadline = time.monotonic() + WAIT_S
    while not camera.subscribed():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with playing(node, frame, late):
        well(probe)
    assert 'camera_info' not in process.output()
    assert '[ERROR]' not in process.output()


def test_the_doctor_waits_for_a_late_node(node: Node, start_depth_node: Start) -> None:
    command = [sys.executable, '-m', 'dtp_stereo_ros.cli', 'doctor', '--seconds', '1']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        time.sleep(4)
        start_depth_node()
        output, _ = process.communicate(timeout=60)
    assert '/depth_node is active' in output


def test_each_finding_has_its_own_mend(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    """Two faults of one status: the mend of each stands below it."""
    override = {'qos_overrides./cam/left.subscription.reliability': 'reliable'}
    start_depth_node({LEFT: '/cam/left', RIGHT: '/cam/right'}, **override)
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = [node.create_publisher(Image, '/cam/left', best_effort)]
    probe = Probe(node, ('disparity',), diagnostics=True)
    stated = told(probe, 'publisher')
    assert 'cannot match' in stated.text
    assert stated.mend == (
        'start the node with --ros-args '
        '-p qos_overrides./cam/left.subscription.reliability:=best_effort'
    )
    # The first may be from before the publisher was discovered.
    waiting = told(probe, 'sync', '/cam/left (1 publisher)')
    assert waiting.mend.startswith('start the camera, or the node with --ros-args -r')
    _, findings = doctor()
    assert stated.mend in mends(findings, 'left') + mends(findings, 'publisher')
    assert waiting.mend in mends(findings, 'sync')
    assert len(publishers) == 1


def test_a_start_that_takes_long_is_no_silence_of_the_camera(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    pytest.importorskip('torch')
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame):
        process = start_depth_node(backend='torch', model='dtpnet-small')
        well(probe)
    assert 'waiting for' not in process.output()


def test_a_healthy_system_is_silent(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    with playing(node, frame):
        well(probe)
        for _ in range(3):
            code, findings = doctor()
            assert (code, found(findings, 'error'), found(findings, 'warn')) == (0, [], [])
    assert ' lost ' not in process.output() and 'exchanged' not in process.output()
