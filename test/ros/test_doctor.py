"""`dtp-stereo doctor` on systems that are well, and on some that are not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo
from systems import CALIBRATION, Start, doctor, found, playing

from dtp_stereo_ros.ros import camera_examination
from dtp_stereo_ros.ros.camera_examination import CameraExamination
from dtp_stereo_ros.ros.harness.player import camera_messages
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.stereo import StereoFrame


@pytest.fixture
def frame(make_frame: Callable[..., StereoFrame]) -> StereoFrame:
    return make_frame(24, (120, 320), CALIBRATION)


@pytest.mark.usefixtures('ros')
def test_no_node() -> None:
    code, findings = doctor('nobody_here')
    assert code == 1
    assert found(findings, 'error')[0][1].startswith('no node nobody_here in ROS domain')
    assert 'ROS_DOMAIN_ID' in findings[0]['mend']


def test_all_is_well(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    start_depth_node()
    Probe(node, ('disparity',))
    with playing(node, frame):
        code, findings = doctor()
    assert found(findings, 'error') == []
    assert code == 0
    fine = dict(found(findings, 'ok'))
    assert fine['node'] == '/depth_node is active'
    assert fine['stamps'] == 'left and right are equal'
    assert fine['calibration'] in ('ok', 'f = 400 px, baseline = 0.1 m')
    assert float(fine['left'].split()[1]) > 0


def no_baseline(messages: dict[str, Any]) -> None:
    messages['right/camera_info'].p[3] = 0.0


def test_what_is_wrong_is_told_with_its_mend(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node({'left/image_rect': '/cam/left/image_rect'}, use_sim_time=True)
    Probe(node, ('disparity',))
    with playing(node, frame, no_baseline):
        code, findings = doctor('/depth_node')
    assert code == 1
    wrong = found(findings, 'error')
    assert ('left', '/cam/left/image_rect: no publisher') in wrong
    mend = next(f['mend'] for f in findings if f['subject'] == 'left')
    assert mend == (
        'start the camera, or the node with --ros-args -r left/image_rect:=/left/image_rect'
    )
    assert ('clock', 'use_sim_time is set but nobody sends /clock') in wrong
    assert any(s == 'calibration' and 'right camera_info: Tx is zero' in t for s, t in wrong)


def test_each_camera_is_looked_at(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    start_depth_node(cameras=('front', 'rear'))
    Probe(node, ('disparity',), prefix='front/')
    Probe(node, ('disparity',), prefix='rear/')
    other = Node('other_camera')
    with playing(node, frame, prefix='front/'), playing(other, frame, no_baseline, 'rear/'):
        code, findings = doctor()
    other.destroy_node()
    assert code == 1
    assert {subject for subject, _ in found(findings, 'error')} == {'rear/calibration'}
    fine = found(findings, 'ok')
    assert ('node', '/depth_node is active') in fine
    assert ('front/calibration', 'f = 400 px, baseline = 0.1 m') in fine
    assert ('front/stamps', 'left and right are equal') in fine
    rates = {s: text for s, text in fine if s in ('front/left', 'rear/right_info')}
    assert rates['front/left'].startswith('/front/left/image_rect: ')
    assert rates['rear/right_info'].startswith('/rear/right/camera_info: ')


def test_latched_camera_infos_are_heard(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node()
    Probe(node, ('disparity',))
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    messages = camera_messages(StereoFrame(frame.left, frame.right, 1, CALIBRATION))
    for topic in ('left/camera_info', 'right/camera_info'):
        node.create_publisher(CameraInfo, topic, qos).publish(messages[topic])

    def images_only(messages: dict[str, Any]) -> None:
        del messages['left/camera_info'], messages['right/camera_info']

    with playing(node, frame, images_only):
        code, findings = doctor()
    assert (code, found(findings, 'error')) == (0, [])
    fine = found(findings, 'ok')
    assert ('left_info', '/left/camera_info: one message') in fine
    assert ('calibration', 'f = 400 px, baseline = 0.1 m') in fine


@pytest.mark.parametrize(
    ('rmw', 'gids', 'remote'),
    [
        ('rmw_fastrtps_cpp', ('010faaaa', '010faaaa'), False),
        ('rmw_fastrtps_cpp', ('010faaaa', '010fbbbb'), True),
        ('rmw_fastrtps_dynamic_cpp', ('010fbbbb', '010fbbbb'), True),
        ('rmw_cyclonedds_cpp', ('01101234', '01105678'), False),
    ],
)
def test_cameras_of_another_machine(
    monkeypatch: pytest.MonkeyPatch, rmw: str, gids: tuple[str, str], remote: bool
) -> None:
    """Only Fast DDS tells the machine in the identifiers of publishers."""
    own = SimpleNamespace(endpoint_gid=[1, 15, 170, 170, 1], node_name='doctor')
    others = dict(zip(('/l', '/r'), gids, strict=True))

    def publishers(topic: str) -> list[SimpleNamespace]:
        if topic == '/rosout':
            return [own]
        return [SimpleNamespace(endpoint_gid=[*bytes.fromhex(others[topic]), 7])]

    listener = SimpleNamespace(get_name=lambda: 'doctor', get_publishers_info_by_topic=publishers)
    monkeypatch.setattr(camera_examination, 'get_rmw_implementation_identifier', lambda: rmw)
    topics = {'left': '/l', 'right': '/r', 'left_info': '/li', 'right_info': '/ri'}
    examined = CameraExamination(cast(Node, listener), '/depth_node', '', topics, {})
    assert examined.remote() == remote


def test_an_inactive_node_is_told(node: Node, start_depth_node: Start) -> None:
    start_depth_node(autostart=False)
    code, findings = doctor()
    assert code == 1
    assert ('lifecycle', 'the node is unconfigured') in found(findings, 'error')


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from dtp_stereo_ros.health.finding import Finding, findings_table

    text = findings_table(
        [Finding('ok', 'a', 'fine'), Finding('error', 'bb', 'broken', 'mend it')]
    )
    assert text.splitlines() == [
        'ok     a   fine',
        'ERROR  bb  broken',
        '           -> mend it',
        '1 wrong, 0 to look at',
    ]
