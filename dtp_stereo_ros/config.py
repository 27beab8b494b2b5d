"""Every tunable once: default, unit, range and description.

The command line, the ROS parameters and the documentation are made from the fields below, so a
default or a range is never written a second time. Two dataclasses: what the frame pipeline uses,
and what only the ROS node uses.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, get_type_hints

from .errors import ConfigError

Scalar = bool | int | float | str
Setting = Scalar | tuple[str, ...]


@dataclass(frozen=True)
class Tunable:
    """How one field may be set.

    Attributes:
        description: one sentence for users; ROS shows it in rqt_reconfigure.
        unit: 'px', 'm', 's', ... or '' where there is none.
        minimum, maximum: inclusive range of a number.
        choices: allowed values of a string.
        live: whether it may change while the node runs.
    """

    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = True


def tunable(
    default: Setting,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] = (),
    live: bool = True,
) -> Any:
    """A dataclass field that carries its `Tunable`."""
    spec = Tunable(description, unit, minimum, maximum, choices, live)
    return dataclasses.field(default=default, metadata={'tunable': spec})


# One part of a ROS name; what begins with _ would be a hidden topic.
_NAME_PART = re.compile(r'[A-Za-z](_?[A-Za-z0-9])*_?')
_MOST_CAMERAS = 16

BACKENDS = ('auto', 'openvino', 'onnx', 'torch', 'sgbm')


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of `pipeline.StereoPipeline`."""

    backend: str = tunable(
        'auto',
        'Inference backend; auto takes the best that works here and logs why.',
        choices=BACKENDS,
    )
    model: str = tunable(
        'dtpnet', 'Model: the name of a shipped one, or the path of an .onnx or .pt file.'
    )
    precision: str = tunable(
        'auto',
        'Arithmetic of the network; auto takes bf16 where that is faster here, else fp32.',
        choices=('auto', 'fp32', 'bf16', 'fp16'),
    )
    threads: int = tunable(
        0, 'CPU threads of the backend; 0 uses all cores.', minimum=0, maximum=256
    )
    input_scale: float = tunable(
        1.0,
        'Images are resized by this before matching; disparity is scaled back.',
        minimum=0.125,
        maximum=1.0,
    )
    disparity_range: int = tunable(
        192,
        'Disparities that the SGBM backend searches; networks bring their own.',
        unit='px',
        minimum=16,
        maximum=512,
    )
    min_depth: float = tunable(
        0.2, 'Nearer points are invalid.', unit='m', minimum=0.0, maximum=1000.0
    )
    max_depth: float = tunable(
        100.0, 'Farther points are beyond range.', unit='m', minimum=0.01, maximum=100000.0
    )
    confidence_threshold: float = tunable(
        0.0, 'Pixels with less confidence are invalid; 0 keeps all.', minimum=0.0, maximum=1.0
    )
    speckle_size: int = tunable(
        0,
        'Connected regions of fewer pixels are removed; 0 keeps all.',
        unit='px',
        minimum=0,
        maximum=100000,
    )
    speckle_range: float = tunable(
        2.0,
        'Neighbours whose disparities differ by less belong to one region.',
        unit='px',
        minimum=0.0,
        maximum=64.0,
    )
    left_right_check: float = tunable(
        0.0,
        'Pixels are invalid where a second match, from the right image, differs by more than '
        'this; takes twice the time; 0 skips it.',
        unit='px',
        minimum=0.0,
        maximum=64.0,
    )
    flying_pixel_jump: float = tunable(
        0.0,
        'Pixels between two surfaces whose disparities differ by more than this within 5 px are '
        'invalid; 0 keeps all.',
        unit='px',
        minimum=0.0,
        maximum=64.0,
    )


@dataclass(frozen=True)
class NodeConfig:
    """Settings that only the ROS node has."""

    cameras: tuple[str, ...] = tunable(
        ('',),
        'Names of the stereo cameras that this node serves with one model; the topics of each lie '
        "under its name, as front/left/image_rect. [''] is one camera without a name.",
        live=False,
    )
    image_transport: str = tunable(
        'raw',
        'Subscribe to raw images or to their compressed topics.',
        choices=('raw', 'compressed'),
        live=False,
    )
    rectify: bool = tunable(
        False, 'Images are raw: rectify them here, from D, K, R and P of camera_info.'
    )
    approximate_sync: bool = tunable(
        False, 'Pair images whose stamps differ, instead of only equal ones.'
    )
    approximate_sync_tolerance_seconds: float = tunable(
        0.0,
        'Largest stamp difference of a pair; 0 means half of the measured frame period.',
        unit='s',
        minimum=0.0,
        maximum=10.0,
    )
    cache_camera_info: bool = tunable(
        True,
        'A camera_info holds until the next one, so it may be latched, slower or stamped '
        'otherwise than the images; false uses only images whose camera_info has their stamp, '
        'for cameras whose calibration changes from image to image.',
    )
    queue_size: int = tunable(
        5,
        'Messages of each topic kept while waiting for their partners.',
        minimum=1,
        maximum=1000,
        live=False,
    )
    max_age: float = tunable(
        1.0,
        'Frames older than this when their turn comes are dropped; 0 keeps all. Age counts from '
        'the stamp, or from reception where stamps are over a minute off the clock (a bag).',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
    )
    depth_encoding: str = tunable(
        '32FC1',
        'Depth image in metres (32FC1) or millimetres (16UC1).',
        choices=('32FC1', '16UC1'),
    )
    use_color: bool = tunable(True, 'Points carry the colour of the left image.')
    avoid_point_cloud_padding: bool = tunable(
        False, 'Points of 16 bytes instead of 32 (PCL-aligned).'
    )
    invalid_as_inf: bool = tunable(
        False,
        'The cloud has points at max_depth where the scene is beyond range, so that costmaps '
        'clear those rays; keep their obstacle range below max_depth.',
    )
    decimation: int = tunable(
        1, 'Every n-th row and column becomes points of the cloud.', minimum=1, maximum=16
    )
    voxel_size: float = tunable(
        0.0,
        'The cloud has one point, the mean, per cube of this size; 0 keeps it organised.',
        unit='m',
        minimum=0.0,
        maximum=10.0,
    )
    autostart: bool = tunable(
        True,
        'Configure and activate by itself; false waits for a lifecycle manager.',
        live=False,
    )
    watchdog_timeout: float = tunable(
        30.0,
        'A frame in work for longer is a backend that hangs: the node says so and the process '
        'ends with code 1; 0 waits for ever.',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
    )
    diagnostics_period: float = tunable(
        1.0, 'Time between diagnostics.', unit='s', minimum=0.1, maximum=60.0, live=False
    )


def tunables(cls: type) -> dict[str, Tunable]:
    """Name to `Tunable` for every field of a config class, in order."""
    return {f.name: f.metadata['tunable'] for f in dataclasses.fields(cls)}


def validate(config: PipelineConfig | NodeConfig) -> None:
    """Check types, ranges and choices.

    Raises:
        ConfigError: names the setting, its value and what is allowed.
    """
    hints = get_type_hints(type(config))
    for name, spec in tunables(type(config)).items():
        value = getattr(config, name)
        expected = hints[name]
        if expected == tuple[str, ...]:
            if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
                raise ConfigError(f'{name} is {value!r}, it must be a list of texts')
            continue
        accepted = (int, float) if expected is float else (expected,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
            raise ConfigError(f'{name} is {value!r}, it must be of type {expected.__name__}')
        if spec.choices and value not in spec.choices:
            raise ConfigError(f'{name} is {value!r}, choose one of {", ".join(spec.choices)}')
        low = -math.inf if spec.minimum is None else spec.minimum
        high = math.inf if spec.maximum is None else spec.maximum
        if expected in (int, float) and not low <= value <= high:
            unit = f' {spec.unit}' if spec.unit else ''
            raise ConfigError(f'{name} is {value}{unit}, it must be in {low} .. {high}{unit}')
    if isinstance(config, PipelineConfig) and config.min_depth >= config.max_depth:
        raise ConfigError(
            f'min_depth {config.min_depth} m must be below max_depth {config.max_depth} m'
        )
    if isinstance(config, NodeConfig):
        _check_cameras(config.cameras)


def _check_cameras(names: tuple[str, ...]) -> None:
    """Each name becomes a part of topic names."""
    if names == ('',):
        return
    if not 1 <= len(names) <= _MOST_CAMERAS:
        raise ConfigError(f'cameras has {len(names)} names, it must have 1 .. {_MOST_CAMERAS}')
    for index, name in enumerate(names):
        if not _NAME_PART.fullmatch(name):
            raise ConfigError(
                f'cameras: {name!r} cannot be a part of a topic name; use letters, digits and '
                'single _, beginning with a letter'
            )
        if name in names[:index]:
            raise ConfigError(f'cameras: {name!r} stands there twice; name each camera once')
