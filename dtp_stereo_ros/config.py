"""Every tunable once: default, unit, range and description.

The command line, the ROS parameters and the documentation are made from the fields below, so a
default or a range is never written a second time. Two dataclasses: what the frame pipeline uses,
and what only the ROS node uses.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass
from typing import Any, get_type_hints

from .errors import ConfigError

Scalar = bool | int | float | str
Setting = Scalar | tuple[str, ...]


@dataclass(frozen=True)
class Tunable:
    """Rules by which one field may be set.

    Attributes:
        description: one sentence for users; ROS shows it in rqt_reconfigure.
        unit: 'px', 'm', 's', ... or '' where there is none.
        minimum, maximum: inclusive range of a number.
        slider: the part of that range that graphical tools offer; None offers all of it.
        step: of a slider; values between its steps are accepted as well. rqt_reconfigure has 100
            positions for a decimal number, at whole multiples of a hundredth of the slider's
            length: a slider begins at such a multiple, and its step is that hundredth.
        choices: allowed values of a string.
        live: whether it may change while the node runs.
        backend: the only backend that reads it; '' where all do.
        option: on the command line; '' where it is the name.
    """

    description: str
    unit: str = ''
    minimum: float | None = None
    maximum: float | None = None
    slider: tuple[float, float] | None = None
    step: float = 1.0
    choices: tuple[str, ...] = ()
    live: bool = True
    backend: str = ''
    option: str = ''


def tunable(
    default: Setting,
    description: str,
    *,
    unit: str = '',
    minimum: float | None = None,
    maximum: float | None = None,
    slider: tuple[float, float] | None = None,
    step: float = 1.0,
    choices: tuple[str, ...] = (),
    live: bool = True,
    backend: str = '',
) -> Any:
    """A dataclass field that carries its `Tunable`."""
    spec = Tunable(description, unit, minimum, maximum, slider, step, choices, live, backend)
    return dataclasses.field(default=default, metadata={'tunable': spec})


# One part of a ROS name; what begins with _ would be a hidden topic.
_NAME_PART = re.compile(r'[A-Za-z](_?[A-Za-z0-9])*_?')
MOST_CAMERAS = 16

BACKENDS = ('auto', 'openvino', 'onnx', 'torch', 'tensorrt', 'sgbm')


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of `pipeline.StereoPipeline`."""

    backend: str = tunable(
        'auto',
        'Inference backend; auto measures once which is the fastest here, and logs it.',
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
        0,
        'CPU threads of the backend; 0 uses all cores.',
        minimum=0,
        maximum=256,
        slider=(0, 32),
    )
    torch_compile: bool = tunable(
        False,
        'Let PyTorch compile the network (torch.compile), which takes a minute at the first frame '
        'of each size.',
        backend='torch',
    )
    # How an .onnx file of others is used where it does not tell; see `backends.ports`.
    model_inputs: str = tunable(
        '',
        "Inputs of an .onnx model for the left and the right image, as 'NAME,NAME'; empty finds "
        'them by their names.',
    )
    model_output: str = tunable(
        '',
        'Output of an .onnx model that is the disparity; empty finds it by its name and size.',
    )
    model_input_range: str = tunable(
        '0..255',
        'Values that an .onnx model takes for black and white; imagenet is the mean and deviation '
        'of that data set.',
        choices=('0..255', '0..1', '-1..1', 'imagenet'),
    )
    model_channels: str = tunable(
        'rgb', 'Order of the colours that an .onnx model takes.', choices=('rgb', 'bgr')
    )
    model_output_scale: float = tunable(
        1.0,
        'The output of an .onnx model times this is the disparity in px; negative where it counts '
        'to the left.',
        minimum=-10000.0,
        maximum=10000.0,
        slider=(0.1, 10.1),
        step=0.1,
    )
    input_scale: float = tunable(
        1.0,
        'Images are resized by this before matching; disparity is scaled back. Above 1 finer '
        'structures are found, in more time and a smaller range of disparities.',
        minimum=0.125,
        maximum=2.0,
        slider=(0.4375, 2.0),  # of 1/64: 0.5, 0.75, 1 and 1.5 are among its positions
        step=0.015625,
    )
    min_depth: float = tunable(
        0.2,
        'Nearer points are invalid.',
        unit='m',
        minimum=0.0,
        maximum=1000.0,
        slider=(0.0, 5.0),
        step=0.05,
    )
    max_depth: float = tunable(
        100.0,
        'Farther points are beyond range.',
        unit='m',
        minimum=0.01,
        maximum=100000.0,
        slider=(1.0, 101.0),
        step=1.0,
    )
    confidence_threshold: float = tunable(
        0.0,
        'Pixels with less confidence are invalid; 0 keeps all. Of shipped networks 0.5 stands for '
        'an expected error of 1 px, 0.25 for 3 px.',
        minimum=0.0,
        maximum=1.0,
        step=0.01,
    )
    speckle_size: int = tunable(
        -1,
        'Connected regions of fewer pixels are removed; 0 keeps all; -1 is 100 for the SGBM '
        'backend and 0 for networks.',
        unit='px',
        minimum=-1,
        maximum=100000,
        slider=(-1, 1000),
    )
    speckle_range: int = tunable(
        2,
        'Neighbours whose disparities differ by no more belong to one region.',
        unit='px',
        minimum=0,
        maximum=64,
        slider=(0, 31),
    )
    left_right_check: float = tunable(
        0.0,
        'Pixels are invalid where a second match, from the right image, differs by more than '
        'this; takes twice the time; 0 skips it.',
        unit='px',
        minimum=0.0,
        maximum=64.0,
        slider=(0.0, 5.0),
        step=0.05,
    )
    flying_pixel_jump: float = tunable(
        0.0,
        'Pixels between two surfaces whose disparities differ by more than this within 5 px are '
        'invalid; 0 keeps all.',
        unit='px',
        minimum=0.0,
        maximum=64.0,
        slider=(0.0, 10.0),
        step=0.1,
    )
    # The names, types and meanings of stereo_image_proc; the defaults are those of our baseline.
    min_disparity: int = tunable(
        0,
        'Smallest disparity that is searched; negative where the cameras look inwards.',
        unit='px',
        # Below, the mark of OpenCV for an unknown disparity does not fit into its 16 bits.
        minimum=-2047,
        maximum=2048,
        slider=(-128, 128),
        backend='sgbm',
    )
    disparity_range: int = tunable(
        192,
        'Disparities that are searched, rounded up to a multiple of 16; networks bring their own.',
        unit='px',
        minimum=16,
        maximum=4096,
        slider=(16, 512),
        step=16,
        backend='sgbm',
    )
    sgbm_mode: int = tunable(
        2,
        'Variant: 0 is five directions, 1 eight in one image-sized buffer, 2 three and fast, '
        '3 four.',
        minimum=0,
        maximum=3,
        backend='sgbm',
    )
    correlation_window_size: int = tunable(
        5,
        'Edge of the blocks that are compared, odd.',
        unit='px',
        minimum=1,
        maximum=255,
        slider=(1, 51),
        step=2,
        backend='sgbm',
    )
    P1: float = tunable(
        200.0,
        'Penalty of neighbours that differ by 1 px; 8 times the area of the block is usual.',
        minimum=0.0,
        maximum=100000.0,
        slider=(0.0, 4000.0),
        step=40.0,
        backend='sgbm',
    )
    P2: float = tunable(
        800.0,
        'Penalty of neighbours that differ by more, at least P1 + 1; 32 times the area of the '
        'block is usual.',
        minimum=0.0,
        maximum=100000.0,
        slider=(0.0, 4000.0),
        step=40.0,
        backend='sgbm',
    )
    uniqueness_ratio: float = tunable(
        10.0,
        'Matches must be better than the second best by so much, else they are invalid.',
        unit='%',
        minimum=0.0,
        maximum=100.0,
        step=1.0,
        backend='sgbm',
    )
    disp12_max_diff: int = tunable(
        1,
        'Largest difference to the match from the right image; 0 counts as 1.',
        unit='px',
        minimum=0,
        maximum=128,
        backend='sgbm',
    )
    prefilter_cap: int = tunable(
        63, 'Bound of the filtered grey values.', minimum=1, maximum=63, backend='sgbm'
    )
    texture_threshold: int = tunable(
        0,
        'Pixels are invalid where the slopes of the grey values, each up to prefilter_cap, sum up '
        'to less within the block; 0 keeps all.',
        minimum=0,
        maximum=10000,
        slider=(0, 1000),
        backend='sgbm',
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
        slider=(0.0, 0.1),
        step=0.001,
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
        slider=(1, 100),
        live=False,
    )
    use_system_default_qos: bool = tunable(
        False,
        'Subscribe with the default QoS of the middleware instead of SensorData.',
        live=False,
    )
    max_age: float = tunable(
        1.0,
        'Frames older than this when their turn comes are dropped; 0 keeps all. Age counts from '
        'the stamp, or from reception where stamps are over a minute off the clock (a bag).',
        unit='s',
        minimum=0.0,
        maximum=3600.0,
        slider=(0.0, 5.0),
        step=0.05,
    )
    overlap_publishing: bool = tunable(
        False,
        'Publish a result in a thread of its own while the next pair is matched: more results a '
        'second where the machine has cores to spare for it.',
        live=False,
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
        slider=(0.0, 0.5),
        step=0.005,
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
        slider=(0.0, 100.0),
        step=1.0,
    )
    diagnostics_period: float = tunable(
        1.0,
        'Time between diagnostics.',
        unit='s',
        minimum=0.1,
        maximum=60.0,
        slider=(0.1, 10.1),
        step=0.1,
        live=False,
    )


# How an .onnx file of others is used.
MODEL_SETTINGS = (
    'model_inputs',
    'model_output',
    'model_input_range',
    'model_channels',
    'model_output_scale',
)

# Parameters of stereo_image_proc that have no counterpart here, and what to do instead.
WITHOUT_COUNTERPART = {
    'stereo_algorithm': 'set backend to sgbm for semi-global matching; there is no block matching',
    'prefilter_size': 'of block matching only; the SGBM backend has prefilter_cap',
    'full_dp': 'set sgbm_mode to 1 where it was true',
}


def tunables(cls: type) -> dict[str, Tunable]:
    """Name to `Tunable` for every field of a config class, in order."""
    return {f.name: f.metadata['tunable'] for f in dataclasses.fields(cls)}


def nearest_name(name: str) -> str:
    """The setting that somebody who wrote `name` may have meant, '' where none is like it."""
    known = [*tunables(PipelineConfig), *tunables(NodeConfig)]
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.7)), '')


# `cloud.voxel_grid` can count cells of this size up to 1 km from the camera.
_SMALLEST_VOXEL_M = 0.001


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
                raise ConfigError(f'{name} is {value!r}, it must be a list of strings')
            continue
        accepted = (int, float) if expected is float else (expected,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and expected is not bool):
            raise ConfigError(f'{name} is {value!r}, it must be of type {expected.__name__}')
        if spec.choices and value not in spec.choices:
            raise ConfigError(f'{name} is {value!r}, choose one of {", ".join(spec.choices)}')
        if expected in (int, float):
            check_range(name, value, spec)
    if isinstance(config, NodeConfig):
        _check_cameras(config.cameras)
        if 0 < config.voxel_size < _SMALLEST_VOXEL_M:
            raise ConfigError(
                f'voxel_size is {config.voxel_size:g} m, it must be 0 or at least '
                f'{_SMALLEST_VOXEL_M:g} m'
            )
    else:
        _check_pipeline(config)


def _check_pipeline(config: PipelineConfig) -> None:
    """Refuse what the range of a single setting does not."""
    if config.min_depth >= config.max_depth:
        raise ConfigError(
            f'min_depth {config.min_depth} m must be below max_depth {config.max_depth} m'
        )
    if config.model_output_scale == 0:
        raise ConfigError('model_output_scale is 0, it must not be; 1 leaves the output as it is')
    if config.correlation_window_size % 2 == 0:
        size_px = config.correlation_window_size
        raise ConfigError(
            f'correlation_window_size is {size_px} px, it must be odd; take {size_px + 1}'
        )


def check_range(name: str, value: float, spec: Tunable) -> None:
    """Check a number.

    Raises:
        ConfigError: names the setting, its value and what is allowed.
    """
    low = -math.inf if spec.minimum is None else spec.minimum
    high = math.inf if spec.maximum is None else spec.maximum
    if low <= value <= high:
        return
    unit = f' {spec.unit}' if spec.unit else ''
    allowed = f'at least {low}{unit}' if spec.maximum is None else f'in {low} .. {high}{unit}'
    raise ConfigError(f'{name} is {value}{unit}, it must be {allowed}')


def _check_cameras(names: tuple[str, ...]) -> None:
    """Each name becomes a part of topic names."""
    if names == ('',):
        return
    if not 1 <= len(names) <= MOST_CAMERAS:
        raise ConfigError(f'cameras has {len(names)} names, it must have 1 .. {MOST_CAMERAS}')
    for index, name in enumerate(names):
        if not _NAME_PART.fullmatch(name):
            raise ConfigError(
                f'cameras: {name!r} cannot be a part of a topic name; use letters, digits and '
                'single _, beginning with a letter'
            )
        if name in names[:index]:
            raise ConfigError(f'cameras: {name!r} stands there twice; name each camera once')
