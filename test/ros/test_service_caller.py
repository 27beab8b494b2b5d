"""Calls of services over DDS, by a server that is late, deaf or fine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from dtp_stereo_ros.ros.service_caller import Caller, set_parameter

WAIT_S = 30.0
CHANGE = ChangeState.Request(transition=Transition(id=1))


class Server:
    """Counts the requests; spun by a thread once `start` was called."""

    def __init__(self, node: Node) -> None:
        self.heard: list[int] = []
        node.create_service(ChangeState, '/change', self._serve)
        self._executor = SingleThreadedExecutor(context=node.context)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin)

    def _serve(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        self.heard.append(request.transition.id)
        response.success = request.transition.id > 0
        return response

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._executor.shutdown()
        if self._thread.is_alive():
            self._thread.join()


@pytest.fixture
def server(node: Node) -> Iterator[Server]:
    made = Server(node)
    yield made
    made.stop()


def test_a_request_that_must_not_be_repeated_is_sent_once(server: Server) -> None:
    server.start()
    nothing = ChangeState.Request()
    with Caller(ChangeState, '/change', WAIT_S, harmless=nothing) as caller:
        for _ in range(2):
            assert caller.call(CHANGE).success
    assert server.heard.count(1) == 2
    assert server.heard[-2:] == [1, 1]  # no further ping after the first reply


def test_a_server_that_is_late_is_waited_for(server: Server) -> None:
    timer = threading.Timer(2.5, server.start)
    timer.start()
    with Caller(ChangeState, '/change', WAIT_S) as caller:
        assert caller.call(CHANGE).success
    timer.join()


def test_no_reply_ends_with_the_time(server: Server) -> None:
    begin = time.monotonic()
    with Caller(ChangeState, '/change', 1.5) as caller:
        assert caller.call(CHANGE) is None
    with Caller(ChangeState, '/nobody', 0.5) as caller:
        assert caller.call(CHANGE) is None
    assert 2.0 <= time.monotonic() - begin < WAIT_S
    assert server.heard == []


def test_parameters_are_set_or_refused(node: Node) -> None:
    node.declare_parameter('gain', 1.0)
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        assert set_parameter('tester', 'gain', 2.5, WAIT_S) == (True, '')
        refused = set_parameter('tester', 'gain', 'loud', WAIT_S)
        assert refused is not None
        assert not refused[0] and 'type' in refused[1]
        assert set_parameter('nobody', 'gain', 1.0, 0.3) is None
    finally:
        executor.shutdown()
        thread.join()
    assert node.get_parameter('gain').value == 2.5
