"""Parameter files that ROS passes over, or cannot read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.ros.arguments import check, unread_files

_PYTHON = sys.executable
_NODE = 'dtp_stereo_ros.ros.depth_node'


def refusal(*command: str) -> str:
    """The line by which a start of the node is refused."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith('depth_node: ')]
    return line


@pytest.mark.parametrize(
    ('content', 'read'),
    [
        ('/**: {ros__parameters: {a: 1}}', True),
        ('/front/depth_node: {ros__parameters: {a: 1}}', True),
        ('front: {depth_node: {ros__parameters: {a: 1}}}', True),
        ('/*/depth_node: {ros__parameters: {a: 1}}', True),
        ('/**/depth_node: {ros__parameters: {a: 1}}', True),
        ('/**: {ros__parameters: {a: !!python/tuple [b, c]}}', True),
        ('', True),  # nothing is lost
        ('depth_node: {ros__parameters: {a: 1}}', False),
        ('/*: {ros__parameters: {a: 1}}', False),
        ('/rear/depth_node: {ros__parameters: {a: 1}}', False),
        ('T: [1, 2]', False),
        ('a text', False),
    ],
)
def test_sections(content: str, read: bool, tmp_path: Path) -> None:
    path = tmp_path / 'some.yaml'
    path.write_text(content)
    given = ['--ros-args', '-r', '__ns:=/front', '--params-file', str(path)]
    lines = list(unread_files(given, '/front/depth_node'))
    assert len(lines) == (not read)
    assert all(line.startswith(f'{path} has n') for line in lines)


def test_the_mend_names_the_node_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / 'some.yaml'
    path.write_text('/cam/disparity_node: {ros__parameters: {a: 1}}\n/b: {ros__parameters: {}}')
    (line,) = unread_files(['--params-file', str(path)], '/depth_node')
    assert 'only for /cam/disparity_node, /b; rename' in line
    assert line.endswith('-r __node:=disparity_node')


@pytest.mark.parametrize('content', [None, b'\xff\xfe\x00'])
def test_a_file_that_nobody_can_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / 'some.yaml'
    if content:
        path.write_bytes(content)
    for given in (path, tmp_path):
        with pytest.raises(InputError, match=f'^{given}: .*; check the path$'):
            check(['--ros-args', '--params-file', str(given)])


def test_pipes_are_left_to_ros() -> None:
    content = '/**: {ros__parameters: {backend: sgbm, max_depth: -1.0}}'
    script = f'"$0" -m {_NODE} --ros-args --params-file <(echo "{content}")'
    assert 'max_depth' in refusal('bash', '-c', script, _PYTHON)


@pytest.mark.parametrize(
    ('given', 'line'),
    [
        ('-p max_depth', '-p max_depth: sets no parameter; write -p NAME:=VALUE'),
        ('-p max_depth:=[1,', '-p max_depth:=[1,: sets no parameter; write'),
        ('--param max_depth', '--param max_depth: sets no parameter; write'),
        ('-r __node:=a-b', '-r __node:=a-b: is no remapping; write -r FROM:=TO'),
        ('--log-level verbose', '--log-level verbose: is no level; take debug, info,'),
        ('--frob -r a:=b c', 'unknown among the arguments of ROS: --frob, c; see'),
        ('-e nope', 'failed to initialize rcl: Enclave name is not valid'),
    ],
)
def test_what_ros_refuses_is_one_line_with_the_mend(given: str, line: str) -> None:
    told = refusal(_PYTHON, '-m', _NODE, '--ros-args', *given.split())
    assert told.startswith(f'depth_node: {line}')


def test_a_log_configuration_that_ros_cannot_take_is_to_be_left_out(tmp_path: Path) -> None:
    file = tmp_path / 'log.conf'
    file.touch()
    line = refusal(_PYTHON, '-m', _NODE, '--ros-args', '--log-config-file', str(file))
    assert line.endswith('; leave --log-config-file out')


def test_a_log_folder_that_cannot_be_written_is_named_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'file').touch()
    monkeypatch.setenv('ROS_LOG_DIR', str(tmp_path / 'file' / 'log'))
    line = refusal(_PYTHON, '-m', _NODE)
    assert str(tmp_path / 'file') in line
    assert line.endswith(
        '; set ROS_LOG_DIR to a folder that can be written, as ROS_LOG_DIR=/tmp/ros_log'
    )


@pytest.mark.parametrize('content', ['a: [1\n b', 'max_depth: 3.0', 'a:\n   b: 1\n  c: 2\n'])
def test_a_malformed_file_is_one_line(content: str, tmp_path: Path) -> None:
    path = tmp_path / 'some.yaml'
    path.write_text(content)
    line = refusal(_PYTHON, '-m', _NODE, '--ros-args', '--params-file', str(path))
    assert line.startswith(f'depth_node: {path}: ') and 'config/dtp_stereo.yaml' in line
    assert '.c:' not in line  # of the source of ROS
