"""The managed node over DDS: transitions, a hang, and publishers that can never match."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from transitions import change

from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher, camera_messages
from dtp_stereo_ros.ros.harness.probe import Probe, image_array
from dtp_stereo_ros.ros.service_caller import Caller, set_parameter
from dtp_stereo_ros.stereo import SIDES, StereoCalibration, StereoFrame

Start = Callable[..., NodeProcess]
WAIT_S = 30.0
CALIBRATION = StereoCalibration(400.0, 400.0, 160.0, 160.0, 60.0, 0.1, 320, 120)


def state() -> str:
    with Caller(GetState, '/depth_node/get_state', WAIT_S) as caller:
        return str(caller.call(GetState.Request()).current_state.label)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def camera(node: Node, make_frame: Callable[..., StereoFrame]) -> Callable[[], FramePublisher]:
    """Publishes a frame on each call."""
    publisher, frame = FramePublisher(node), make_frame(24, (120, 320), CALIBRATION)

    def send() -> FramePublisher:
        stamp_ns = node.get_clock().now().nanoseconds
        publisher.publish(StereoFrame(frame.left, frame.right, stamp_ns, CALIBRATION))
        return publisher

    return send


def comes(probe: Probe, camera: Callable[[], FramePublisher], count: int = 2) -> bool:
    """Whether disparities come while the camera runs."""
    wanted = len(probe.arrivals_s['disparity']) + count
    deadline = time.monotonic() + WAIT_S
    while len(probe.arrivals_s['disparity']) < wanted:
        if time.monotonic() > deadline:
            return False
        camera()
        probe.spin(0.05)
    return True


def message(probe: Probe, name: str, part: str) -> tuple[int, dict[str, str]]:
    """Wait for a status whose message has that part: (level, values)."""
    deadline = time.monotonic() + WAIT_S
    last = ''
    while time.monotonic() < deadline:
        probe.spin(0.3)
        for array in probe.messages['/diagnostics'][-1:]:
            for status in array.status:
                if status.name.endswith(name):
                    last = status.message
                    if part in last:
                        return status.level[0], {v.key: v.value for v in status.values}
    pytest.fail(f'{name} never said {part!r}; last: {last!r}')


def test_a_lifecycle_manager_leads_the_node(
    node: Node, start_depth_node: Start, camera: Callable[[], FramePublisher]
) -> None:
    process = start_depth_node(autostart=False)
    probe = Probe(node, ('disparity',), diagnostics=True)
    assert state() == 'unconfigured'
    level, values = message(probe, 'matching', 'unconfigured')
    assert (level, values['state']) == (0, 'unconfigured')
    assert values.keys() == {'state', 'process'}
    assert not change(Transition.TRANSITION_ACTIVATE)
    images = camera().publishers['left/image_rect']
    infos = camera().publishers['left/camera_info']
    for _ in range(2):  # a node that was cleaned up starts as well as a new one
        assert change(Transition.TRANSITION_CONFIGURE)
        assert state() == 'inactive'
        _, values = message(probe, 'matching', 'inactive')
        assert values['model'] == 'sgbm'
        assert (images.get_subscription_count(), infos.get_subscription_count()) == (0, 0)
        assert change(Transition.TRANSITION_ACTIVATE)
        assert comes(probe, camera)
        assert change(Transition.TRANSITION_DEACTIVATE)
        until(lambda: images.get_subscription_count() + infos.get_subscription_count() == 0)
        probe.spin(0.3)
        before = len(probe.arrivals_s['disparity'])
        for _ in range(5):
            camera()
            probe.spin(0.05)
        assert len(probe.arrivals_s['disparity']) == before
        assert change(Transition.TRANSITION_ACTIVATE)
        assert comes(probe, camera)
        assert change(Transition.TRANSITION_DEACTIVATE)
        assert change(Transition.TRANSITION_CLEANUP)
        assert state() == 'unconfigured'
    assert change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert process.wait(WAIT_S) == 0


@pytest.mark.usefixtures('ros')
def test_a_model_that_is_missing_is_said_and_can_be_mended(start_depth_node: Start) -> None:
    pytest.importorskip('onnxruntime')
    process = start_depth_node(autostart=False, backend='onnx', model='/nowhere/m.onnx')
    assert not change(Transition.TRANSITION_CONFIGURE)
    assert state() == 'unconfigured'
    until(lambda: '/nowhere/m.onnx' in process.output())
    assert 'Traceback' not in process.output()
    assert set_parameter('/depth_node', 'backend', 'sgbm', WAIT_S) == (True, '')
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    assert change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert process.wait(WAIT_S) == 0


def test_topics_that_are_exchanged_by_remapping(
    node: Node,
    start_depth_node: Start,
    make_frame: Callable[..., StereoFrame],
) -> None:
    """The mend of exchanged views: left is what comes on the right topic, infos as well."""
    remaps = {}
    for part in ('image_rect', 'camera_info'):
        remaps |= {f'left/{part}': f'/right/{part}', f'right/{part}': f'/left/{part}'}
    start_depth_node(remaps)
    probe = Probe(node, ('disparity',), diagnostics=True)
    publisher, frame = FramePublisher(node), make_frame(24, (120, 320), CALIBRATION)

    def camera() -> FramePublisher:
        stamp_ns = node.get_clock().now().nanoseconds
        messages = camera_messages(StereoFrame(frame.left, frame.right, stamp_ns, CALIBRATION))
        order = [name for part in ('info', 'rect') for name in messages if name.endswith(part)]
        publisher.send({_other(name): messages[name] for name in order})
        return publisher

    assert comes(probe, camera)
    found = image_array(probe.newest('disparity').image)[10:-10, 60:-10]
    assert np.median(found) == pytest.approx(24, abs=0.1)
    _, values = message(probe, 'input', 'ok')
    assert values['left topic'] == '/right/image_rect'


def _other(name: str) -> str:
    side, part = name.split('/')
    return f'{"right" if side == "left" else "left"}/{part}'


@pytest.mark.usefixtures('ros')
def test_overrides_of_qos_belong_to_their_topic(node: Node, start_depth_node: Start) -> None:
    """Those of one topic leave all others alone, and misspelt ones are named."""
    process = start_depth_node(
        **{
            'qos_overrides./points2.publisher.reliability': 'best_effort',
            'qos_overrides./points2.publisher.durability': 'transient_local',
            'qos_overrides./left/image_rect.subscription.reliability': 'reliable',
            'qos_overrides./depth/imag.publisher.reliability': 'best_effort',
            'use_system_default_qos': True,
        }
    )
    # Somebody must listen, or the images are not subscribed to for long.
    node.create_subscription(Image, 'depth/image', lambda _: None, 1)
    until(lambda: node.count_subscribers('/right/image_rect') > 0)
    names = ('/points2', '/disparity', '/depth/image', '/confidence')
    # Each is discovered by itself.
    until(lambda: all(node.count_publishers(name) for name in names))
    profiles = {name: node.get_publishers_info_by_topic(name)[0].qos_profile for name in names}
    changed = profiles.pop('/points2')
    assert changed.reliability == ReliabilityPolicy.BEST_EFFORT
    assert changed.durability == DurabilityPolicy.TRANSIENT_LOCAL
    for profile in profiles.values():
        assert profile.reliability == ReliabilityPolicy.RELIABLE
        assert profile.durability == DurabilityPolicy.VOLATILE
    (left,), (right,) = (
        node.get_subscriptions_info_by_topic(f'/{side}/image_rect') for side in SIDES
    )
    assert left.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    # Fast DDS: best effort is the default of the middleware's subscriptions.
    assert right.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
    until(lambda: 'is qos_overrides./depth/image.publisher.reliability meant?' in process.output())


@pytest.mark.parametrize(
    ('backend', 'said'),
    [
        ('sgbm', ' sgbm: torch_compile (of torch)'),
        ('torch', ' torch: disparity_range (of sgbm), sgbm_mode (of sgbm)'),
        ('auto', ' auto: disparity_range (of sgbm), sgbm_mode (of sgbm)'),
    ],
)
def test_parameters_of_other_backends_are_named(
    start_depth_node: Start, backend: str, said: str
) -> None:
    process = start_depth_node(backend=backend, autostart=False, torch_compile=True, sgbm_mode=1)
    until(lambda: 'waits for a lifecycle manager' in process.output())
    (line,) = (line for line in process.output().splitlines() if 'not read by backend' in line)
    assert line.endswith(said)


@pytest.mark.parametrize(
    ('name', 'value', 'said'),
    [
        ('/disparity.publisher.reliability', 'bestest', '/disparity: Unexpected QoS override'),
        ('/left/image_rect.subscription.depth', '-3', '/left/image_rect: '),
        ('/right/camera_info.subscription.depth', 'many', '/right/camera_info: '),
    ],
)
@pytest.mark.usefixtures('ros')
def test_an_override_that_is_no_qos_is_refused_in_one_line(
    name: str, value: str, said: str
) -> None:
    arguments = ['-p', 'backend:=sgbm', '-p', f'qos_overrides.{name}:={value}']
    command = [sys.executable, '-m', 'dtp_stereo_ros.ros.depth_node', '--ros-args', *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2
    (line,) = [line for line in run.stderr.splitlines() if line.startswith('depth_node: ')]
    assert said in line
    assert line.endswith(f'check the parameters qos_overrides.{said.partition(":")[0]}')
    assert 'Traceback' not in run.stderr


def test_findings_of_frames_end_with_the_last_subscriber(
    node: Node, start_depth_node: Start, camera: Callable[[], FramePublisher]
) -> None:
    start_depth_node()
    probe = Probe(node, ('disparity',), diagnostics=True)
    listener = node.create_subscription(Image, 'confidence', lambda _: None, 1)
    assert comes(probe, camera)
    deadline = time.monotonic() + WAIT_S
    while 'confidence is subscribed but' not in _told(probe):
        assert time.monotonic() < deadline
        camera()
        probe.spin(0.1)
    node.destroy_subscription(listener)
    for subscription in list(node.subscriptions):
        if subscription.topic_name == '/disparity':
            node.destroy_subscription(subscription)
    message(probe, 'input', 'idle: nobody subscribes')
    until(lambda: bool(probe.spin(0.2) or 'confidence' not in _told(probe)))


def _told(probe: Probe) -> str:
    """All that the newest diagnostics say."""
    return '; '.join(s.message for a in probe.messages['/diagnostics'][-1:] for s in a.status)


_SLOW = """
import sys, time
from dtp_stereo_ros.backends.sgbm import SgbmBackend
from dtp_stereo_ros.ros import node
from dtp_stereo_ros.ros.depth_node import main
node._STOP_WAIT_S = 0.3
infer = SgbmBackend.infer
def slowly(backend, left, right):
    print('in work', flush=True)
    time.sleep(2.0)
    return infer(backend, left, right)
SgbmBackend.infer = slowly
sys.exit(main())
"""


@pytest.fixture
def slow_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NodeProcess]:
    """Takes two seconds for a frame; a cleanup waits 0.3 s for it."""
    (tmp_path / 'slow.py').write_text(_SLOW)
    monkeypatch.setenv('PYTHONPATH', f'{Path(__file__).resolve().parents[2]}:{tmp_path}')
    settings = {'backend': 'sgbm', 'disparity_range': 64, 'diagnostics_period': 0.2}
    with NodeProcess(settings, {}, tmp_path / 'node.log', module='slow') as process:
        yield process


def begun(node: Node, process: NodeProcess, camera: Callable[[], FramePublisher]) -> Probe:
    """Listen, and wait until a frame is in work, and nothing behind it."""
    probe = Probe(node, ('disparity',), diagnostics=True)
    deadline = time.monotonic() + WAIT_S
    while 'in work' not in process.output():
        assert time.monotonic() < deadline
        camera()
        probe.spin(0.3)
    return probe


def test_a_node_whose_cleanup_took_too_long_is_not_activated(
    node: Node, slow_node: NodeProcess, camera: Callable[[], FramePublisher]
) -> None:
    probe = begun(node, slow_node, camera)
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert not change(Transition.TRANSITION_CLEANUP)
    assert not change(Transition.TRANSITION_ACTIVATE)
    assert 'told to end, in a cleanup that took too long; clean up again' in slow_node.output()
    assert state() == 'inactive'
    time.sleep(2.0)
    assert change(Transition.TRANSITION_CLEANUP)
    assert change(Transition.TRANSITION_CONFIGURE)
    assert change(Transition.TRANSITION_ACTIVATE)
    assert comes(probe, camera, 1)


def test_a_frame_in_work_is_not_published_after_deactivation(
    node: Node, slow_node: NodeProcess, camera: Callable[[], FramePublisher]
) -> None:
    probe = begun(node, slow_node, camera)
    assert change(Transition.TRANSITION_DEACTIVATE)
    assert change(Transition.TRANSITION_ACTIVATE)
    probe.spin(3.0)
    assert probe.arrivals_s['disparity'] == []
    assert comes(probe, camera, 1)


def test_a_process_that_stood_is_not_taken_for_a_hang(
    node: Node, slow_node: NodeProcess, camera: Callable[[], FramePublisher]
) -> None:
    """As by docker pause or in a debugger; a frame takes less than the watchdog allows."""
    assert set_parameter('/depth_node', 'watchdog_timeout', 3.0, WAIT_S) == (True, '')
    probe = begun(node, slow_node, camera)
    os.kill(slow_node.pid, signal.SIGSTOP)
    time.sleep(4.0)
    os.kill(slow_node.pid, signal.SIGCONT)
    assert probe.spin(WAIT_S, until=('disparity', 1))
    assert 'hangs' not in slow_node.output()


def test_a_backend_that_hangs_is_noticed(node: Node, camera: Callable[[], FramePublisher]) -> None:
    program = (
        'import sys, threading\n'
        'from dtp_stereo_ros.backends.sgbm import SgbmBackend\n'
        'from dtp_stereo_ros.ros import depth_node\n'
        'SgbmBackend.infer = lambda *_: threading.Event().wait()\n'
        'arguments = ["backend:=sgbm", "watchdog_timeout:=0.5", "diagnostics_period:=0.2"]\n'
        'flags = [f for a in arguments for f in ("-p", a)]\n'
        'sys.exit(depth_node.main(["--ros-args", *flags]))\n'
    )
    probe = Probe(node, ('disparity',), keep=100, diagnostics=True)
    with subprocess.Popen([sys.executable, '-c', program], stderr=subprocess.PIPE) as process:
        try:
            deadline = time.monotonic() + WAIT_S
            while process.poll() is None:
                assert time.monotonic() < deadline
                camera()
                probe.spin(0.1)
        finally:
            process.kill()
        assert process.returncode == 1
        assert process.stderr is not None
        log = process.stderr.read()
    assert log.count(b'in work for over 0.5 s: backend sgbm hangs') == 1
    probe.spin(0.5)
    statuses = [s for array in probe.messages['/diagnostics'] for s in array.status]
    told = [s for s in statuses if 'backend sgbm hangs' in s.message]
    assert {(s.name, s.level) for s in told} == {('depth_node: matching', b'\x02')}


def test_a_backend_that_compiles_is_waited_for(
    node: Node,
    camera: Callable[[], FramePublisher],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / 'slow.py').write_text(
        'import sys, time\n'
        'from dtp_stereo_ros.backends.sgbm import SgbmBackend\n'
        'from dtp_stereo_ros.ros.depth_node import main\n'
        'infer = SgbmBackend.infer\n'
        'def compile_first(backend, left, right):\n'
        '    backend.compiling = True\n'
        '    time.sleep(2)\n'
        '    backend.compiling = False\n'
        '    SgbmBackend.infer = infer\n'
        '    return infer(backend, left, right)\n'
        'SgbmBackend.infer = compile_first\n'
        'sys.exit(main())\n'
    )
    monkeypatch.setenv('PYTHONPATH', f'{Path(__file__).resolve().parents[2]}:{tmp_path}')
    settings = {'backend': 'sgbm', 'disparity_range': 64, 'watchdog_timeout': 0.8}
    probe = Probe(node, ('disparity',))
    with NodeProcess(settings, {}, tmp_path / 'node.log', module='slow') as process:
        assert comes(probe, camera), process.output()
        assert process.stop() == 0
        assert process.output().count('compiles the model for this image size') == 1


def test_a_publisher_that_cannot_match_is_named(node: Node, start_depth_node: Start) -> None:
    name = 'qos_overrides./right/image_rect.subscription.reliability'
    start_depth_node(**{name: 'reliable'})
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    publishers = [
        node.create_publisher(Image, 'right/image_rect', best_effort),
        node.create_publisher(CompressedImage, 'left/image_rect', best_effort),
    ]
    probe = Probe(node, (), diagnostics=True)
    level, _ = message(
        probe, 'input', '/right/image_rect: QoS of publisher /tester cannot match (Best effort'
    )
    assert level == 2
    message(probe, 'input', '/left/image_rect: /tester publishes sensor_msgs/msg/CompressedImage')
    for publisher in publishers:
        node.destroy_publisher(publisher)
    message(probe, 'input', 'waiting for /left/image_rect (0 publishers)')


def test_a_destroyed_node_leaves_nothing_of_the_middleware() -> None:
    """Its sockets are closed at once: the process may end before the object is collected."""
    code = (
        'import os, rclpy\n'
        'from rclpy.parameter import Parameter\n'
        'from dtp_stereo_ros.ros.node import DepthNode\n'
        'def sockets():\n'
        '    held = 0\n'
        "    for name in os.listdir('/proc/self/fd'):\n"
        "        place = f'/proc/self/fd/{name}'\n"
        "        held += os.path.lexists(place) and 'socket' in os.readlink(place)\n"
        '    return held\n'
        'def begun():\n'
        "    node = DepthNode(parameter_overrides=[Parameter('backend', value='sgbm')])\n"
        '    node.begin()\n'
        '    return node\n'
        'def held(make):\n'
        '    rclpy.init(args=[])\n'
        '    node = make()\n'
        '    while_up = sockets()\n'
        '    node.destroy_node()\n'
        '    rclpy.try_shutdown()\n'
        '    kept.append(node)\n'
        '    return while_up, sockets()\n'
        'kept = []\n'
        "plain = held(lambda: rclpy.create_node('plain'))\n"
        'own = held(begun)\n'
        'print(*plain, *own, flush=True)\n'
        'os._exit(0)\n'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    *_, line = run.stdout.splitlines()
    plain_up, plain_left, up, left = map(int, line.split())
    assert plain_left < plain_up
    assert left < up
    assert left <= plain_left
