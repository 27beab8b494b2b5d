"""The node of a replay, and the ROS domain that it shares with nobody but us."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions

from dtp_stereo_ros.stereo import SIDES
from dtp_stereo_ros.topics import COMPRESSED_ENDING, INPUTS

from .node_process import LOCAL_ENV, NodeProcess, reliable, transport_env

DIAGNOSTICS_PERIOD_S = 0.5


@contextmanager
def ros_context(domain: str | None) -> Iterator[tuple[Context, dict[str, str]]]:
    """An rclpy context of our own, and the environment that the node needs to be heard in it.

    Signals stay with Python, so that Ctrl-C unwinds the stack and takes the node down.

    Args:
        domain: ROS_DOMAIN_ID of a replay that nobody else shall hear: it sends /clock, and images
            under the names of the robot's. None is that of the environment.
    """
    own = {} if domain is None else {**LOCAL_ENV, **transport_env()}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    context = Context()
    number = None if domain is None else int(domain)
    rclpy.init(
        args=[],
        context=context,
        domain_id=number,
        signal_handler_options=SignalHandlerOptions.NO,
    )
    try:
        yield context, own if domain is None else {**own, 'ROS_DOMAIN_ID': domain}
    finally:
        context.try_shutdown()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def node_process(
    inputs: Mapping[str, str],
    compressed: bool,
    settings: Mapping[str, Any],
    folder: Path,
    log: Path,
    env: Mapping[str, str],
    lockstep: bool,
) -> NodeProcess:
    """The node, set up for the topics of a replay; not yet started.

    Args:
        inputs: 'left', 'right', 'left_info', 'right_info' to the topics that are sent.
        compressed: the images are CompressedImage.
        settings: parameters by name.
        folder: takes the parameter file.
        log: takes its output.
        env: for its environment.
        lockstep: nothing is dropped: images are subscribed to reliably, so that they arrive late
            instead of never, none is too old, and each waits for its own camera info.
    """
    remaps = {}
    for side in SIDES:
        # As image_transport does it: the suffix goes onto the remapped name.
        topic = inputs[side].removesuffix(COMPRESSED_ENDING if compressed else '')
        remaps[INPUTS[side]] = topic
        remaps[INPUTS[f'{side}_info']] = inputs[f'{side}_info']
    merged = {
        **settings,
        'use_sim_time': True,
        'autostart': True,
        'cameras': [''],
        'image_transport': 'compressed' if compressed else 'raw',
        'diagnostics_period': DIAGNOSTICS_PERIOD_S,
    }
    if lockstep:
        merged['max_age'] = 0.0
        # Each info is sent with its image; on a busy machine it may come after it.
        merged['cache_camera_info'] = False
    file = folder / 'node.yaml'
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in merged.items()}
    file.write_text(yaml.safe_dump({'/**': {'ros__parameters': plain}}))
    qos = reliable(inputs.values()) if lockstep else {}
    return NodeProcess(qos, remaps, log, ['--params-file', str(file)], env)
