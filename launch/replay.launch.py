"""Plays a bag through the node and judges it: `ros2 launch dtp_stereo replay.launch.py bag:=X`.

The launch ends with the replay; it fails where the replay did not judge all, or a bound is broken.
Options of `dtp-stereo replay` that have no argument here: `options:="--every 5 --backend sgbm"`.
"""

from __future__ import annotations

import shlex
import sys

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, EmitEvent, ExecuteProcess, OpaqueFunction
from launch.events import Shutdown
from launch.events.process import ProcessExited

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.ros import launch_arguments

_OPTIONS = {
    'bag': ('', 'Folder of a rosbag2, an .mcap or .db3 file, or a .bag of ROS 1.'),
    'report': ('', 'Folder of the report; none is written without.'),
    'json': ('', 'Result file; none is written without.'),
    'rate': ('', 'Play in time, so many times as fast as recorded; without, in lockstep.'),
    'params_file': ('', 'Parameter file of the node.'),
    'fail_if': ('', 'Bound that makes the launch fail, as bad3>5.'),
    'node_running': ('false', 'Use a node that is running already.'),
    'options': ('', 'Further options of dtp-stereo replay.'),
}
# Argument: option of the command.
_FLAGS = {
    'report': '--report',
    'json': '--json',
    'rate': '--rate',
    'params_file': '--params',
    'fail_if': '--fail-if',
}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the process is made when their values are known."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=description)
        for name, (default, description) in _OPTIONS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=_actions)])


def _actions(context: LaunchContext) -> list[Action]:
    try:
        launch_arguments.check_names(launch_arguments.typed_after(__file__), _OPTIONS)
        given = {name: str(context.launch_configurations[name]) for name in _OPTIONS}
        command = _command(given)
    except ConfigError as error:
        raise RuntimeError(str(error)) from error  # launch prints it in one line, and ends
    return [
        ExecuteProcess(
            cmd=[sys.executable, '-u', '-m', 'dtp_stereo_ros.cli', 'replay', *command],
            name='replay',
            output='screen',
            emulate_tty=True,
            # The node in it is asked to end first, and the report is written.
            sigterm_timeout='30',
            on_exit=_end,
        )
    ]


def _command(given: dict[str, str]) -> list[str]:
    """Arguments of `dtp-stereo replay`."""
    if not given['bag']:
        raise ConfigError('bag:= is missing; name the bag')
    running = given['node_running'].lower()
    if running not in ('true', 'false'):
        raise ConfigError(f'node_running:={given["node_running"]} is neither true nor false')
    words = [given['bag']]
    for name, flag in _FLAGS.items():
        if given[name]:
            words += [flag, given[name]]
    try:
        more = shlex.split(given['options'])
    except ValueError as error:
        raise ConfigError(f'options:={given["options"]} cannot be read: {error}') from error
    return [*words, *(['--node-running'] if running == 'true' else []), *more]


def _end(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """End the launch, with an error where the replay had one."""
    if event.returncode and not context.is_shutdown:
        raise RuntimeError(f'dtp-stereo replay ended with code {event.returncode}')
    return [EmitEvent(event=Shutdown(reason='the replay is done'))]
