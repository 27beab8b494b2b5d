"""Parameter files that ROS passes over."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtp_stereo_ros.ros.arguments import unread_files


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
