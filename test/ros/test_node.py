"""The real node process over DDS: values out, parameters, laziness, faults."""

from __future__ import annotations

import array
import dataclasses
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
import yaml
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterEvent, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
)
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables
from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import colorize
from dtp_stereo_ros.messages.compressed_images import decompress
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher, play_frames
from dtp_stereo_ros.ros.harness.probe import Probe, image_array, stamps_ns
from dtp_stereo_ros.ros.service_caller import Caller, set_parameter
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

Start = Callable[..., NodeProcess]
MakeFrame = Callable[..., StereoFrame]

WIDTH, HEIGHT = 320, 120
# f T = 40 px m; principal points differ by 4 px
CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 156.0, 60.0, 0.1, WIDTH, HEIGHT)
WAIT_S = 30.0


@pytest.fixture
def frame(make_frame: MakeFrame) -> StereoFrame:
    """Raw disparity 24 px everywhere: published 20 px, depth 2 m."""
    return make_frame(24, (HEIGHT, WIDTH), CALIBRATION)


class Stream:
    """Sends frames from a thread until stopped."""

    def __init__(self, node: Node, frame: StereoFrame, rate_hz: float = 20.0) -> None:
        self.sent: list[int] = []
        self._stop = threading.Event()
        self._arguments = (node, self._frames(frame), rate_hz)
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def _frames(self, frame: StereoFrame) -> Iterable[StereoFrame]:
        return itertools.takewhile(lambda _: not self._stop.is_set(), itertools.repeat(frame))

    def _play(self) -> None:
        play_frames(
            *self._arguments, wait_s=WAIT_S, on_sent=lambda f: self.sent.append(f.stamp_ns)
        )


def diagnostics(probe: Probe, accept: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Wait for diagnostics that are accepted: name to (level, message, values)."""
    deadline = time.monotonic() + WAIT_S
    found: dict[str, Any] = {}
    while time.monotonic() < deadline:
        probe.spin(1.0, until=('/diagnostics', len(probe.arrivals_s['/diagnostics']) + 1))
        for status in (
            probe.newest('/diagnostics').status if probe.messages['/diagnostics'] else ()
        ):
            values = {v.key: v.value for v in status.values}
            found[status.name.split(': ')[1]] = (status.level[0], status.message, values)
        if found and accept(found):
            return found
    pytest.fail(f'diagnostics never came to be as expected; last: {found}')


@pytest.mark.parametrize('overlap', [False, True])
def test_all_outputs_of_a_known_scene(
    node: Node, start_depth_node: Start, frame: StereoFrame, overlap: bool
) -> None:
    start_depth_node(overlap_publishing=overlap)
    topics = ('disparity', 'disparity/compressed', 'points2', 'depth/image', 'depth/camera_info')
    probe = Probe(node, topics)
    with Stream(node, frame) as stream:
        for topic in topics:
            assert probe.spin(WAIT_S, until=(topic, 3)), topic
    for topic in topics:
        stamps = stamps_ns(probe.messages[topic])
        assert set(stamps) <= set(stream.sent)
        assert stamps == sorted(stamps)
        assert probe.newest(topic).header.frame_id == 'stereo_left_optical_frame'
    disparity = probe.newest('disparity')
    assert (disparity.f, disparity.t) == (400.0, pytest.approx(0.1))
    inside = (slice(10, -10), slice(60, -10))
    assert np.median(image_array(disparity.image)[inside]) == pytest.approx(20, abs=0.1)
    picture = decompress(probe.newest('disparity/compressed'), 'disparity/compressed')
    assert picture.shape == (HEIGHT, WIDTH, 3)
    levels = np.sqrt(np.array([[20.0]], np.float32))
    expected = colorize(levels, 0.0, disparity.max_disparity**0.5)[0, 0]
    assert np.median(picture[inside], axis=(0, 1)) == pytest.approx(expected, abs=8)
    depth = image_array(probe.newest('depth/image'))
    assert np.nanmedian(depth[inside]) == pytest.approx(2.0, abs=0.02)
    info = probe.newest('depth/camera_info')
    assert (info.width, info.height, info.p[2]) == (WIDTH, HEIGHT, 160.0)
    cloud = np.frombuffer(probe.newest('points2').data, np.uint8).reshape(HEIGHT, WIDTH, 32)
    valid = np.isfinite(cloud[..., 8:12].copy().view('<f4')[..., 0])
    assert np.array_equal(cloud[valid][:, 16:19], frame.left[valid][:, ::-1])


def test_lazy_until_somebody_subscribes(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    """No subscriber, no result, and no subscription to the images either; and so again after."""
    start_depth_node()
    watcher = Probe(node, (), diagnostics=True)
    camera = FramePublisher(node)
    heard = camera.publishers['left/image_rect'].get_subscription_count
    found = diagnostics(watcher, lambda f: f['input'][1].startswith('idle: nobody subscribes'))
    assert found['input'][0] == 0
    assert heard() == 0
    watcher.close()
    probe = Probe(node, ('depth/camera_info',), diagnostics=True)
    with Stream(node, frame):
        assert probe.spin(WAIT_S, until=('depth/camera_info', 2))
        found = diagnostics(probe, lambda f: int(f['matching'][2]['results']) >= 2)
    level, message, values = found['matching']
    assert (level, message) == (0, 'ok')
    assert values['model'] == 'sgbm' and values['device'] == 'CPU'
    assert float(values['latency p50 [ms]']) <= float(values['latency p95 [ms]'])
    assert 0.5 < float(values['valid share']) <= 1.0
    assert 20 < float(values['memory [MiB]']) < 4000
    assert found['calibration'][2]['baseline [m]'] == '0.1'
    assert float(found['input'][2]['stamps right - left [ms]']) == 0.0
    assert heard() == 1
    for subscription in list(node.subscriptions):
        if subscription.topic_name == '/depth/camera_info':
            node.destroy_subscription(subscription)
    wait_until(lambda: heard() == 0)
    again = Probe(node, ('disparity',))
    with Stream(node, frame):
        assert again.spin(WAIT_S, until=('disparity', 2))


def change(name: str, value: Any) -> tuple[bool, str]:
    result = set_parameter('/depth_node', name, value, WAIT_S)
    assert result is not None
    return result


def call(service: Any, name: str, **fields: Any) -> Any:
    """Call a parameter service of the node as rqt_reconfigure does."""
    with Caller(service, f'/depth_node/{name}', WAIT_S) as caller:
        return caller.call(service.Request(**fields))


def test_parameters_as_rqt_reconfigure_sees_them(node: Node, start_depth_node: Start) -> None:
    start_depth_node(max_depth=8.5)
    listed = call(ListParameters, 'list_parameters').result.names
    specs = tunables(PipelineConfig) | tunables(NodeConfig)
    assert set(specs) <= set(listed)
    overrides = {n for n in listed if n.startswith('qos_overrides.')}
    assert 'qos_overrides./disparity.publisher.reliability' in overrides
    assert 'qos_overrides./left/image_rect.subscription.depth' in overrides

    reply = call(DescribeParameters, 'describe_parameters', names=list(specs))
    for (name, spec), descriptor in zip(specs.items(), reply.descriptors, strict=True):
        assert descriptor.name == name
        assert descriptor.description.startswith(spec.description)
        assert descriptor.read_only == (not spec.live)
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        if spec.minimum is not None:
            shown = (ranges[0].from_value, ranges[0].to_value, ranges[0].step)
            assert shown == (*(spec.slider or (spec.minimum, spec.maximum)), spec.step)
        for choice in spec.choices:
            assert choice in descriptor.additional_constraints
            assert choice in descriptor.description

    value = call(GetParameters, 'get_parameters', names=['max_depth']).values[0]
    assert value.double_value == 8.5
    # Values between the steps of the slider and beyond it are accepted; it then reaches them.
    assert change('max_depth', 33.3) == (True, '')
    assert change('max_depth', 500.0) == (True, '')
    reply = call(DescribeParameters, 'describe_parameters', names=['max_depth'])
    assert reply.descriptors[0].floating_point_range[0].to_value == 100000.0


def test_refusals_are_logged_and_the_value_in_force_is_sent(
    node: Node, start_depth_node: Start
) -> None:
    process = start_depth_node()
    events: list[ParameterEvent] = []
    node.create_subscription(ParameterEvent, '/parameter_events', events.append, 100)
    for name, value, kept, reason in (
        ('max_depth', -1.0, 100.0, 'max_depth is -1.0 m, it must be in 0.01 .. 100000.0 m'),
        ('backend', 'magic', 'sgbm', "backend is 'magic', choose one of auto, openvino, onnx"),
        ('queue_size', 9, 5, 'Trying to set a read-only parameter: queue_size.'),
        ('use_color', 'yes', True, 'Wrong parameter type'),
    ):
        sent: list[Any] = []
        deadline = time.monotonic() + WAIT_S
        while not sent:  # what is sent before we are discovered is lost
            assert time.monotonic() < deadline
            assert change(name, value)[0] is False
            rclpy.spin_once(node, timeout_sec=0.5)
            found = (m for e in events if e.node == '/depth_node' for m in e.changed_parameters)
            sent = [Parameter.from_parameter_msg(m).value for m in found if m.name == name]
        assert set(sent) == {kept}
        wait_until(lambda text=f'{name} stays {kept}: {reason}': text in process.output())
    assert change('max_deph', 3.0)[0] is False
    wait_until(lambda: 'max_deph (is max_depth meant?)' in process.output())


def test_a_parameter_file_of_stereo_image_proc(
    node: Node, start_depth_node: Start, tmp_path: Path
) -> None:
    """All names of its disparity and point cloud nodes in Humble, Jazzy and Rolling."""
    counterparts = {
        'image_transport': 'raw',
        'queue_size': 10,
        'approximate_sync': True,
        'approximate_sync_tolerance_seconds': 0.02,
        'use_system_default_qos': True,
        'prefilter_cap': 31,
        'correlation_window_size': 15,
        'min_disparity': -16,
        'disparity_range': 96,
        'texture_threshold': 10,
        'speckle_size': 100,
        'speckle_range': 4,
        'disp12_max_diff': 0,
        'uniqueness_ratio': 15.0,
        'P1': 200.0,
        'P2': 400.0,
        'sgbm_mode': 0,
        'avoid_point_cloud_padding': True,
        'use_color': False,
    }
    others = {'stereo_algorithm': 1, 'prefilter_size': 9, 'full_dp': False, 'speckel_size': 3}
    path = tmp_path / 'theirs.yaml'
    settings = {'ros__parameters': counterparts | others}
    path.write_text(yaml.safe_dump({'/disparity_node': settings}))
    process = NodeProcess(
        {'backend': 'sgbm'}, {'__node': 'disparity_node'}, tmp_path / 'log',
        ['--params-file', str(path)],
    )  # fmt: skip
    with process, Caller(GetParameters, '/disparity_node/get_parameters', WAIT_S) as caller:
        values = caller.call(GetParameters.Request(names=list(counterparts))).values
        found = [parameter_value_to_python(value) for value in values]
        assert found == list(counterparts.values())
        lines = [line for line in process.output().splitlines() if 'no such parameter' in line]
        assert len(lines) == 1
        for text in (
            'speckel_size (is speckle_size meant?)',
            "stereo_algorithm (stereo_image_proc's: set backend to sgbm",
            'prefilter_size',
            'full_dp',
        ):
            assert text in lines[0]
        assert process.stop() == 0
    process = NodeProcess({'backend': 'sgbm'}, {}, tmp_path / 'log2', ['--params-file', str(path)])
    with process:
        wait_until(
            lambda: (
                f'{path} has nothing for /depth_node, only for /disparity_node; rename'
                in process.output()
            )
        )


def test_settings_of_sgbm_are_live(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node(use_system_default_qos=True)
    probe = Probe(node, ('disparity',))
    with Stream(node, frame):
        assert probe.spin(WAIT_S, until=('disparity', 2))
        assert probe.newest('disparity').min_disparity == pytest.approx(0.4)  # max_depth
        assert change('min_disparity', 16) == (True, '')
        assert change('disparity_range', 32) == (True, '')
        assert probe.spin(WAIT_S, until=('disparity', len(probe.arrivals_s['disparity']) + 6))
    disparity = probe.newest('disparity')
    # Raw, less the offset of the principal points.
    assert (disparity.min_disparity, disparity.max_disparity) == (12.0, 44.0)
    inside = (slice(10, -10), slice(60, -10))
    assert np.median(image_array(disparity.image)[inside]) == pytest.approx(20, abs=0.1)


def test_refused_parameters_say_why_and_keep_the_old_value(
    node: Node, start_depth_node: Start
) -> None:
    start_depth_node()
    for name, value, reason in (
        ('max_depth', -1.0, 'max_depth'),
        ('max_depth', 0.1, 'min_depth 0.2 m must be below max_depth 0.1 m'),
        ('depth_encoding', '8UC1', "depth_encoding is '8UC1', choose one of 32FC1, 16UC1"),
        ('backend', 'magic', "backend is 'magic', choose one of auto"),
        ('queue_size', 9, 'read-only'),
        ('max_depth', 'far', 'type'),
    ):
        before = call(GetParameters, 'get_parameters', names=[name]).values[0]
        successful, why = change(name, value)
        assert not successful
        assert reason in why
        assert call(GetParameters, 'get_parameters', names=[name]).values[0] == before


def test_failed_backend_swap_keeps_the_old_one(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node()
    successful, why = change('model', '/nowhere/model.onnx')
    assert successful  # sgbm reads no model
    successful, why = change('backend', 'onnx')
    assert not successful and '/nowhere/model.onnx' in why
    assert (
        call(GetParameters, 'get_parameters', names=['backend']).values[0].string_value == 'sgbm'
    )
    probe = Probe(node, ('disparity',))
    with Stream(node, frame):
        assert probe.spin(WAIT_S, until=('disparity', 2)), process.output()


def test_changes_come_into_force_between_frames(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node()
    probe = Probe(node, ('depth/image', 'points2'))
    with Stream(node, frame):
        assert probe.spin(WAIT_S, until=('depth/image', 1))
        probe.close()
        assert change('depth_encoding', '16UC1') == (True, '')
        assert change('avoid_point_cloud_padding', True) == (True, '')
        assert change('max_depth', 1.5) == (True, '')
        already = {t: len(probe.arrivals_s[t]) for t in probe.arrivals_s}
        assert probe.spin(WAIT_S, until=('points2', already['points2'] + 6))
        assert probe.spin(WAIT_S, until=('depth/image', already['depth/image'] + 6))
    depth = probe.newest('depth/image')
    assert depth.encoding == '16UC1'
    millimetres = np.frombuffer(depth.data, '<u2').reshape(HEIGHT, WIDTH)
    assert np.median(millimetres[10:-10, 60:-10]) == 0  # 2 m are beyond 1.5 m
    assert probe.newest('points2').point_step == 16


def broken(publisher: FramePublisher, topic: str, change: Callable[[Any], None]) -> None:
    """Let every message of one topic be changed before it is sent."""
    original = publisher.publishers[topic]

    class Changing:
        def publish(self, msg: Any) -> None:
            change(msg)
            original.publish(msg)

        def get_subscription_count(self) -> int:
            return original.get_subscription_count()

    publisher.publishers[topic] = Changing()  # type: ignore[assignment]


def encoding_unknown(msg: Any) -> None:
    msg.encoding = 'rgb99'


def data_cut(msg: Any) -> None:
    msg.data = array.array('B', bytes(10))


def zero_size(msg: Any) -> None:
    msg.width = msg.height = msg.step = 0
    msg.data = array.array('B')


def tx_zero(msg: Any) -> None:
    msg.p[3] = 0.0


def tx_positive(msg: Any) -> None:
    msg.p[3] = -msg.p[3]


def p_nan(msg: Any) -> None:
    msg.p[0] = float('nan')


@pytest.mark.parametrize(
    ('topic', 'change', 'subject', 'text'),
    [
        ('left/image_rect', encoding_unknown, 'input', "/left/image_rect: encoding 'rgb99'"),
        ('right/image_rect', data_cut, 'input', '/right/image_rect: 320x120 rgb8 image has 10'),
        ('left/image_rect', zero_size, 'input', 'is empty'),
        ('right/camera_info', tx_zero, 'calibration', 'right camera_info: Tx is zero'),
        ('right/camera_info', tx_positive, 'calibration', 'right camera_info: Tx is positive'),
        ('left/camera_info', p_nan, 'calibration', 'left camera_info: K or P has NaN'),
    ],
)
def test_a_fault_is_named_once_and_the_node_recovers(
    node: Node,
    start_depth_node: Start,
    frame: StereoFrame,
    topic: str,
    change: Callable[[Any], None],
    subject: str,
    text: str,
) -> None:
    process = start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    sick, well = FramePublisher(node), FramePublisher(node)
    broken(sick, topic, change)
    wait_until(sick.subscribed)

    def send(publisher: FramePublisher) -> None:
        now = node.get_clock().now().nanoseconds
        publisher.publish(dataclasses.replace(frame, stamp_ns=now))

    def sick_until_reported(found: dict[str, Any]) -> bool:
        send(sick)
        level, message, _ = found[subject]
        return level == 2 and text in message

    found = diagnostics(probe, sick_until_reported)
    assert int(found['input'][2]['dropped fault']) >= 1
    assert probe.arrivals_s['disparity'] == []
    for _ in range(5):
        send(sick)
        probe.spin(0.05)

    def well_again(found: dict[str, Any]) -> bool:
        send(well)
        return found[subject][:2] == (0, 'ok') and len(probe.messages['disparity']) > 0

    diagnostics(probe, well_again)
    assert process.output().count(text) == 1
    assert process.poll() is None


def test_raw_images_are_rectified_or_the_lens_is_refused(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    """The infos of an ideal lens, then of one that nobody knows, and then ideal again."""
    start_depth_node(rectify=True)
    probe = Probe(node, ('disparity',), diagnostics=True)
    ideal, strange = FramePublisher(node), FramePublisher(node)

    def unknown_lens(msg: Any) -> None:
        msg.distortion_model, msg.d = 'thin_prism', [0.1] * 5

    broken(strange, 'left/camera_info', unknown_lens)
    wait_until(ideal.subscribed)
    for publisher, text in ((ideal, 'ok'), (strange, "'thin_prism' is not known"), (ideal, 'ok')):
        before = len(probe.arrivals_s['disparity'])

        def said(
            found: dict[str, Any],
            publisher: FramePublisher = publisher,
            text: str = text,
            before: int = before,
        ) -> bool:
            now = node.get_clock().now().nanoseconds
            publisher.publish(dataclasses.replace(frame, stamp_ns=now))
            came = len(probe.arrivals_s['disparity']) > before
            return text in found['calibration'][1] and (came or text != 'ok')

        diagnostics(probe, said)
    inside = image_array(probe.newest('disparity').image)[10:-10, 60:-10]
    assert np.median(inside) == pytest.approx(20, abs=0.1)


def wait_until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_missing_camera_info_is_said(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node({'right/camera_info': '/elsewhere'})
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher = FramePublisher(node)
    wait_until(lambda: publisher.publishers['right/image_rect'].get_subscription_count() > 0)

    def said(found: dict[str, Any]) -> bool:
        now = node.get_clock().now().nanoseconds
        publisher.publish(dataclasses.replace(frame, stamp_ns=now))
        return 'no camera_info yet on /elsewhere' in found['calibration'][1]

    diagnostics(probe, said)
    assert process.poll() is None


def test_waiting_for_a_topic_is_said(node: Node, start_depth_node: Start) -> None:
    start_depth_node({'left/image_rect': '/cam/left'})
    probe = Probe(node, (), diagnostics=True)
    found = diagnostics(probe, lambda f: f['input'][0] != 0)
    assert (
        'waiting for /cam/left (0 publishers) and /right/image_rect (0 publ' in found['input'][1]
    )


def test_size_may_change_in_the_stream(
    node: Node, start_depth_node: Start, make_frame: MakeFrame
) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), keep=100)
    sizes = [(HEIGHT, WIDTH), (97, 203), (HEIGHT, WIDTH)]
    for size in sizes:
        calibration = dataclasses.replace(CALIBRATION, width_px=size[1], height_px=size[0])
        with Stream(node, make_frame(24, size, calibration)):
            before = len(probe.arrivals_s['disparity'])
            assert probe.spin(WAIT_S, until=('disparity', before + 3))
        shapes = [(m.image.height, m.image.width) for m in probe.messages['disparity'][before:]]
        assert shapes[-1] == size


@pytest.mark.parametrize('topic', ['disparity', 'points2', 'depth/image'])
def test_depth_limits_that_leave_nothing_are_told_whatever_is_subscribed(
    node: Node, start_depth_node: Start, frame: StereoFrame, topic: str
) -> None:
    """All would be beyond range: with invalid_as_inf that clears a costmap."""
    start_depth_node(max_depth=0.5, min_depth=0.1, invalid_as_inf=True)  # seen from 0.63 m
    probe = Probe(node, (topic,), diagnostics=True)
    with Stream(node, frame):
        found = diagnostics(probe, lambda f: f['matching'][0] == 2)
        assert 'px is empty: nothing between min_depth and max_depth' in found['matching'][1]
        assert probe.arrivals_s[topic] == []
        assert change('max_depth', 5.0)[0]
        assert probe.spin(WAIT_S, until=(topic, 3))


@pytest.mark.parametrize(
    ('off_s', 'said'),
    [
        (5.0, 'more than 0.5 s ahead of the clock'),
        (50.0, 'more than 0.5 s ahead of the clock'),
        # As of a bag that is played without its clock: results come, whatever max_age is.
        (70.0, 'more than 60 s off the clock'),
        (-90.0, 'more than 60 s off the clock'),
        (-1e9, 'more than 60 s off the clock'),
    ],
)
def test_stamps_of_another_clock_are_told(
    node: Node, start_depth_node: Start, frame: StereoFrame, off_s: float, said: str
) -> None:
    start_depth_node(max_age=0.5)
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher = FramePublisher(node)
    wait_until(publisher.subscribed)

    def told(found: dict[str, Any]) -> bool:
        stamp = node.get_clock().now().nanoseconds + int(off_s * 1e9)
        publisher.publish(dataclasses.replace(frame, stamp_ns=stamp))
        return said in found['input'][1]

    found = diagnostics(probe, told)
    assert found['input'][0] == 1
    assert probe.arrivals_s['disparity']
    age_ms = float(found['matching'][2]['age of output [ms]'])
    if 'ahead' in said:
        assert -1e3 * off_s < age_ms < -1e3 * off_s + 5e3
    else:
        assert 'ros2 param set /depth_node use_sim_time true' in found['input'][1]
        assert 0 < age_ms < 5e3


def test_a_fault_of_some_frames_is_shown_between_them(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    start_depth_node(diagnostics_period=0.5)
    probe = Probe(node, ('disparity',), diagnostics=True)
    sick, well = FramePublisher(node), FramePublisher(node)
    broken(sick, 'left/image_rect', encoding_unknown)
    wait_until(sick.subscribed)
    levels = []
    for index in range(60):
        now = node.get_clock().now().nanoseconds
        (sick if index % 5 == 0 else well).publish(dataclasses.replace(frame, stamp_ns=now))
        probe.spin(0.05)
        if index > 10 and probe.messages['/diagnostics']:
            status = probe.newest('/diagnostics').status
            levels += [s.level[0] for s in status if s.name.endswith(': input')]
    assert set(levels) == {2}
    assert len(probe.arrivals_s['disparity']) > 10


def test_a_request_for_parameters_that_is_none_is_told_and_ignored(
    node: Node, start_depth_node: Start
) -> None:
    process = start_depth_node()
    no_type = ParameterMsg(name='max_depth', value=ParameterValue(type=77))
    request = SetParameters.Request(parameters=[no_type])
    with Caller(SetParameters, '/depth_node/set_parameters', 1.0) as caller:
        text = 'a request for parameters is no such, it is ignored'
        wait_until(lambda: caller.call(request) is not None or text in process.output())
    assert text in process.output()
    assert change('max_depth', 5.0) == (True, '')


def test_stale_frames_are_dropped_and_counted(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    process = start_depth_node(max_age=0.5)
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher = FramePublisher(node)
    wait_until(publisher.subscribed)

    def dropped(found: dict[str, Any]) -> bool:
        stamp = node.get_clock().now().nanoseconds - 10 * 10**9
        publisher.publish(dataclasses.replace(frame, stamp_ns=stamp))
        return int(found['input'][2].get('dropped stale', '0')) >= 3

    found = diagnostics(probe, dropped)
    assert 'older than max_age 0.5 s' in found['input'][1]
    assert probe.arrivals_s['disparity'] == []
    assert process.output().count('older than max_age') == 1
    assert found['input'][0] == DiagnosticStatus.WARN[0]
    # Nothing goes out: who watches errors alone shall be told.
    diagnostics(probe, lambda now: dropped(now) and now['input'][0] == DiagnosticStatus.ERROR[0])


def test_a_clock_below_zero_is_told_and_ignored(node: Node, start_depth_node: Start) -> None:
    process = start_depth_node(use_sim_time=True)
    clock = node.create_publisher(Clock, '/clock', 10)
    wait_until(lambda: clock.get_subscription_count() > 0)
    for seconds in (5, -1, -2_000_000_000, 6):
        for _ in range(3):
            clock.publish(Clock(clock=Time(sec=seconds)))
            time.sleep(0.05)
    wait_until(lambda: '/clock has a time that is none' in process.output())
    assert process.output().count('/clock has a time that is none') == 1
    # It runs: the fixture stops it, and it must end with code 0.


def test_simulated_time(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    """With use_sim_time the age is measured by /clock: the wall clock is years ahead of it."""
    start_depth_node(max_age=0.5, use_sim_time=True)
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher = FramePublisher(node)
    clock = node.create_publisher(Clock, '/clock', 10)
    wait_until(lambda: publisher.subscribed() and clock.get_subscription_count() > 0)
    # Until the node has heard the clock once, its time is 0 and nothing is old.
    for _ in range(20):
        clock.publish(Clock(clock=Time(sec=1_403_715_272)))
        probe.spin(0.05)
    second, ages_s = itertools.count(1_403_715_273), itertools.cycle([10, 0])
    now, fresh = 0, set[int]()

    def send(_: Any = None) -> None:
        nonlocal now
        now = next(second)
        clock.publish(Clock(clock=Time(sec=now)))
        probe.spin(0.05)
        age_s = next(ages_s)
        if age_s == 0:
            fresh.add(now)
        stamp_ns = (now - age_s) * 10**9
        publisher.publish(dataclasses.replace(frame, stamp_ns=stamp_ns))

    def came(found: dict[str, Any]) -> bool:
        send()
        dropped = int(found['input'][2].get('dropped stale', '0'))
        return dropped >= 1 and len(probe.messages['disparity']) > 0

    diagnostics(probe, came)
    assert {m.header.stamp.sec for m in probe.messages['disparity']} <= fresh


def test_approximate_sync_live(node: Node, start_depth_node: Start, frame: StereoFrame) -> None:
    """Cameras 5 ms apart: nothing and the reason at first, pairs after the parameter is set."""
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher = FramePublisher(node)

    def shift(msg: Any) -> None:
        later = msg.header.stamp.nanosec + 5_000_000
        stamp = Time(sec=msg.header.stamp.sec + later // 10**9, nanosec=later % 10**9)
        msg.header = Header(stamp=stamp, frame_id=msg.header.frame_id)

    broken(publisher, 'right/image_rect', shift)
    wait_until(publisher.subscribed)

    def send(_: Any = None) -> None:
        now = node.get_clock().now().nanoseconds
        publisher.publish(dataclasses.replace(frame, stamp_ns=now))

    def unpaired(found: dict[str, Any]) -> bool:
        send()
        mend = 'ros2 param set /depth_node approximate_sync true'
        return f'stamps differ (about 5 ms); {mend}' in found['input'][1]

    diagnostics(probe, unpaired)
    assert probe.arrivals_s['disparity'] == []
    probe.close()
    assert change('approximate_sync', True) == (True, '')

    def paired(found: dict[str, Any]) -> bool:
        send()
        return len(probe.messages['disparity']) >= 3

    found = diagnostics(probe, paired)
    assert float(found['input'][2]['stamps right - left [ms]']) == 5.0


def test_compressed_transport_follows_the_remapped_topic(
    node: Node, start_depth_node: Start, frame: StereoFrame
) -> None:
    import cv2
    from sensor_msgs.msg import CompressedImage

    start_depth_node({'left/image_rect': '/cam/left'}, image_transport='compressed')
    probe = Probe(node, ('disparity',))
    infos = FramePublisher(node)
    images = {
        side: node.create_publisher(CompressedImage, f'{topic}/compressed', 10)
        for side, topic in (('left', '/cam/left'), ('right', '/right/image_rect'))
    }
    wait_until(lambda: all(p.get_subscription_count() for p in images.values()))
    deadline = time.monotonic() + WAIT_S
    while not probe.messages['disparity']:
        assert time.monotonic() < deadline
        now = node.get_clock().now()
        infos.publish(dataclasses.replace(frame, stamp_ns=now.nanoseconds))
        for side, publisher in images.items():
            _, data = cv2.imencode('.png', getattr(frame, side)[..., ::-1])
            msg = CompressedImage(header=Header(stamp=now.to_msg(), frame_id='cam'), format='png')
            msg.data = array.array('B', data.tobytes())
            publisher.publish(msg)
        probe.spin(0.1)
    disparity = probe.newest('disparity')
    assert disparity.header.frame_id == 'cam'
    inside = image_array(disparity.image)[10:-10, 60:-10]
    assert np.median(inside) == pytest.approx(20, abs=0.1)


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-m', 'dtp_stereo_ros.ros.depth_node', *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Stand before --ros-args.
_PLAIN = ('backend:=sgbm', '--rate')


@pytest.mark.parametrize(
    ('arguments', 'text'),
    [
        (['-p', 'backend:=magic'], "backend is 'magic', choose one of"),
        (['-p', 'max_age:=-1.0'], 'parameter max_age'),
        (['-p', 'max_age:=1'], 'parameter max_age: must be a number with a decimal point'),
        (['-p', 'backend:=sgbm', '-p', 'min_depth:=200.0'], 'must be below max_depth'),
        (['-p', 'backend:=onnx', '-p', 'model:=/nowhere.onnx'], '/nowhere.onnx'),
        (['-p', 'speckle_range:=2.5'], 'parameter speckle_range: must be a whole number'),
        (['-p'], 'parse'),
        (
            ['-r', 'left/image_rect:=/cam/left', '-r', 'right/image_rect:=/cam/left'],
            'left and right are one topic, /cam/left; give the right one by --ros-args -r right/',
        ),
        (['backend:=sgbm'], "'backend:=sgbm' sets no parameter; write --ros-args -p backend"),
        (['--rate'], "argument '--rate' is unknown; see depth_node --help"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_exit_2(arguments: list[str], text: str) -> None:
    if 'backend:=onnx' in arguments:
        pytest.importorskip('onnxruntime')
    done = run_node(*arguments) if arguments[0] in _PLAIN else run_node('--ros-args', *arguments)
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('depth_node: ')]
    assert len(lines) == 1
    assert text in lines[0]
    assert 'Traceback' not in done.stderr


def test_help() -> None:
    done = run_node('--help')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('usage: depth_node')
    for name, spec in (tunables(PipelineConfig) | tunables(NodeConfig)).items():
        assert f'  {name} (' in done.stdout
        assert spec.description in done.stdout
    piped = subprocess.run(
        f'"{sys.executable}" -m dtp_stereo_ros.ros.depth_node --help | head -1',
        shell=True, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (piped.stdout.count('\n'), piped.stderr) == (1, '')


def test_a_dead_worker_takes_the_process_down(node: Node, frame: StereoFrame) -> None:
    program = (
        'import sys\n'
        'from dtp_stereo_ros.ros import depth_node, processor\n'
        'def die(self, pair): raise SystemExit("gone")\n'
        'processor.Processor.process = die\n'
        'sys.exit(depth_node.main(["--ros-args", "-p", "backend:=sgbm"]))\n'
    )
    Probe(node, ('disparity',))  # or on a slow machine the node is idle before images come
    with subprocess.Popen([sys.executable, '-c', program], stderr=subprocess.PIPE) as process:
        try:
            with Stream(node, frame):
                assert process.wait(WAIT_S) == 1
        finally:
            process.kill()
        assert process.stderr is not None
        assert b'the worker died' in process.stderr.read()


def test_playing_to_nobody_is_an_error(node: Node, frame: StereoFrame) -> None:
    with pytest.raises(InputError, match='/nobody/left/image_rect: nobody subscribed'):
        play_frames(node, [frame], 10.0, prefix='/nobody/', wait_s=0.1)
    with pytest.raises(InputError, match='without calibration'):
        FramePublisher(node).publish(dataclasses.replace(frame, calibration=None))
