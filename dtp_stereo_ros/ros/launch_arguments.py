"""Arguments of the launch file, made from the declarations of the parameters.

Text in, values out: neither `launch` nor rclpy is imported here.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import WITHOUT_COUNTERPART, NodeConfig, PipelineConfig, Tunable, tunables
from ..errors import ConfigError, InputError
from ..node_params import read_parameters
from ..topics import COMPRESSED_ENDING, INPUTS, OUTPUTS

# Launch argument: (topic of the node, description).
TOPICS = {
    'left_image': (INPUTS['left'], 'Rectified left image.'),
    'left_info': (INPUTS['left_info'], 'Calibration of the left camera.'),
    'right_image': (INPUTS['right'], 'Rectified right image.'),
    'right_info': (INPUTS['right_info'], 'Calibration of the right camera.'),
    'disparity': ('disparity', 'Output: disparity.'),
    'points2': ('points2', 'Output: point cloud.'),
    'depth_image': ('depth/image', 'Output: depth image.'),
    'depth_info': ('depth/camera_info', 'Output: calibration of the depth image.'),
    'confidence': ('confidence', 'Output: confidence.'),
}
# As stereo_image_proc has them: the topics below a camera's namespace.
_RAW = 'image_raw'
NAMESPACES = {
    'left_namespace': f'Namespace of left_image, which is {_RAW} with rectify, and left_info.',
    'right_namespace': f'Namespace of right_image, which is {_RAW} with rectify, and right_info.',
}
_CAMERA = '{camera}'
# Launch arguments of stereo_image_proc that have no counterpart here, and what to do instead.
_PASSED_OVER = {
    **WITHOUT_COUNTERPART,
    'container': 'the node is a process of its own',
    'launch_image_proc': f'with rectify:=true the node takes {_RAW} of both namespaces',
}


def descriptions() -> dict[str, str]:
    """Argument to description of every parameter; each is empty unless it is given."""
    made = {}
    for cls in (PipelineConfig, NodeConfig):
        defaults = cls()
        for name, spec in tunables(cls).items():
            made[name] = _describe(spec, getattr(defaults, name))
    made['use_sim_time'] = 'true takes the time from /clock: for a bag and for a simulator.'
    return made


def topic_descriptions() -> dict[str, str]:
    """Argument to description of every topic and namespace."""
    per_camera = f' With cameras: one for each, as a,b, or one with {_CAMERA} in it.'
    return {
        **{name: f'{text}{per_camera} Default: {topic}' for name, (topic, text) in TOPICS.items()},
        **{name: f'{text}{per_camera}' for name, text in NAMESPACES.items()},
    }


def values(given: Mapping[str, str]) -> dict[str, Any]:
    """Parameters of the node from the arguments that are not empty.

    Raises:
        ConfigError: a text is no value of the parameter's type.
    """
    defaults: dict[str, Any] = {'use_sim_time': False}
    for config in (PipelineConfig(), NodeConfig()):
        defaults |= {name: getattr(config, name) for name in tunables(type(config))}
    return {
        name: _value(name, text.strip(), defaults[name])
        for name, text in given.items()
        if text.strip() and name in defaults
    }


def remappings(
    given: Mapping[str, str], cameras: Sequence[str], rectify: bool = False
) -> list[tuple[str, str]]:
    """Topic of the node to topic of the system, of what differs.

    Args:
        given: arguments, those of the topics and namespaces among them; empty ones change nothing.
        cameras: names of the stereo cameras, () for one without a name.
        rectify: whether the images in a namespace are raw, as the parameter of the node.

    Raises:
        ConfigError: not one value for each camera.
    """
    pairs = []
    for name, (topic, _) in TOPICS.items():
        side = name.partition('_')[0]
        namespace = given.get(f'{side}_namespace', '')
        text = given.get(name, '')
        if namespace:
            below = _for_each(f'{side}_namespace', namespace, cameras)
            own = _RAW if rectify and name.endswith('_image') else topic.partition('/')[2]
            # Each namespace has the same topic, unless one is given for each camera.
            same = [text or own] * len(below)
            ends = _for_each(name, text, cameras) if ',' in text or _CAMERA in text else same
            targets = [_below(*pair) for pair in zip(below, ends, strict=True)]
        elif text:
            targets = _for_each(name, text, cameras)
        else:
            continue
        for camera, target in zip(cameras or [''], targets, strict=True):
            source = f'{camera}/{topic}' if camera else topic
            if source != target:
                pairs.append((source, target))
    return pairs


def viewer_remappings(
    pairs: Sequence[tuple[str, str]], namespace: str, node_name: str, camera: str
) -> list[tuple[str, str]]:
    """Remappings of a viewer that stands in the namespace of one camera and shows its topics.

    Args:
        pairs: of the node, see `remappings`.
        namespace: of the node, absolute; '' for the root.
        node_name: of the node, without namespace.
        camera: that is shown, '' for one without a name.
    """
    first = f'{camera}/' if camera else ''
    found = []
    for source, target in pairs:
        if not source.startswith(first):
            continue
        if target.startswith('~'):
            target = f'{namespace}/{node_name}{target[1:]}'
        elif not target.startswith('/'):
            target = f'{namespace}/{target}'
        own = source.removeprefix(first)
        found.append((own, target))
        picture = own + COMPRESSED_ENDING
        if picture in OUTPUTS:
            found.append((picture, target + COMPRESSED_ENDING))
    return found


def without_counterpart(given: Iterable[str]) -> list[str]:
    """One line for each argument of stereo_image_proc's launch file that is passed over.

    Args:
        given: words of the command line, `name:=value` among them.
    """
    names = [word.partition(':=')[0] for word in given if ':=' in word]
    return [
        f'{name}:= has no effect: {_PASSED_OVER[name]}' for name in names if name in _PASSED_OVER
    ]


def check_names(given: Iterable[str], known: Iterable[str]) -> None:
    """Refuse an argument that nobody declared; ros2 launch would ignore it.

    Args:
        given: words of the command line after the launch file, `name:=value` among them.
        known: names that are declared.

    Raises:
        ConfigError: names it, and the nearest that is known.
    """
    names = {*known}
    for word in given:
        name, assigned, _ = word.partition(':=')
        if assigned and name not in names | _PASSED_OVER.keys():
            near = difflib.get_close_matches(name, names, n=1)
            hint = f'did you mean {near[0]}?' if near else 'see --show-args'
            raise ConfigError(f'{name}:= is no argument of this launch file; {hint}')


def preset_file(name: str, folder: Path) -> list[str]:
    """The parameter file of a preset, [] for none.

    Raises:
        ConfigError: no such preset; names those that are there.
    """
    if not name:
        return []
    file = folder / f'{name}.yaml'
    if not file.is_file():
        there = ', '.join(sorted(path.stem for path in folder.glob('*.yaml')))
        raise ConfigError(f'preset:={name} is unknown; choose one of {there}')
    return [str(file)]


def profile_variable(distribution: str) -> str:
    """Environment variable that names a profile file to Fast DDS.

    Args:
        distribution: value of ROS_DISTRO; '' is taken for the newest.
    """
    # Fast DDS 2 in those two, Fast DDS 3 in Kilted and later.
    old = distribution in ('humble', 'iron', 'jazzy')
    return 'FASTRTPS_DEFAULT_PROFILES_FILE' if old else 'FASTDDS_DEFAULT_PROFILES_FILE'


def _describe(spec: Tunable, default: Any) -> str:
    limits = ''
    if spec.choices:
        limits = f' One of {", ".join(spec.choices)}.'
    elif spec.minimum is not None and spec.maximum is not None:
        limits = f' {spec.minimum:g} .. {spec.maximum:g}{" " * bool(spec.unit)}{spec.unit}.'
    shown = ','.join(default) if isinstance(default, tuple) else str(default)
    if isinstance(default, bool):
        shown = shown.lower()
    return f'{spec.description}{limits} Default: {shown or "none"}'


def _value(name: str, text: str, default: Any) -> Any:
    """A text as a value of the default's type."""
    if isinstance(default, tuple):
        parts = [part.strip().strip('\'"') for part in text.strip('[]').split(',')]
        return [part for part in parts if part]
    if isinstance(default, bool):
        if text.lower() in ('true', 'false'):
            return text.lower() == 'true'
        raise ConfigError(f'{name}:={text} is neither true nor false')
    if isinstance(default, int | float):
        kind = type(default)
        try:
            return kind(text)
        except ValueError as error:
            wanted = 'a whole number' if kind is int else 'a number'
            raise ConfigError(f'{name}:={text} is not {wanted}') from error
    return text


def _below(namespace: str, topic: str) -> str:
    """A topic in a namespace; absolute ones stay."""
    topic = topic.strip()
    return topic if topic.startswith(('/', '~')) else f'{namespace.strip().rstrip("/")}/{topic}'


def _for_each(name: str, text: str, cameras: Sequence[str]) -> list[str]:
    """One topic for each camera."""
    if not cameras and _CAMERA in text:
        raise ConfigError(f'{name}:={text} is of several cameras; name them, as cameras:=a,b')
    if not cameras:
        return [text]
    parts = [part.strip() for part in text.split(',')]
    if len(parts) == 1 and _CAMERA in text:
        parts = [text.replace(_CAMERA, camera) for camera in cameras]
    if len(parts) != len(cameras):
        raise ConfigError(
            f'{name}:={text} has {len(parts)} topics for {len(cameras)} cameras; give one for '
            f'each, as a,b, or one with {_CAMERA} in it'
        )
    return parts


def inputs_of(
    parameters: Mapping[str, Any], params_file: Path, node_name: str
) -> tuple[list[str], bool]:
    """Names of the cameras, and whether their images are raw: parameters that change topics.

    Args:
        parameters: of the command line, which stand above those of the file.
        params_file: parameter file of the node; what is wrong with it ROS tells.
        node_name: full name of the node, whose sections of the file count.
    """
    try:
        whole = {**read_parameters(params_file, node_name), **parameters}
    except InputError:
        whole = {**parameters}
    cameras = whole.get('cameras')
    names = [str(name) for name in cameras if name] if isinstance(cameras, (list, tuple)) else []
    return names, whole.get('rectify') is True


def typed_after(launch_file: str) -> list[str]:
    """Arguments typed after a launch file; none where another launch file includes it.

    The other one may have the same name.
    """
    file = Path(launch_file)
    for index, word in enumerate(sys.argv):
        of_package = word == file.name and sys.argv[index - 1] == 'dtp_stereo'
        if of_package or (Path(word).name == file.name and Path(word).resolve() == file.resolve()):
            return sys.argv[index + 1 :]
    return []
