"""Executable `depth_node`: `ros2 run dtp_stereo depth_node --ros-args -p backend:=sgbm`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from traceback import extract_tb
from types import FrameType
from typing import NoReturn

from ..errors import StereoError, one_line
from ..user_errors import is_read, one_line_imports, print_anything, user_line

with one_line_imports('depth_node'):
    import rclpy
    from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.impl.implementation_singleton import rclpy_implementation
    from rclpy.signals import SignalHandlerOptions

    from ..image_io import silence_opencv
    from . import arguments
    from .node import DepthNode

# Of rclpy: what a user gets wrong on the command line or in a parameter file.
_USER_ERRORS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
)

# A signal is noticed when the wait for messages returns, after this at the latest.
_SIGNAL_LATENCY_S = 0.25
# What was sent last, the reply to a shutdown for one, shall arrive before the process is gone.
_FAREWELL_S = 0.5
_LEAVE_S = 5.0
# A fault that comes with each message is logged no more often than this.
_REPEAT_S = 10.0
_PARAMETER_SERVICE = 'parameter_service.py'  # of rclpy


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Args:
        argv: ROS arguments, default those of the process.

    Returns:
        0 for `--help`, 141 where nobody reads that, 2 for arguments that the user can mend. Once
        ROS has started, the process ends here: with 0 after SIGINT or SIGTERM, 1 when the worker
        died or hangs, 2 for what the user can mend.
    """
    print_anything()
    stop = _Stop()
    given = list(sys.argv[1:] if argv is None else argv)
    if arguments.wants_help(given):
        try:
            print(arguments.help_text(), flush=True)
        except BrokenPipeError:
            if is_read():
                raise
            return 141
        return 0
    try:
        arguments.check(given)
    except StereoError as error:
        print(f'depth_node: {error}', file=sys.stderr)
        return 2
    silence_opencv()
    try:
        # Signals are handled here: rclpy would shut the context down under a running callback,
        # and whatever DDS call is then under way raises.
        rclpy.init(
            args=list(argv) if argv is not None else None,
            signal_handler_options=SignalHandlerOptions.NO,
        )
    except Exception as error:  # rclpy has no common base for malformed ROS arguments
        print(f'depth_node: {_of_ros(error)}', file=sys.stderr)
        return 2
    try:
        _leave(_run(stop, given))
    finally:
        rclpy.try_shutdown()


def _run(stop: _Stop, given: Sequence[str]) -> int:
    node = None
    try:
        node = DepthNode()
        node.begin()
    except KeyboardInterrupt:
        _leave(0, node)
    except Exception as error:
        # Told before the middleware is taken down: soon after its start that may crash.
        _leave(_refused(error), node)
    for text in arguments.unread_files(given, node.get_fully_qualified_name()):
        node.get_logger().warning(text)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop.running = True
    while not (stop.asked or node.failure or node.state == 'finalized'):
        _spin_once(executor, node)
    if node.failure:
        node.report_failure()
        time.sleep(_FAREWELL_S)
        _leave(1, node)
    if node.state == 'finalized':
        time.sleep(_FAREWELL_S)
    executor.shutdown()
    node.close()
    return 0


def _refused(error: Exception) -> int:
    """Exit code of what the user can mend, which is printed in one line; raises the rest."""
    if isinstance(error, rclpy_implementation.RCLError):  # the middleware refuses
        line = _of_ros(error)
    elif isinstance(error, _USER_ERRORS):
        line = one_line(error)
    elif (found := user_line(error)) is not None:
        line = found
    else:
        raise error
    print(f'depth_node: {line}', file=sys.stderr, flush=True)
    return 2


def _spin_once(executor: SingleThreadedExecutor, node: DepthNode) -> None:
    """Take what has come; a message that rclpy itself cannot take does not end the node."""
    try:
        executor.spin_once(timeout_sec=_SIGNAL_LATENCY_S)
    except ValueError as error:
        calls = extract_tb(error.__traceback__)
        if any(call.name == 'clock_callback' for call in calls):
            text = (
                f'/clock has a time that is none, it is ignored ({one_line(error)}); see who '
                'publishes it: ros2 topic info -v /clock'
            )
        elif any(Path(call.filename).name == _PARAMETER_SERVICE for call in calls):
            text = f'a request for parameters is no such, it is ignored ({one_line(error)})'
        else:
            raise
        node.get_logger().error(text, throttle_duration_sec=_REPEAT_S)


def _of_ros(error: Exception) -> str:
    """Fault and mend of what ROS itself refuses, in one line."""
    line = one_line(error)
    if refused := arguments.refused_by_ros(line):
        return refused
    if 'external configuration' in line:
        mend = 'leave --log-config-file out'
    elif 'logging' in line or 'log directory' in line:
        mend = 'set ROS_LOG_DIR to a folder that can be written, as ROS_LOG_DIR=/tmp/ros_log'
    elif os.environ.get('ROS_SECURITY_ENABLE') == 'true':
        mend = 'ROS_SECURITY_ENABLE is set: see docs/guides/security.md'
    else:
        return line
    return f'{line}; {mend}'


def _leave(code: int, node: DepthNode | None = None) -> NoReturn:
    """End the process whatever its other threads do: one that hangs cannot be waited for.

    Nor does the interpreter end: it would stop threads within native code, of a model that loads
    for one, where C++ aborts the process. DDS informs the other side, if it still works: it would
    go on sending to us for the 20 s of its lease, and lose messages for those who live.

    Args:
        code: of the process.
        node: that is not closed yet; its worker is not waited for.
    """
    backstop = threading.Timer(_LEAVE_S, os._exit, (code,))
    backstop.daemon = True
    backstop.start()
    if node is not None:
        node.destroy_node()
    rclpy.try_shutdown()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Stop:
    """SIGINT and SIGTERM: abort at once while a model loads, between callbacks while running."""

    def __init__(self) -> None:
        self.running = False
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def _handle(self, number: int, stack: FrameType | None) -> None:
        self.asked = True
        if not self.running:
            raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
