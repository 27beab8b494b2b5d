"""Several stereo cameras on one node: values of each, and none disturbs another."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from rclpy.node import Node
from rclpy.parameter import Parameter
from transitions import change

from dtp_stereo_ros import backends
from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher, camera_messages
from dtp_stereo_ros.ros.harness.probe import Probe, image_array, stamps_ns
from dtp_stereo_ros.ros.node import DepthNode
from dtp_stereo_ros.ros.outputs import OUTPUT_TYPES
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

Start = Callable[..., NodeProcess]
MakeFrame = Callable[..., StereoFrame]
Messages = dict[str, Any]
WAIT_S = 30.0
CAMERAS = ('front', 'rear')


@dataclasses.dataclass(frozen=True)
class View:
    """What a camera sees: a wall whose raw disparity is the same everywhere."""

    calibration: StereoCalibration
    raw_px: int
    rate_hz: float
    published_px: float
    depth_m: float


VIEWS = {
    # f T = 40 px m
    'front': View(StereoCalibration(400, 400, 160, 160, 60, 0.1, 320, 120), 24, 20, 24, 40 / 24),
    # f T = 50 px m, principal points 8 px apart
    'rear': View(StereoCalibration(250, 250, 120, 112, 48, 0.2, 240, 96), 40, 7, 32, 50 / 32),
}


class Camera:
    """Sends what it sees from a thread, until stopped; `change` may spoil the messages."""

    def __init__(self, node: Node, name: str, make_frame: MakeFrame) -> None:
        view = VIEWS[name]
        size = (view.calibration.height_px, view.calibration.width_px)
        self._frame = make_frame(view.raw_px, size, view.calibration, seed=len(name))
        self._frame_id = f'{name}_optical'
        self._period_s = 1 / view.rate_hz
        self.publisher = FramePublisher(node, f'{name}/')
        self.sent: list[int] = []
        self.change: Callable[[Messages], None] = lambda messages: None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play)

    def __enter__(self) -> Camera:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join()

    def heard(self, topic: str) -> int:
        """How many subscribe."""
        return self.publisher.publishers[topic].get_subscription_count()

    def _play(self) -> None:
        while not self._stop.wait(self._period_s):
            stamp_ns = time.time_ns()
            frame = dataclasses.replace(self._frame, stamp_ns=stamp_ns)
            messages = camera_messages(frame, self._frame_id)
            self.change(messages)
            self.sent.append(stamp_ns)
            self.publisher.send(messages)


@pytest.fixture
def cameras(node: Node, make_frame: MakeFrame) -> Iterator[dict[str, Camera]]:
    with ExitStack() as stack:
        yield {n: stack.enter_context(Camera(node, n, make_frame)) for n in CAMERAS}


def wait_until(ready: Callable[[], bool], probe: Probe | None = None) -> None:
    deadline = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < deadline
        probe.spin(0.1) if probe else time.sleep(0.05)


def said(probe: Probe, status: str, part: str) -> dict[str, str]:
    """Wait until a status has that part in its message; returns its values."""
    last: list[str] = []

    def found() -> bool:
        newest = {s.name: s for a in probe.messages['/diagnostics'][-1:] for s in a.status}
        last[:] = [newest[status].message] if status in newest else []
        return any(part in text for text in last)

    try:
        wait_until(found, probe)
    except AssertionError:
        pytest.fail(f'{status} never said {part!r}; last: {last}')
    newest = {s.name: s for s in probe.newest('/diagnostics').status}
    return {v.key: v.value for v in newest[status].values}


def more(probe: Probe, topic: str = 'disparity', count: int = 4) -> None:
    """A number of results come from now on."""
    before = len(probe.arrivals_s[topic])
    assert probe.spin(WAIT_S, until=(topic, before + count)), f'no new {topic}'


def check_values(probe: Probe, name: str, sent: list[int]) -> None:
    """All outputs of a camera belong to its own images and its own calibration."""
    view = VIEWS[name]
    calibration = view.calibration
    for topic in probe.messages:
        if topic in OUTPUT_TYPES:
            stamps = stamps_ns(probe.messages[topic])
            assert stamps and set(stamps) <= set(sent), topic
            assert stamps == sorted(stamps), topic
            frames = {m.header.frame_id for m in probe.messages[topic]}
            assert frames == {f'{name}_optical'}, topic
    inside = (slice(8, -8), slice(view.raw_px + 30, -8))
    for msg in probe.messages['disparity']:
        assert (msg.f, msg.t) == (calibration.fx_px, pytest.approx(calibration.baseline_m))
        shape = (msg.image.height, msg.image.width)
        assert shape == (calibration.height_px, calibration.width_px)
        median_px = np.median(image_array(msg.image)[inside])
        assert median_px == pytest.approx(view.published_px, abs=0.15)
    depth = image_array(probe.newest('depth/image'))
    assert np.nanmedian(depth[inside]) == pytest.approx(view.depth_m, abs=0.02)
    info = probe.newest('depth/camera_info')
    assert (info.width, info.p[0], info.p[2]) == (
        calibration.width_px,
        calibration.fx_px,
        calibration.cx_left_px,
    )
    cloud = probe.newest('points2')
    assert (cloud.height, cloud.width) == (calibration.height_px, calibration.width_px)
    z = np.frombuffer(cloud.data, '<f4').reshape(*depth.shape, -1)[..., 2]
    assert np.array_equal(z, np.where(np.isfinite(depth), depth, np.float32('nan')), True)


def test_each_camera_has_its_own_values(
    ros: None, start_depth_node: Start, cameras: dict[str, Camera]
) -> None:
    process = start_depth_node(cameras=CAMERAS, diagnostics_period=0.5)
    topics = ('disparity', 'depth/image', 'depth/camera_info', 'points2')
    listeners = {n: Node(f'listener_of_{n}') for n in CAMERAS}
    probes = {n: Probe(listeners[n], topics, 20, True, f'{n}/') for n in CAMERAS}
    for probe in probes.values():
        for topic in topics:
            more(probe, topic)
    for name, probe in probes.items():
        check_values(probe, name, cameras[name].sent)
        values = said(probe, f'depth_node: {name}/matching', 'ok')
        assert int(values['results']) >= 4
        assert values['model'] == 'sgbm'
        values = said(probe, f'depth_node: {name}/calibration', 'ok')
        assert float(values['f [px]']) == VIEWS[name].calibration.fx_px
        assert values['left camera_info'] == f'/{name}/left/camera_info'
        period_ms = float(said(probe, f'depth_node: {name}/input', 'ok')['frame period [ms]'])
        assert period_ms >= 900 / VIEWS[name].rate_hz
    names = [s.name.partition(': ')[2] for s in probes['front'].newest('/diagnostics').status]
    parts = ('input', 'calibration', 'matching')
    assert names == [f'{camera}/{part}' for camera in CAMERAS for part in parts]
    assert process.output().count('sgbm as asked') == 1  # one backend
    for node in listeners.values():
        node.destroy_node()


def no_baseline(messages: Messages) -> None:
    messages['right/camera_info'].p[3] = 0.0


def test_a_broken_camera_does_not_disturb_the_other(
    ros: None, start_depth_node: Start, cameras: dict[str, Camera]
) -> None:
    """Calibration broken from the start, then mended, then the camera falls silent."""
    rear = cameras['rear']
    rear.change = no_baseline
    process = start_depth_node(cameras=CAMERAS)
    listeners = {n: Node(f'listener_of_{n}') for n in CAMERAS}
    front_probe = Probe(listeners['front'], ('disparity',), 1000, True, 'front/')
    rear_probe = Probe(listeners['rear'], ('disparity',), 1000, True, 'rear/')
    fault = 'right camera_info: Tx is zero'
    said(front_probe, 'depth_node: rear/calibration', fault)
    more(front_probe)
    said(front_probe, 'depth_node: front/calibration', 'ok')
    rear_probe.spin(1.0)
    assert rear_probe.arrivals_s['disparity'] == []
    rear.change = lambda messages: None
    more(rear_probe)
    said(front_probe, 'depth_node: rear/calibration', 'ok')
    rear.change = dict.clear
    values = said(front_probe, 'depth_node: rear/input', 'waiting for /rear/left/image_rect (1 p')
    assert int(values['dropped fault']) >= 1
    before = len(front_probe.arrivals_s['disparity'])
    more(front_probe, count=10)
    values = said(front_probe, 'depth_node: front/input', 'ok')
    assert 'dropped fault' not in values
    stamps = stamps_ns(front_probe.messages['disparity'][before:])
    assert set(stamps) <= set(cameras['front'].sent)
    log = process.output()
    assert log.count(f'rear: {fault}') == log.count(fault) == 1
    assert process.poll() is None
    for node in listeners.values():
        node.destroy_node()


def test_lazy_for_each_camera(
    node: Node, start_depth_node: Start, cameras: dict[str, Camera]
) -> None:
    """Only the front camera's images are subscribed to when only its results are wanted."""
    remap = {'rear/left/camera_info': '/elsewhere', 'front/disparity': '/out'}
    start_depth_node(remap, cameras=CAMERAS)
    wait_until(lambda: all(c.heard('right/camera_info') == 1 for c in cameras.values()))
    probe = Probe(node, ('disparity',), diagnostics=True, prefix='/nowhere/')
    arrived: list[Any] = []
    node.create_subscription(OUTPUT_TYPES['disparity'], '/out', arrived.append, 1)
    wait_until(lambda: len(arrived) > 0, probe)
    # The picture goes with the topic that it shows.
    assert node.count_publishers('/out/compressed') == 1
    assert node.count_publishers('/front/disparity/compressed') == 0
    wait_until(lambda: cameras['rear'].heard('left/image_rect') == 0, probe)
    said(probe, 'depth_node: rear/input', 'idle: nobody subscribes')
    before = len(arrived)
    wait_until(lambda: len(arrived) > before + 3, probe)
    assert cameras['front'].heard('left/image_rect') == 1
    assert cameras['rear'].heard('left/camera_info') == 0  # remapped alone
    assert cameras['rear'].heard('right/camera_info') == 1


def test_the_lifecycle_is_that_of_all_cameras(
    ros: None, start_depth_node: Start, cameras: dict[str, Camera]
) -> None:
    start_depth_node(cameras=CAMERAS, autostart=False)
    listeners = {n: Node(f'listener_of_{n}') for n in CAMERAS}
    probes = {n: Probe(listeners[n], ('disparity',), 5, True, f'{n}/') for n in CAMERAS}
    said(probes['front'], 'depth_node: rear/input', 'unconfigured')
    assert change(Transition.TRANSITION_CONFIGURE)
    for _ in range(2):
        assert sum(c.heard(t) for c in cameras.values() for t in c.publisher.publishers) == 0
        assert change(Transition.TRANSITION_ACTIVATE)
        for probe in probes.values():
            more(probe)
        assert change(Transition.TRANSITION_DEACTIVATE)
        wait_until(
            lambda: not any(c.heard(t) for c in cameras.values() for t in c.publisher.publishers)
        )
    for node in listeners.values():
        node.destroy_node()


def test_the_watchdog_watches_all_cameras(
    ros: None, cameras: dict[str, Camera], tmp_path: Path
) -> None:
    """The backend hangs on images of the rear camera's size; both are told."""
    program = (
        'import sys, threading\n'
        'from dtp_stereo_ros.backends.sgbm import SgbmBackend\n'
        'from dtp_stereo_ros.ros import depth_node\n'
        'infer = SgbmBackend.infer\n'
        'def hang(self, left, right):\n'
        '    if left.shape[1] < 300: threading.Event().wait()\n'
        '    return infer(self, left, right)\n'
        'SgbmBackend.infer = hang\n'
        'arguments = ["backend:=sgbm", "watchdog_timeout:=1.0", "diagnostics_period:=0.2",\n'
        '    "cameras:=[front, rear]"]\n'
        'flags = [f for a in arguments for f in ("-p", a)]\n'
        'sys.exit(depth_node.main(["--ros-args", *flags]))\n'
    )
    listener = Node('listener')
    front = Probe(listener, ('disparity',), 1000, True, 'front/')
    with subprocess.Popen([sys.executable, '-c', program], stderr=subprocess.PIPE) as process:
        try:
            more(front)
            listener.create_subscription(
                OUTPUT_TYPES['points2'], 'rear/points2', lambda _: None, 1
            )
            wait_until(lambda: process.poll() is not None, front)
        finally:
            process.kill()
        assert process.returncode == 1
        assert process.stderr is not None
        assert process.stderr.read().count(b'in work for over 1 s: backend sgbm hangs') == 1
    front.spin(0.5)
    statuses = [s for array in front.messages['/diagnostics'] for s in array.status]
    told = {(s.name, s.level) for s in statuses if 'backend sgbm hangs' in s.message}
    assert told == {(f'depth_node: {name}/matching', b'\x02') for name in CAMERAS}
    listener.destroy_node()


@pytest.mark.usefixtures('ros')
def test_one_model_whatever_the_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    original = backends.choose

    def choose(config: Any) -> Any:
        made.append(original(config))
        return made[-1]

    monkeypatch.setattr(backends, 'choose', choose)
    names = [f'camera_{i}' for i in range(5)]
    node = DepthNode(
        'five_cameras',
        parameter_overrides=[
            Parameter('backend', value='sgbm'),
            Parameter('cameras', value=names),
        ],
    )
    node.begin()
    workers = [t for t in threading.enumerate() if t.name == 'stereo worker']
    assert [camera.inputs.topics['right_info'] for camera in node.cameras] == [
        f'/{name}/right/camera_info' for name in names
    ]
    assert (len(made), len(workers)) == (1, 1)
    assert node.set_parameters([Parameter('disparity_range', value=32)])[0].successful
    assert len(made) == 2  # swapped once, for all
    result = node.set_parameters([Parameter('cameras', value=['other'])])[0]
    assert not result.successful and 'read-only' in result.reason
    node.close()


@pytest.mark.usefixtures('ros')
@pytest.mark.parametrize('value', ['[]', "['']"])
def test_no_names_are_the_topics_of_one_camera(value: str) -> None:
    arguments = ['--ros-args', '-p', f'cameras:={value}', '-p', 'autostart:=false']
    node = DepthNode('unnamed', cli_args=arguments)
    assert [camera.inputs.topics['left'] for camera in node.cameras] == ['/left/image_rect']
    outputs = {name for name, _ in node.get_publisher_names_and_types_by_node('unnamed', '/')}
    assert {'/disparity', '/points2', '/depth/image'} <= outputs
    node.close()


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        ('[front, front]', "cameras: 'front' stands there twice; name each camera once"),
        ('[front, re/ar]', "cameras: 're/ar' cannot be a part of a topic name"),
        ('front', "parameter cameras: must be a list of strings, as ['front', 'rear']"),
    ],
)
def test_wrong_names_are_one_line_and_exit_2(value: str, text: str) -> None:
    arguments = ['-p', f'cameras:={value}', '-p', 'backend:=sgbm']
    done = subprocess.run(
        [sys.executable, '-m', 'dtp_stereo_ros.ros.depth_node', '--ros-args', *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('depth_node: ')]
    assert len(lines) == 1 and text in lines[0]
