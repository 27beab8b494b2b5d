"""Parameter files as ROS reads them: the sections of the node, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.node_params import read_node_params


def section(name: str, parameters: str) -> str:
    return f"'{name}': {{ros__parameters: {{{parameters}}}}}\n"


@pytest.mark.parametrize(
    'name', ['/**', '/*', 'depth_node', '/depth_node', '/front/depth_node', '/**/depth_node']
)
@pytest.mark.parametrize('other', ['camera_driver', '/front/rectify_node', '/depth_node_2'])
@pytest.mark.parametrize('ours_first', [True, False])
def test_sections_of_other_nodes_do_not_count(
    name: str, other: str, ours_first: bool, tmp_path: Path
) -> None:
    sections = [section(name, 'backend: sgbm'), section(other, 'backend: torch, rectify: true')]
    path = tmp_path / 'robot.yaml'
    path.write_text(''.join(sections if ours_first else sections[::-1]))
    pipeline, node, unknown = read_node_params(path)
    assert (pipeline.backend, node.rectify, unknown) == ('sgbm', False, [])


def test_sections_in_namespaces(tmp_path: Path) -> None:
    path = tmp_path / 'robot.yaml'
    path.write_text('robot: {front: {depth_node: {ros__parameters: {max_depth: 7.5}}}}')
    assert read_node_params(path)[0].max_depth == 7.5


def test_a_file_of_other_nodes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'robot.yaml'
    path.write_text(section('camera', 'rectify: true') + section('/deep/er', 'rectify: true'))
    with pytest.raises(InputError) as caught:
        read_node_params(path)
    assert str(caught.value) == (
        f"{path}: has nothing for depth_node, only for /camera, /deep/er; rename that to '/**'"
    )


@pytest.mark.parametrize(
    ('parameters', 'said'),
    [
        ('max_depth: 10', 'max_depth is 10; it must have a decimal point, as 10.0'),
        ('max_age: 0', 'max_age is 0; it must have a decimal point, as 0.0'),
        ('max_depth: -1.0', 'max_depth'),
        ('queue_size: 2.5', 'queue_size'),
    ],
)
def test_what_the_node_refuses_is_refused(parameters: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / 'robot.yaml'
    path.write_text(section('/**', parameters))
    with pytest.raises(ConfigError) as caught:
        read_node_params(path)
    assert str(caught.value).startswith(f'{path}: {said}')
