"""Calls of services that get through while discovery is under way."""

from __future__ import annotations

import time
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

_AGAIN_S = 1.0


class Caller:
    """Client of one service, with a node of its own, so that others may be spun meanwhile.

    A server drops its reply where it has not yet discovered the reader of the client, although
    the client already sees the server (on a busy machine discovery takes seconds). So a request
    is sent again until a reply comes.

    Args:
        service_type: for example `rcl_interfaces.srv.GetParameters`.
        name: of the service, absolute or relative.
        timeout_s: of each call.
        harmless: a request that changes nothing. Where given, it alone is repeated; the request
            of a call is then sent once, after the first reply.
    """

    def __init__(
        self, service_type: Any, name: str, timeout_s: float, *, harmless: Any = None
    ) -> None:
        self._node = Node('dtp_stereo_caller', start_parameter_services=False, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self._node.context)
        self._executor.add_node(self._node)
        self._client = self._node.create_client(service_type, name)
        self._timeout_s = timeout_s
        self._harmless = harmless
        self._answered = False

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def call(self, request: Any) -> Any:
        """Response of the service; None where none came in time."""
        deadline = time.monotonic() + self._timeout_s
        if not self._client.wait_for_service(self._timeout_s):
            return None
        if self._harmless is None:
            return self._reply(request, deadline, _AGAIN_S)
        if not self._answered and self._reply(self._harmless, deadline, _AGAIN_S) is None:
            return None
        self._answered = True
        return self._reply(request, deadline, self._timeout_s)

    def _reply(self, request: Any, deadline: float, again_s: float) -> Any:
        futures = []
        while (left_s := deadline - time.monotonic()) > 0:
            futures.append(self._client.call_async(request))
            self._executor.spin_until_future_complete(futures[-1], min(left_s, again_s))
            if done := [future for future in futures if future.done()]:
                return done[0].result()
        return None


def set_parameter(
    node_name: str, name: str, value: bool | int | float | str, timeout_s: float
) -> tuple[bool, str] | None:
    """Set one parameter of a node: whether it was set, and why not; None if no reply came."""
    nothing = SetParameters.Request()
    service = f'{node_name}/set_parameters'
    with Caller(SetParameters, service, timeout_s, harmless=nothing) as caller:
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        response = caller.call(SetParameters.Request(parameters=parameters))
    if response is None:
        return None
    result = response.results[0]
    return bool(result.successful), str(result.reason)
