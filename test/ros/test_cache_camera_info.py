"""`cache_camera_info` over DDS: infos that are latched, slower, stamped otherwise, or change."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher, camera_messages
from dtp_stereo_ros.ros.harness.probe import Probe, image_array
from dtp_stereo_ros.ros.service_caller import set_parameter
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

Start = Callable[..., NodeProcess]
WAIT_S = 30.0
RATE_HZ = 15.0
CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)
ZOOMED = dataclasses.replace(CALIBRATION, fx_px=500.0, fy_px=500.0, baseline_m=0.2)


class Camera:
    """Images at 15 Hz from a thread; `infos` sends the camera infos of a frame, as it likes."""

    def __init__(self, node: Node, frame: StereoFrame) -> None:
        self.publisher = FramePublisher(node)
        self.infos: Callable[[int, dict[str, Any]], None] = lambda index, infos: None
        self.calibration: Callable[[int], StereoCalibration] = lambda index: CALIBRATION
        self.infos_first = True
        self.sent: dict[int, StereoCalibration] = {}
        self._frame = frame
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def start(self) -> None:
        self._thread.start()

    def start_alternating(self, infos_first: bool) -> None:
        """Two calibrations in turn, before or after their images."""
        self.calibration = lambda index: ZOOMED if index % 2 else CALIBRATION
        self.infos = lambda index, infos: self.publisher.send(infos)
        self.infos_first = infos_first
        self.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def messages(self, stamp_ns: int, calibration: StereoCalibration) -> dict[str, Any]:
        """Images and infos by topic."""
        frame = dataclasses.replace(self._frame, stamp_ns=stamp_ns, calibration=calibration)
        return camera_messages(frame)

    def _play(self) -> None:
        index = 0
        while not self._stop.wait(1 / RATE_HZ):
            stamp_ns, calibration = time.time_ns(), self.calibration(index)
            self.sent[stamp_ns] = calibration
            messages = self.messages(stamp_ns, calibration)
            infos = {t: messages.pop(t) for t in list(messages) if t.endswith('info')}
            if self.infos_first:
                self.infos(index, infos)
            self.publisher.send(messages)
            if not self.infos_first:
                self._stop.wait(0.3 / RATE_HZ)
                self.infos(index, infos)
            index += 1


@pytest.fixture
def camera(node: Node, make_frame: Callable[..., StereoFrame]) -> Iterator[Camera]:
    made = Camera(node, make_frame(24, (120, 320), CALIBRATION))
    yield made
    made.stop()


@pytest.fixture
def probe(node: Node) -> Iterator[Probe]:
    made = Probe(node, ('disparity', 'depth/image'), keep=200, diagnostics=True)
    yield made
    made.close()


def said(probe: Probe, part: str) -> dict[str, str]:
    """Wait for a calibration status with that part; returns the values of 'input'."""
    deadline = time.monotonic() + WAIT_S
    last = ''
    while time.monotonic() < deadline:
        probe.spin(0.2)
        for array in probe.messages['/diagnostics'][-1:]:
            statuses = {s.name.partition(': ')[2]: s for s in array.status}
            last = statuses['calibration'].message
            if part in last:
                return {v.key: v.value for v in statuses['input'].values}
    pytest.fail(f'never said {part!r}; last: {last!r}')


def more(probe: Probe, count: int = 5) -> list[Any]:
    before = len(probe.arrivals_s['disparity'])
    assert probe.spin(WAIT_S, until=('disparity', before + count))
    probe.spin(0.2)
    return probe.messages['disparity'][before - len(probe.arrivals_s['disparity']) :]


def set_cache(value: bool) -> None:
    assert set_parameter('/depth_node', 'cache_camera_info', value, WAIT_S) == (True, '')


def check_values(msg: Any, calibration: StereoCalibration = CALIBRATION) -> None:
    assert (msg.f, msg.t) == (calibration.fx_px, pytest.approx(calibration.baseline_m))
    inside = image_array(msg.image)[10:-10, 60:-10]
    assert np.median(inside) == pytest.approx(24, abs=0.1)


def latch(node: Node, camera: Camera) -> None:
    """Let the camera publish the very first infos only, transient local."""
    qos = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )
    for topic in ('left/camera_info', 'right/camera_info'):
        node.destroy_publisher(camera.publisher.publishers[topic])
        camera.publisher.publishers[topic] = node.create_publisher(CameraInfo, topic, qos)

    def send(index: int, infos: dict[str, Any]) -> None:
        if index == 0:
            camera.publisher.send(infos)

    camera.infos = send


def test_latched_before_the_node_starts(
    node: Node, start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    """With the cache it works, whatever the durability that the node asks for by default."""
    latch(node, camera)
    camera.start()
    time.sleep(1.0)  # the infos were sent long before anybody listens
    process = start_depth_node()
    for msg in more(probe):
        check_values(msg)
    said(probe, 'ok')
    assert 'incompatible QoS' not in process.output()


def test_a_camera_that_is_started_again_latches_anew(
    node: Node, start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    """Each time with another calibration; results have that of the camera that runs."""
    start_depth_node()
    probe.spin(1.0)
    for calibration in (CALIBRATION, ZOOMED, CALIBRATION):
        # A participant of DDS of its own, as another process has it.
        context = rclpy.Context()
        rclpy.init(context=context)
        driver = Node('driver', context=context)
        latch(driver, camera)
        infos = camera_messages(dataclasses.replace(camera._frame, calibration=calibration))
        # Sent before the node knows the driver.
        camera.publisher.send({t: m for t, m in infos.items() if t.endswith('info')})
        deadline, results = time.monotonic() + WAIT_S, 0
        while results < 5:
            assert time.monotonic() < deadline, 'no results of the new calibration'
            messages = camera.messages(time.time_ns(), calibration)
            camera.publisher.send({t: m for t, m in messages.items() if t.endswith('rect')})
            probe.spin(0.1)
            newest = probe.messages['disparity'][-1:]
            results += bool(newest and newest[0].f == calibration.fx_px)
        check_values(probe.newest('disparity'), calibration)
        driver.destroy_node()
        rclpy.shutdown(context=context)


def test_infos_that_are_sent_otherwise_than_before_are_no_fault(
    node: Node, start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    """Latched ones are asked for by a subscription of their own, which others do not match."""
    process = start_depth_node()
    latch(node, camera)
    camera.start()
    more(probe)
    volatile = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    loose = node.create_publisher(CameraInfo, 'left/camera_info', volatile)
    probe.spin(2.0)
    more(probe)
    node.destroy_publisher(loose)
    process.stop()
    assert 'incompatible QoS' not in process.output()


def test_latched_without_cache_is_told_and_mended_live(
    node: Node, start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    latch(node, camera)
    camera.start()
    start_depth_node(cache_camera_info=False)
    text = '/left/camera_info does not have the stamps of the images (about '
    values = said(probe, text)
    said(probe, 'off); ros2 param set /depth_node cache_camera_info true')
    assert int(values['dropped no camera_info']) >= 1
    assert probe.arrivals_s['disparity'] == []
    probe.close()
    set_cache(True)
    for msg in more(probe):
        check_values(msg)
    said(probe, 'ok')


@pytest.mark.parametrize('cache', [True, False])
def test_slower(start_depth_node: Start, camera: Camera, probe: Probe, cache: bool) -> None:
    """An info with every fifth frame: with the cache all frames, without it those frames only."""
    described: set[int] = set()

    def every_fifth(index: int, infos: dict[str, Any]) -> None:
        if index % 5 == 0:
            described.add(stamp_ns(infos['left/camera_info']))
            camera.publisher.send(infos)

    camera.infos = every_fifth
    camera.start()
    start_depth_node(cache_camera_info=cache)
    messages = more(probe, 10)
    for msg in messages:
        check_values(msg)
    stamps = {stamp_ns(msg) for msg in messages}
    if cache:
        assert not stamps <= described
    else:
        assert stamps <= described
        assert int(said(probe, 'ok')['dropped no camera_info']) >= 4


@pytest.mark.parametrize('cache', [True, False])
def test_stamped_otherwise(
    start_depth_node: Start, camera: Camera, probe: Probe, cache: bool
) -> None:
    """The right infos are 4 ms late in their stamps, or not stamped at all."""

    def shift(index: int, infos: dict[str, Any]) -> None:
        right = infos['right/camera_info']
        stamp = right.header.stamp
        right.header = type(right.header)(frame_id=right.header.frame_id)
        right.header.stamp.sec = stamp.sec + (stamp.nanosec + 4_000_000) // 10**9
        right.header.stamp.nanosec = (stamp.nanosec + 4_000_000) % 10**9
        camera.publisher.send(infos)

    camera.infos = shift
    camera.start()
    start_depth_node(cache_camera_info=cache)
    if cache:
        for msg in more(probe):
            check_values(msg)
        said(probe, 'ok')
        return
    said(
        probe,
        '/right/camera_info does not have the stamps of the images (about 4 ms off); ros2 param ',
    )
    assert probe.arrivals_s['disparity'] == []


@pytest.mark.parametrize('infos_first', [True, False])
def test_calibration_of_each_frame_without_cache(
    start_depth_node: Start, camera: Camera, probe: Probe, infos_first: bool
) -> None:
    """It changes with every frame, and each result has that of its own frame."""
    camera.start_alternating(infos_first=infos_first)
    start_depth_node(cache_camera_info=False)
    seen = set()
    deadline = time.monotonic() + WAIT_S
    while len(seen) < 2 or len(probe.messages['disparity']) < 10:
        assert time.monotonic() < deadline
        probe.spin(0.2)
        seen = {msg.f for msg in probe.messages['disparity']}
    for msg in probe.messages['disparity']:
        check_values(msg, camera.sent[stamp_ns(msg)])
    depths = [image_array(m)[10:-10, 60:-10] for m in probe.messages['depth/image'][-8:]]
    for msg, depth in zip(probe.messages['depth/image'][-8:], depths, strict=True):
        expected_m = camera.sent[stamp_ns(msg)].focal_baseline_px_m / 24
        assert np.nanmedian(depth) == pytest.approx(expected_m, rel=0.01)


def test_calibration_of_each_frame_that_comes_after_its_images_with_cache(
    start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    """The newest info is always that of another frame; each result waits for its own."""
    camera.start_alternating(infos_first=False)
    start_depth_node(cache_camera_info=True)
    messages = more(probe, 12)
    strange = [m for m in messages if m.f != camera.sent[stamp_ns(m)].fx_px]
    # An info that was lost, or came after the next images of a busy machine, is given up.
    assert len(strange) <= len(messages) // 4


def test_a_last_pair_waits_for_infos_that_are_repeated_late(
    start_depth_node: Start, camera: Camera, probe: Probe
) -> None:
    """A reliable writer may repeat what was lost 3 s later, with its next heartbeat."""
    camera.infos = lambda index, infos: camera.publisher.send(infos)
    camera.start()
    start_depth_node(max_age=0.0)
    more(probe)
    camera.stop()
    probe.spin(0.5)
    before = len(probe.arrivals_s['disparity'])
    messages = camera.messages(time.time_ns(), ZOOMED)
    infos = {t: messages.pop(t) for t in list(messages) if t.endswith('info')}
    camera.publisher.send(messages)
    assert not probe.spin(3.5, until=('disparity', before + 1))
    camera.publisher.send(infos)
    assert probe.spin(WAIT_S, until=('disparity', before + 1))
    check_values(probe.messages['disparity'][-1], ZOOMED)


@pytest.mark.parametrize('cache', [True, False])
def test_calibration_changes_in_the_stream(
    start_depth_node: Start, camera: Camera, probe: Probe, cache: bool
) -> None:
    """Once; the results follow, and stay."""
    zoomed = threading.Event()
    camera.calibration = lambda index: ZOOMED if zoomed.is_set() else CALIBRATION
    camera.infos = lambda index, infos: camera.publisher.send(infos)
    camera.start()
    start_depth_node(cache_camera_info=cache)
    for msg in more(probe):
        check_values(msg)
    zoomed.set()
    more(probe)  # with the cache, an image may have come before its info
    for msg in more(probe):
        check_values(msg, ZOOMED)
    if not cache:
        for msg in probe.messages['disparity']:
            check_values(msg, camera.sent[stamp_ns(msg)])


@pytest.mark.parametrize('cache', [True, False])
def test_no_info_at_all_is_told(
    start_depth_node: Start, camera: Camera, probe: Probe, cache: bool
) -> None:
    camera.start()
    start_depth_node(cache_camera_info=cache)
    said(
        probe, 'no camera_info yet on /left/camera_info; see whether it is published: ros2 topic '
    )
    assert probe.arrivals_s['disparity'] == []
