"""The managed node over DDS: transitions, a hang, and publishers that can never match."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from transitions import change

from dtp_stereo_ros.ros.harness.node_process import NodeProcess
from dtp_stereo_ros.ros.harness.player import FramePublisher
from dtp_stereo_ros.ros.harness.probe import Probe
from dtp_stereo_ros.ros.service_caller import Caller, set_parameter
from dtp_stereo_ros.stereo import StereoCalibration, StereoFrame

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
    images = camera()._publishers['left/image_rect']
    infos = camera()._publishers['left/camera_info']
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
        "sgbm = Parameter('backend', value='sgbm')\n"
        'own = held(lambda: DepthNode(parameter_overrides=[sgbm]))\n'
        'print(*plain, *own, flush=True)\n'
        'os._exit(0)\n'
    )
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    *_, line = run.stdout.splitlines()
    plain_up, plain_left, up, left = map(int, line.split())
    assert plain_left < plain_up
    assert left < up
    assert left <= plain_left
