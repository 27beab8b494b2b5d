"""Inputs and outputs of an .onnx model: found by name, shape and type, and filled in its form.

Public models take two images, or one of six channels, in several orders of axes, types, ranges and
channel orders, and give one or several outputs. The rules are here, for all runtimes; where they
choose wrongly, the settings of `PortOptions` choose.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import PipelineConfig
from ..errors import ConfigError, ModelError
from ..preprocess import byte_planes, planes
from ..stereo import Float32Array
from .base import Image

AnyArray = npt.NDArray[np.generic]

# Mean and deviation of the channels R, G, B, of values in 0..255.
_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_RANGES: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    '0..255': ((0.0,) * 3, (1.0,) * 3),
    '0..1': ((0.0,) * 3, (255.0,) * 3),
    '-1..1': ((127.5,) * 3, (127.5,) * 3),
    'imagenet': (
        tuple(255 * mean for mean in _IMAGENET[0]),
        tuple(255 * deviation for deviation in _IMAGENET[1]),
    ),
}
RANGES = tuple(_RANGES)
_LUMINANCE = (0.299, 0.587, 0.114)

# Types that images can be given in. Smaller signed ones are of quantised models.
_FLOATS = ('float16', 'float32', 'float64')
_INTEGERS = ('uint8', 'uint16', 'int16', 'int32', 'uint32', 'int64', 'uint64')

# Channels of one view, and of both one behind the other.
_ONE_VIEW, _BOTH_VIEWS = (3, 1), (6, 2)

_LEFT = {'left', 'l', 'lft', 'ref', 'reference', 'base', 'primary'}
_RIGHT = {'right', 'r', 'rgt', 'target', 'tgt', 'matching', 'secondary', 'source', 'src'}
_FINAL = {'up', 'upsampled', 'full', 'final', 'refined', 'left', 'pred', 'prediction'}
_NO_DISPARITY = (
    'occ', 'conf', 'cert', 'uncert', 'mask', 'prob', 'var', 'sigma', 'entropy', 'valid', 'cost',
    'feat', 'weight', 'error', 'edge', 'normal', 'semantic', 'right', 'low', 'coarse',
)  # fmt: skip


@dataclass(frozen=True)
class PortOptions:
    """Settings ``model_*``: the use of a model where it is not seen from the file.

    Attributes:
        inputs: 'LEFT,RIGHT', names of its inputs; '' finds them.
        output: name of the disparity; '' finds it.
        input_range: one of `RANGES`.
        channels: 'rgb' or 'bgr'.
        output_scale: the output times this is the disparity in px.
    """

    inputs: str = ''
    output: str = ''
    input_range: str = '0..255'
    channels: str = 'rgb'
    output_scale: float = 1.0

    @classmethod
    def of(cls, config: PipelineConfig) -> PortOptions:
        """The options among the settings of the pipeline."""
        return cls(
            config.model_inputs,
            config.model_output,
            config.model_input_range,
            config.model_channels,
            config.model_output_scale,
        )


@dataclass(frozen=True)
class Port:
    """An input of a graph as the runtime describes it.

    Attributes:
        name: of the input.
        type: NumPy's name of its type, as 'float32'; the runtime's where NumPy has none.
        shape: None for a free dimension; None as a whole where even their number is free.
    """

    name: str
    type: str
    shape: tuple[int | None, ...] | None

    @property
    def text(self) -> str:
        """Name, type and shape, for errors."""
        if self.shape is None:
            return f'{self.name} ({self.type})'
        shape = ', '.join('?' if size is None else str(size) for size in self.shape)
        return f'{self.name} ({self.type}, {shape})'

    @property
    def axes(self) -> str:
        """Order of the axes, as 'NCHW'; '' where it takes no image."""
        shape = (1, 3, None, None) if self.shape is None else self.shape
        if len(shape) == 2:
            return 'HW'
        if len(shape) == 4 and shape[0] not in (1, None):
            return ''
        known = _ONE_VIEW + _BOTH_VIEWS
        orders = {3: ('CHW', 'HWC'), 4: ('NCHW', 'NHWC')}.get(len(shape), ())
        for order in orders:
            if shape[order.index('C')] in known:
                return order
        return orders[0] if orders and shape[orders[0].index('C')] is None else ''

    @property
    def channels(self) -> int:
        """Channels of the image; 3 where they are free."""
        if 'C' not in self.axes:
            return 1
        return (self.shape and self.shape[self.axes.index('C')]) or 3

    @property
    def size(self) -> tuple[int | None, int | None]:
        """Height and width of its image, px."""
        if self.shape is None:
            return None, None
        return self.shape[self.axes.index('H')], self.shape[self.axes.index('W')]

    def shape_for(self, size: tuple[int, int]) -> list[int]:
        """Its shape for images of (height, width)."""
        sizes = {'N': 1, 'C': self.channels, 'H': size[0], 'W': size[1]}
        return [sizes[axis] for axis in self.axes]


@dataclass(frozen=True)
class Inputs:
    """The inputs of a model, and the form of the images in them.

    Attributes:
        left, right: the same one where it takes both images, one behind the other.
        swapped: of one that takes both: whether the right image comes first.
        options: range and channel order.
        by: what told left from right: 'names', 'order' of the file, or 'settings'.
    """

    left: Port
    right: Port
    options: PortOptions = field(default_factory=PortOptions)
    swapped: bool = False
    by: str = 'names'
    # Planes of the pair before, by side.
    _memory: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path, ports: Sequence[Port], options: PortOptions) -> Inputs:
        """Find the views among the inputs of a graph.

        Raises:
            ModelError: the graph takes no pair, or in a type that images cannot be given in.
            ConfigError: the options do not fit it.
        """
        images = [port for port in ports if port.axes]
        wanted = _ONE_VIEW if len(ports) == 2 else _BOTH_VIEWS
        if (
            len(images) != len(ports)
            or len(ports) not in (1, 2)
            or any(port.channels not in wanted for port in ports)
        ):
            raise ModelError(
                f'{path}: a stereo model has two image inputs (1, 3, H, W), or one of both images '
                f'(1, 6, H, W), this has inputs {", ".join(port.text for port in ports)}'
            )
        for port in ports:
            _check_type(path, port, options)
        if len(ports) == 1:
            order = options.inputs.replace(' ', '') or 'left,right'
            if order not in ('left,right', 'right,left'):
                raise ConfigError(
                    f'model_inputs is {options.inputs!r}; {path} takes both images in '
                    f'{ports[0].name}: write left,right or right,left'
                )
            return cls(ports[0], ports[0], options, order == 'right,left')
        left, right, by = _views(path, ports, options.inputs)
        if left.size != right.size:
            raise ModelError(
                f'{path}: {left.text} and {right.text} are of two sizes; a pair has one'
            )
        return cls(left, right, options, by=by)

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """(height, width) px of the only images that it takes; None where they are free."""
        height, width = self.left.size
        return None if height is None or width is None else (height, width)

    @property
    def plain(self) -> bool:
        """Whether each image is taken on its own, as float32 (1, 3, H, W), RGB 0-255."""
        form = self.options.input_range, self.options.channels
        return (
            self.left is not self.right
            and form == ('0..255', 'rgb')
            and all(
                (port.type, port.axes, port.channels) == ('float32', 'NCHW', 3) and port.shape
                for port in (self.left, self.right)
            )
        )

    @property
    def exchanged(self) -> str:
        """Value of `PortOptions.inputs` with the views exchanged."""
        if self.left is self.right:
            return 'left,right' if self.swapped else 'right,left'
        return f'{self.right.name},{self.left.name}'

    @property
    def text(self) -> str:
        """Which input takes which view."""
        if self.left is self.right:
            order = 'right before left' if self.swapped else 'left before right'
            return f'both views in {self.left.name}, {order}'
        unsure = ' (by their order in the file)' if self.by == 'order' else ''
        return f'left view in {self.left.name} and right in {self.right.name}{unsure}'

    def shapes(self, size: tuple[int, int]) -> dict[str, list[int]]:
        """Shape of each input for images of (height, width) px."""
        return {port.name: port.shape_for(size) for port in (self.left, self.right)}

    def feed(self, left: Image, right: Image) -> dict[str, AnyArray]:
        """The pair in the form of the model, by input. The next pair may be written over it."""
        if self.left is not self.right:
            views = (('left', self.left, left), ('right', self.right, right))
            return {
                port.name: _as_port(self._in_form(side, image, port, port.channels), port)
                for side, port, image in views
            }
        one_view = self.left.channels // 2
        both = [
            self._in_form(side, image, self.left, one_view)
            for side, image in (('left', left), ('right', right))
        ]
        joined = np.concatenate(both[::-1] if self.swapped else both, axis=1)
        return {self.left.name: _as_port(joined, self.left)}

    def _in_form(self, side: str, given: Image, port: Port, channels: int) -> AnyArray:
        """(1, C, H, W) in the range and channel order of the model; uint8 where the model is."""
        image: npt.NDArray[Any] = given
        if given.ndim == 3:
            pixels = given.astype(np.uint8, copy=False)
            # Grey values are no whole numbers.
            make = byte_planes if port.type == 'uint8' and channels == 3 else planes
            image = self._memory[side] = make(pixels, self._memory.get(side))
        mean, deviation = (np.array(v, np.float32) for v in _RANGES[self.options.input_range])
        if channels == 1:
            weights = np.array(_LUMINANCE, np.float32)
            image = np.tensordot(weights, image[0], 1)[None, None].astype(np.float32)
            mean, deviation = mean.mean(keepdims=True), deviation.mean(keepdims=True)
        if self.options.input_range != '0..255':
            image = (image - mean[:, None, None]) / deviation[:, None, None]
        if channels == 3 and self.options.channels == 'bgr':
            image = image[:, ::-1]
        return np.ascontiguousarray(image)


@dataclass(frozen=True)
class Outputs:
    """The outputs of a model that are used.

    Attributes:
        path: of the model, for errors.
        disparity, confidence: names; the latter is None where there is none.
        scale: the output times this is the disparity in px.
    """

    path: Path
    disparity: str
    confidence: str | None
    scale: float = 1.0

    @classmethod
    def of(
        cls,
        path: Path,
        outputs: Mapping[str, AnyArray],
        size: tuple[int, int],
        options: PortOptions,
    ) -> Outputs:
        """Find the disparity and the confidence.

        Args:
            path: of the model, for errors.
            outputs: by name, in the order of the file, what it gives for a pair.
            size: (height, width) px of that pair.
            options: may name the disparity.

        Raises:
            ModelError: none has the size of the images, or several may be the disparity.
            ConfigError: the options name another.
        """
        listed = ', '.join(f'{name} {value.shape}' for name, value in outputs.items())
        fitting = [n for n, v in outputs.items() if _plane(v, size) is not None]
        if options.output:
            if options.output not in fitting:
                raise ConfigError(
                    f'model_output is {options.output!r}; for images of {size[1]}x{size[0]}, '
                    f'{path} has outputs {listed}: name one of their size'
                )
            found = options.output
        elif not outputs:
            raise ModelError(f'{path}: a stereo model has an output of numbers, this has none')
        elif not fitting:
            raise ModelError(
                f'{path}: for images of {size[1]}x{size[0]} an output has shape {listed}; a '
                'disparity map has the size of the image'
            )
        else:
            found = _disparity(path, fitting)
        confidence = next(
            (
                name
                for name, value in outputs.items()
                if name != found
                and any(word.startswith('conf') for word in _words(name))
                and _small_plane(value, size) is not None
            ),
            None,
        )
        return cls(path, found, confidence, options.output_scale)

    @property
    def names(self) -> list[str]:
        """Names of the outputs that are wanted."""
        return [self.disparity] + ([self.confidence] if self.confidence else [])

    def planes(
        self, outputs: Sequence[AnyArray], size: tuple[int, int]
    ) -> tuple[Float32Array, Float32Array | None]:
        """Disparity (H, W) in px, and confidence, which may have a part of the size, or None.

        Args:
            outputs: of `names`, in their order.
            size: (height, width) px of the images.

        Raises:
            ModelError: an output has another size than the images.
        """
        disparity = self._checked(outputs[0], size, _plane)
        if self.scale != 1.0:
            disparity = disparity * np.float32(self.scale)
        if self.confidence is None:
            return disparity, None
        return disparity, self._checked(outputs[1], size, _small_plane)

    def _checked(self, output: AnyArray, size: tuple[int, int], form: _Form) -> Float32Array:
        plane = form(output, size)
        if plane is None:
            raise ModelError(
                f'{self.path}: an output has shape {np.shape(output)} for images of '
                f'{size[1]}x{size[0]}; a disparity map has the size of the image'
            )
        return plane


def candidates(outputs: Mapping[str, AnyArray], size: tuple[int, int]) -> dict[str, Float32Array]:
    """Those outputs that have the size of the images, as (H, W), by name."""
    planes = {name: _plane(value, size) for name, value in outputs.items()}
    return {name: plane for name, plane in planes.items() if plane is not None}


def _plane(output: AnyArray, size: tuple[int, int]) -> Float32Array | None:
    """An output as (H, W), whichever axes of length 1 it has; of a flow the part along x.

    None where it has another size.
    """
    values = np.asarray(output)
    if values.ndim == 4 and values.shape == (1, 2, *size):
        values = values[:, 0]
    elif values.ndim == 4 and values.shape == (1, *size, 2):
        values = values[..., 0]
    if [n for n in values.shape if n != 1] != [n for n in size if n != 1]:
        return None
    return _numbers(values, size)


def _small_plane(output: AnyArray, size: tuple[int, int]) -> Float32Array | None:
    """An output as (h, w), of the size of the images or smaller by one factor, or None."""
    values = np.asarray(output)
    sides = [n for n in values.shape if n != 1]
    if len(sides) != 2 or sides[0] * size[1] != sides[1] * size[0] or sides[0] > size[0]:
        return None
    return _numbers(values, (sides[0], sides[1]))


def _numbers(values: AnyArray, size: tuple[int, int]) -> Float32Array | None:
    if values.dtype.kind not in 'fiu':
        return None
    return values.reshape(size).astype(np.float32, copy=False)


_Form = Callable[[AnyArray, tuple[int, int]], Float32Array | None]


def _check_type(path: Path, port: Port, options: PortOptions) -> None:
    if port.type not in _FLOATS + _INTEGERS:
        raise ModelError(
            f'{path}: input {port.text} is of a type that images are not given in; convert it to '
            'float32, float16 or uint8'
        )
    if port.type in _INTEGERS and options.input_range != '0..255':
        raise ConfigError(
            f'model_input_range is {options.input_range}; {path} takes whole numbers '
            f'({port.type}), set 0..255'
        )


def _as_port(values: AnyArray, port: Port) -> AnyArray:
    """(1, C, H, W) in the type and the order of axes of an input."""
    if port.type in _INTEGERS and values.dtype.kind == 'f':
        values = np.rint(values).clip(0, 255)
    if port.axes == 'HW':
        values = values[0, 0]
    elif port.axes in ('CHW', 'HWC'):
        values = values[0]
    if port.axes.endswith('C'):
        values = np.moveaxis(values, -3, -1)
    return np.ascontiguousarray(values, port.type)


def _views(path: Path, ports: Sequence[Port], named: str) -> tuple[Port, Port, str]:
    """Left and right of two inputs, and what told them apart."""
    by_name = {port.name: port for port in ports}
    first, second = ports
    if named:
        names = [name.strip() for name in named.split(',')]
        if set(names) != set(by_name) or len(names) != 2:
            raise ConfigError(
                f'model_inputs is {named!r}; {path} has {first.name} and {second.name}: write the '
                'one of the left image first'
            )
        return by_name[names[0]], by_name[names[1]], 'settings'
    right_first = _right_first(first.name, second.name)
    if right_first is None:
        return first, second, 'order'
    return (second, first, 'names') if right_first else (first, second, 'names')


def _right_first(first: str, second: str) -> bool | None:
    """Whether the first of two names is that of the right view; None where they do not tell."""
    sides = _side(first), _side(second)
    if sides[0] != sides[1]:
        return sides[0] == 'right' or sides[1] == 'left'
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    end = 0
    while end < min(len(first), len(second)) - start and first[-1 - end] == second[-1 - end]:
        end += 1
    one, other = (name[start : len(name) - end].lower() for name in (first, second))
    if {one, other} == {'l', 'r'}:
        return one == 'r'
    # im2 and im6, image1 and image2, input and input.1: the lower is the left one.
    numbers = [re.fullmatch(r'\W?_?(\d*)', part) for part in (one, other)]
    if numbers[0] and numbers[1]:
        return int(numbers[0][1] or 0) > int(numbers[1][1] or 0)
    return None


def _side(name: str) -> str:
    """'left', 'right', or '' where a name does not tell."""
    words = set(_words(name))
    left, right = bool(words & _LEFT), bool(words & _RIGHT)
    if left == right:
        left, right = 'left' in name.lower(), 'right' in name.lower()
    if left == right:
        return ''
    return 'left' if left else 'right'


def _words(name: str) -> list[str]:
    """Words of a name in any style: 'imgL', 'left_image', 'LeftImage.1'; lower case."""
    return [w.lower() for w in re.findall(r'[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+', name)]


def _disparity(path: Path, names: Sequence[str]) -> str:
    """The disparity among outputs of the size of the images."""
    if 'disparity' in names:
        return 'disparity'
    named = [n for n in names if any(w.startswith('disp') for w in _words(n))]
    found = named or list(names)
    if len(found) > 1:
        found = [n for n in found if not _is_other(n)] or found
    if len(found) > 1:
        found = [n for n in found if _FINAL & set(_words(n))] or found
    if len(found) > 1:
        raise ModelError(
            f'{path}: outputs {", ".join(found)} have the size of the images; name the disparity '
            'with the setting model_output'
        )
    return found[0]


def _is_other(name: str) -> bool:
    return any(word.startswith(_NO_DISPARITY) for word in _words(name))
