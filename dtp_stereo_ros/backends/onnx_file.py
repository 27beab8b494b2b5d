"""ONNX file, its inputs and outputs: shared by the runtimes that read it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .. import models
from ..errors import BackendError, ModelError, StereoError
from ..models import ModelSpec
from ..sizes import MAX_PIXELS
from ..stereo import Float32Array
from . import trial
from .ports import AnyArray, Inputs, Outputs, Port, PortOptions

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnnxFile:
    """An .onnx file and what its metadata say."""

    path: Path
    spec: ModelSpec

    @classmethod
    def find(cls, name_or_path: str) -> OnnxFile:
        """Resolve a model setting.

        Raises:
            ModelError: missing, unreadable, of another kind, or without our metadata.
        """
        path = models.resolve(name_or_path, ('.onnx',))
        return cls(path, models.onnx_spec(path, assume=models.is_path(name_or_path)))


def complete(spec: ModelSpec, inputs: Inputs, precision: str) -> ModelSpec:
    """The spec with what only the graph tells: a fixed size of the images.

    Raises:
        ModelError: the fixed size is none of an image, too small for one, or of one side alone.
    """
    height, width = inputs.left.size
    if (height is None) != (width is None):
        side = f'height is {height}' if width is None else f'width is {width}'
        raise ModelError(
            f'model {spec.name} takes images whose {side} px, of any size in the other direction; '
            'export it with both free, or both fixed'
        )
    fixed = inputs.fixed_size
    if fixed is not None and not 0 < fixed[0] * fixed[1] <= MAX_PIXELS:
        raise ModelError(
            f'model {spec.name} takes images of {fixed[1]}x{fixed[0]} only; check the file'
        )
    if fixed is not None and fixed[1] < spec.min_width_px:
        raise ModelError(
            f'model {spec.name} takes images of {fixed[1]}x{fixed[0]} only, and a disparity needs '
            f'at least {spec.min_width_px} px of width; export it larger'
        )
    return replace(spec, fixed_size=fixed, precision=precision)


def smallest_size(spec: ModelSpec) -> tuple[int, int]:
    """A (height_px, width_px) that the model takes, for a trial at little cost."""
    side = -(-spec.min_width_px // spec.padding_multiple) * spec.padding_multiple
    return spec.fixed_size or (side, side)


def tried(
    file: OnnxFile,
    inputs: Inputs,
    ports: Sequence[Port],
    names: list[str],
    run: Callable[[list[str], dict[str, AnyArray], tuple[int, int]], list[AnyArray]],
    precision: str,
) -> tuple[ModelSpec, Outputs]:
    """The spec and the outputs of a model that has just been loaded.

    What cannot run fails now, not at a frame. A model of another project is examined: its sizes
    are found, and the log names what it seems to want.

    Args:
        file: of the model.
        inputs: as they are set.
        ports, names: of all inputs and outputs.
        run: names of outputs, inputs and (height, width) of the images to these outputs.
        precision: what it runs in.

    Raises:
        ModelError: the fixed size is none of an image, or no output is a disparity.
        BackendError: it does not run.
        ConfigError: the settings name other outputs.
    """

    def run_all(
        options: PortOptions, left: Float32Array, right: Float32Array
    ) -> dict[str, AnyArray]:
        feed = Inputs.of(file.path, ports, options).feed(left, right)
        return dict(zip(names, run(names, feed, (left.shape[2], left.shape[3])), strict=True))

    def outputs_for(size: tuple[int, int]) -> Outputs:
        grey = np.full((1, 3, *size), 128, np.float32)
        return Outputs.of(file.path, run_all(inputs.options, grey, grey), size, inputs.options)

    spec = complete(file.spec, inputs, precision)
    if spec.foreign:
        if spec.fixed_size is None:
            spec = replace(spec, padding_multiple=_multiple(outputs_for))
        size = _trial_size(spec)
        outputs = outputs_for(size)
        finding = trial.examine(file.path, inputs, outputs, size, run_all)
        _tell(file.path, spec, inputs, outputs, finding)
    else:
        outputs = outputs_for(smallest_size(spec))
    return replace(spec, has_confidence=outputs.confidence is not None), outputs


def _multiple(outputs_for: Callable[[tuple[int, int]], Outputs]) -> int:
    """The least of `models.PADDINGS` that sizes must be multiples of, px.

    Raises:
        StereoError: it runs with none of them, as of the least.
    """
    first: StereoError | None = None
    for multiple in models.PADDINGS:
        try:
            outputs_for((3 * multiple, 5 * multiple))  # multiples of no larger one
            return multiple
        except (ModelError, BackendError) as error:
            first = first or error
    assert first is not None
    raise first


def _tell(
    path: Path, spec: ModelSpec, inputs: Inputs, outputs: Outputs, finding: str | None
) -> None:
    """Log what is assumed of a model that says nothing about itself, and what a trial found."""
    options = inputs.options
    _log.warning(
        '%s says nothing about itself; assumed, unless settings model_* say otherwise: %s; '
        '%s images of %s; output %s in px; padding to multiples of %d px; disparities up to %d px',
        path,
        inputs.text,
        options.channels.upper(),
        options.input_range,
        outputs.disparity,
        spec.padding_multiple,
        spec.max_disparity_px,
    )
    if finding:
        _log.warning(finding)


def _trial_size(spec: ModelSpec) -> tuple[int, int]:
    """(height, width) px of the pair that a model of another project is examined on."""
    if spec.fixed_size:
        return spec.fixed_size
    multiple = spec.padding_multiple
    height, width = (-(-side // multiple) * multiple for side in trial.SIZE)
    return height, width
