"""A backend that takes longer to load than a parameter service may wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from rclpy.parameter import Parameter

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.ros import node as node_module
from dtp_stereo_ros.ros.node import DepthNode

WAIT_S = 20.0


@pytest.fixture
def depth_node(ros: None) -> Iterator[DepthNode]:
    # A name of its own: rclpy keeps the services of a lifecycle node until it is collected.
    made = DepthNode('late_change', parameter_overrides=[Parameter('backend', value='sgbm')])
    yield made
    made.close()


def set_model(depth_node: DepthNode, model: str) -> bool:
    return bool(depth_node.set_parameters([Parameter('model', value=model)])[0].successful)


@pytest.mark.parametrize('fails', [False, True])
def test_late_outcome(depth_node: DepthNode, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """It is accepted at first; when it fails after all, the parameters say what is in force."""
    loading, go_on = threading.Event(), threading.Event()
    original = depth_node._pipeline.reconfigure

    def slow(config: PipelineConfig) -> None:
        loading.set()
        assert go_on.wait(WAIT_S)
        if fails:
            raise ModelError(f'{config.model}: broken')
        original(config)

    monkeypatch.setattr(node_module, '_CHANGE_WAIT_S', 0.05)
    monkeypatch.setattr(depth_node._pipeline, 'reconfigure', slow)
    before = depth_node.parameters.pipeline.model
    assert set_model(depth_node, 'other')
    assert loading.wait(WAIT_S)
    assert depth_node.get_parameter('model').value == 'other'
    go_on.set()
    expected = before if fails else 'other'
    deadline = time.monotonic() + WAIT_S
    while (
        depth_node.get_parameter('model').value != expected
        or depth_node._pipeline.config.model != expected
    ):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert depth_node.parameters.pipeline.model == expected
    assert depth_node.failure == ''


def test_a_bug_in_a_change_is_a_refusal(
    depth_node: DepthNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(config: PipelineConfig) -> None:
        raise KeyError('oops')

    monkeypatch.setattr(depth_node._pipeline, 'reconfigure', bug)
    result = depth_node.set_parameters([Parameter('max_depth', value=5.0)])[0]
    assert not result.successful
    assert result.reason == "KeyError: 'oops'"
    assert depth_node.get_parameter('max_depth').value == 100.0
