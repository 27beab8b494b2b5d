"""Executable `depth_node`: `ros2 run dtp_stereo depth_node --ros-args -p backend:=sgbm`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.qos_overriding_options import InvalidQosOverridesError

from ..errors import StereoError
from .node import DepthNode

# What a user gets wrong on the command line or in a parameter file.
_USER_ERRORS = (
    StereoError,
    InvalidParameterTypeException,
    InvalidParameterValueException,
    InvalidQosOverridesError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted.

    Args:
        argv: ROS arguments, default those of the process.

    Returns:
        0 after SIGINT or SIGTERM, 1 when the worker died, 2 for what the user can mend.
    """
    try:
        rclpy.init(args=list(argv) if argv is not None else None)
    except Exception as error:  # rclpy has no common base for malformed ROS arguments
        print(f'depth_node: {_one_line(error)}', file=sys.stderr)
        return 2
    try:
        return _run()
    finally:
        rclpy.try_shutdown()


def _run() -> int:
    try:
        node = DepthNode()
    except _USER_ERRORS as error:
        print(f'depth_node: {_one_line(error)}', file=sys.stderr)
        return 2
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
    if node.worker.failure:
        print(f'depth_node: the worker died\n{node.worker.failure}', file=sys.stderr)
        return 1
    return 0


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())


if __name__ == '__main__':
    sys.exit(main())
