"""A backend that takes longer to load than a parameter service may wait."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rcl_interfaces.msg import Log, ParameterEvent
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile

from dtp_stereo_ros import backends, models
from dtp_stereo_ros.backends.base import Backend
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.ros.node import DepthNode

WAIT_S = 20.0
_NUMBERS = itertools.count()
# Of rqt_reconfigure.
SERVICE_WAIT_S = 1.0


class SlowLoading:
    """Stands before `backends.choose`: SGBM as ever, all else when it may `go_on`."""

    def __init__(self, original: Callable[[PipelineConfig], tuple[Backend, str]]) -> None:
        self.go_on = threading.Event()
        self.asked: list[PipelineConfig] = []
        self.closed: list[str] = []
        self.error: Exception | None = None
        self._original = original

    def choose(self, config: PipelineConfig) -> tuple[Backend, str]:
        if config.backend == 'sgbm':
            return self._original(config)
        self.asked.append(config)
        assert self.go_on.wait(WAIT_S)
        if self.error:
            raise self.error
        backend, _ = self._original(PipelineConfig(backend='sgbm'))
        close = backend.close

        def closed() -> None:
            self.closed.append(config.precision)
            close()

        backend.close = closed  # type: ignore[method-assign]
        return backend, f'{config.precision} has loaded'


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch) -> SlowLoading:
    made = SlowLoading(backends.choose)
    monkeypatch.setattr(backends, 'choose', made.choose)
    return made


@pytest.fixture
def depth_node(ros: None, loading: SlowLoading) -> Iterator[DepthNode]:
    """Spun in a thread. A name of its own: rclpy keeps the services until it is collected.

    The log of a name ends with the first of its nodes that goes.
    """
    name = f'late_change_{next(_NUMBERS)}'
    made = DepthNode(name, parameter_overrides=[Parameter('backend', value='sgbm')])
    made.begin()
    executor = SingleThreadedExecutor()
    executor.add_node(made)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield made
    loading.go_on.set()
    executor.shutdown()
    thread.join()
    made.close()


class Watcher:
    """Hears what rqt hears: events of parameters, and the log."""

    def __init__(self, node: Node) -> None:
        self.events: list[tuple[str, Any]] = []
        self.log: list[str] = []
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        node.create_subscription(ParameterEvent, '/parameter_events', self._event, 100)
        # With what was logged before the two had found each other.
        kept = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(Log, '/rosout', lambda m: self.log.append(m.msg), kept)

    def _event(self, event: ParameterEvent) -> None:
        for msg in event.changed_parameters:
            if event.node.startswith('/late_change_'):
                self.events.append((msg.name, Parameter.from_parameter_msg(msg).value))

    def until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not ready():
            assert time.monotonic() < deadline, (self.events, self.log)
            self._executor.spin_once(timeout_sec=0.05)


def change(node: DepthNode, **values: Any) -> tuple[bool, str]:
    """By the parameter service; must be answered before rqt gives up."""
    from rcl_interfaces.srv import SetParametersAtomically

    from dtp_stereo_ros.ros.service_caller import Caller

    service, nothing = SetParametersAtomically, SetParametersAtomically.Request()
    name = f'{node.get_fully_qualified_name()}/set_parameters_atomically'
    parameters = [Parameter(n, value=v).to_parameter_msg() for n, v in values.items()]
    with Caller(service, name, WAIT_S, harmless=nothing) as caller:
        assert caller.call(nothing) is not None
        began = time.monotonic()
        result = caller.call(service.Request(parameters=parameters)).result
        assert time.monotonic() - began < SERVICE_WAIT_S
    return result.successful, result.reason


def running(depth_node: DepthNode) -> str:
    assert depth_node.pipeline is not None
    return depth_node.pipeline.choice


def test_it_is_taken_over_when_it_has_loaded(
    depth_node: DepthNode, loading: SlowLoading, node: Node
) -> None:
    watcher = Watcher(node)
    assert change(depth_node, backend='openvino', precision='fp32') == (True, '')
    assert depth_node.get_parameter('backend').value == 'openvino'
    assert running(depth_node).startswith('sgbm as asked')
    # Other settings come into force meanwhile.
    assert change(depth_node, max_depth=7.0) == (True, '')
    assert depth_node.pipeline is not None
    watcher.until(lambda: depth_node.pipeline.config.max_depth == 7.0)
    assert depth_node.pipeline.config.backend == 'sgbm'
    loading.go_on.set()
    watcher.until(lambda: running(depth_node) == 'fp32 has loaded')
    assert depth_node.pipeline.config == depth_node.parameters.pipeline
    assert depth_node.pipeline.config.max_depth == 7.0
    watcher.until(lambda: 'fp32 has loaded' in watcher.log)
    assert len(loading.asked) == 1


def test_a_late_failure_is_told_and_the_old_values_are_sent(
    depth_node: DepthNode, loading: SlowLoading, node: Node
) -> None:
    watcher = Watcher(node)
    loading.error = BackendError('the device is gone')
    assert change(depth_node, backend='openvino', threads=3) == (True, '')
    assert change(depth_node, max_depth=7.0) == (True, '')
    watcher.until(lambda: ('backend', 'openvino') in watcher.events)
    loading.go_on.set()
    watcher.until(lambda: watcher.events[-1:] == [('threads', 0)])
    assert ('backend', 'sgbm') in watcher.events
    watcher.until(lambda: 'backend, threads stay sgbm, 0: the device is gone' in watcher.log)
    assert depth_node.get_parameter('backend').value == 'sgbm'
    assert depth_node.parameters.pipeline == PipelineConfig(backend='sgbm', max_depth=7.0)
    assert depth_node.pipeline is not None
    assert depth_node.pipeline.config == depth_node.parameters.pipeline


def test_the_newest_counts(depth_node: DepthNode, loading: SlowLoading, node: Node) -> None:
    watcher = Watcher(node)
    assert change(depth_node, backend='openvino', precision='fp32') == (True, '')
    for precision in ('fp16', 'bf16'):
        assert change(depth_node, precision=precision) == (True, '')
    loading.go_on.set()
    watcher.until(lambda: running(depth_node) == 'bf16 has loaded')
    # The one in between never began; the first is freed.
    assert [config.precision for config in loading.asked] == ['fp32', 'bf16']
    assert loading.closed == ['fp32']


def test_back_to_the_running_one(depth_node: DepthNode, loading: SlowLoading, node: Node) -> None:
    watcher = Watcher(node)
    assert change(depth_node, backend='openvino', precision='fp32') == (True, '')
    assert change(depth_node, backend='sgbm') == (True, '')
    loading.go_on.set()
    watcher.until(lambda: loading.closed == ['fp32'])
    assert running(depth_node).startswith('sgbm as asked')
    assert depth_node.get_parameter('backend').value == 'sgbm'


def test_a_bug_in_a_backend_is_a_refusal(depth_node: DepthNode, loading: SlowLoading) -> None:
    loading.go_on.set()
    loading.error = KeyError('oops')
    assert change(depth_node, backend='openvino') == (False, "KeyError: 'oops'")
    assert depth_node.get_parameter('backend').value == 'sgbm'


def test_a_bug_in_a_change_refuses_it(
    depth_node: DepthNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError('broken')

    monkeypatch.setattr(models, 'resolve', broken)
    result = depth_node.set_parameters([Parameter('backend', value='onnx')])[0]
    assert (result.successful, result.reason) == (False, 'RuntimeError: broken')
    assert depth_node.get_parameter('backend').value == 'sgbm'
