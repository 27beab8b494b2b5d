"""A trial of a model that says nothing about itself, on a textured pair of known disparity.

A model that gets images in another range or the views exchanged, or whose output has another sign
or scale, gives a smooth picture of wrong depths and no error. The trial runs it as it is set;
where the disparity is wrong, it tries the other forms and names the settings that make it right.
The order of the channels shows only where a network depends on it: dtpnet is 3 % worse in BGR.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..stereo import BoolArray, Float32Array
from .ports import RANGES, AnyArray, Inputs, Outputs, PortOptions, candidates

# Outputs of a model by name for a pair in the form of these options.
RunOutputs = Callable[[PortOptions, Float32Array, Float32Array], Mapping[str, AnyArray]]

# The size of the pair where the model takes any; all networks we know pad to a part of 64.
SIZE = (192, 320)
_FAR_PX, _NEAR_PX = 8, 24
# A disparity counts as right where 8 pixels of 10 are less wrong than this.
_RIGHT_PX = 1.5
_SHARE = 80
# Scales so near to 1 are 1, and errors so near to each other are equal.
_UNIT = 0.1
# So near to another small whole number they are that.
_NEARLY, _SMALL = 0.03, 16
# Outputs that differ by less between the wall and the box are of no depth.
_FLAT = 1e-6
# The other order of channels has to be so much better, as it changes little.
_CLEARLY = 0.6
# In the dark a wrong mean shows.
_DARK = np.float32(0.2)
# Forms are tried no longer; the first trial is made in any case.
_BUDGET_S = 20.0


@dataclass(frozen=True)
class Pair:
    """The pair of the trial.

    Attributes:
        left, right: float32 (1, 3, H, W), RGB 0-255.
        truth_px: (H, W), disparity.
        judged: (H, W) bool, away from edges and from what one view does not see.
    """

    left: Float32Array
    right: Float32Array
    truth_px: Float32Array
    judged: BoolArray


def pair_of(size: tuple[int, int]) -> Pair:
    """A wall at 8 px with a box at 24 px before it; less in images narrower than 320 px."""
    height, width = size
    far = max(1, min(_FAR_PX, width // 40))
    near = far * _NEAR_PX // _FAR_PX
    rng = np.random.default_rng(0)
    wall, box = (_texture(rng, height, width + near) for _ in range(2))
    rows = slice(height // 4, 3 * height // 4)
    columns = slice(width * 2 // 5, width * 4 // 5)
    left, right = wall[:, :width].copy(), wall[:, far : far + width].copy()
    left[rows, columns] = box[rows, columns]
    moved = slice(columns.start - near, columns.stop - near)
    right[rows, moved] = box[rows, columns]
    truth = np.full(size, far, np.float32)
    truth[rows, columns] = near
    margin = max(2, height // 24)
    judged = np.zeros(size, np.bool_)
    judged[margin:-margin, 2 * near : width - margin] = True
    # The ring around the edges of the box; what it hides lies to its left.
    ring = np.zeros(size, np.bool_)
    ring[
        max(0, rows.start - margin) : rows.stop + margin,
        max(0, columns.start - near - margin) : columns.stop + margin,
    ] = True
    ring[
        rows.start + margin : rows.stop - margin, columns.start + margin : columns.stop - margin
    ] = False
    return Pair(_planes(left), _planes(right), truth, judged & ~ring)


def examine(
    path: Path, inputs: Inputs, outputs: Outputs, size: tuple[int, int], run: RunOutputs
) -> str | None:
    """Settings that a model seems to want, or None where its disparity is right as it is set.

    Args:
        path: of the model.
        inputs, outputs: as they are set.
        size: (height, width) px of the pair.
        run: runs the model.
    """
    begun = time.monotonic()
    pair, options = pair_of(size), inputs.options
    planes = candidates(run(options, pair.left, pair.right), size)
    as_set = _error_px(outputs.scale * planes[outputs.disparity], pair)
    if as_set < _RIGHT_PX:
        return None
    wrong = (
        f'{path}: on a textured pair of {pair.truth_px.min():g} and {pair.truth_px.max():g} px '
        f'the disparity is {as_set:.1f} px off'
    )
    fits = _fits(options, planes, pair)
    for forms in _forms(inputs):
        # All ranges before one is chosen: a network may bear with a wrong one.
        if fits:
            break
        for form in forms:
            if time.monotonic() - begun < _BUDGET_S:
                fits += _fits(form, candidates(run(form, pair.left, pair.right), size), pair)
    if not fits:
        return (
            f'{wrong}, in every range of the input, order of the views, sign and scale that was '
            'tried; check which input the model takes'
        )
    wanted = [fit for fit in fits if fit.output == outputs.disparity]
    best = _best(wanted or [fit for fit in fits if fit.output == fits[0].output], size, run)
    changed = [
        f'model_{field.name} {getattr(best, field.name)}'
        for field in dataclasses.fields(best)
        if getattr(best, field.name) != getattr(options, field.name)
        and (field.name != 'output' or best.output != outputs.disparity)
    ]
    if abs(abs(best.output_scale) / size[1] - 1) < _NEARLY:
        changed.append(f'of a pair of {size[1]} px, as its output is a share of the width')
    return f'{wrong}; the model seems to want {", ".join(changed)}: set that'


def _best(fits: list[PortOptions], size: tuple[int, int], run: RunOutputs) -> PortOptions:
    """The one with the least error in a bright and a dark pair, among those that work."""
    pair = pair_of(size)
    dark = dataclasses.replace(
        pair, left=np.rint(_DARK * pair.left), right=np.rint(_DARK * pair.right)
    )

    def error_px(options: PortOptions) -> float:
        found = (
            candidates(run(options, p.left, p.right), size)[options.output] for p in (pair, dark)
        )
        return sum(_mean_error_px(options.output_scale * plane, pair) for plane in found)

    best, least = fits[0], error_px(fits[0])
    for other in fits[1:]:
        if (error := error_px(other)) < (1 - _UNIT) * least:
            best, least = other, error
    turned = dataclasses.replace(best, channels='bgr' if best.channels == 'rgb' else 'rgb')
    return turned if error_px(turned) < _CLEARLY * least else best


def _forms(inputs: Inputs) -> Iterator[list[PortOptions]]:
    """Other forms of the input than what is set, in groups: each has all ranges.

    The views exchanged are a group, and the other order of the channels, and both.
    """
    options = inputs.options
    whole = inputs.left.type.startswith(('int', 'uint'))
    ranges = [options.input_range]
    if not whole:
        ranges += [name for name in RANGES if name != options.input_range]
    for channels in sorted(('rgb', 'bgr'), key=lambda c: c != options.channels):
        for names in (options.inputs, inputs.exchanged):
            form = dataclasses.replace(options, inputs=names, channels=channels)
            forms = [dataclasses.replace(form, input_range=name) for name in ranges]
            yield [form for form in forms if form != options]


def _fits(
    options: PortOptions, outputs: Mapping[str, Float32Array], pair: Pair
) -> list[PortOptions]:
    """The options with each output that is right in some scale, and that scale; the best first."""
    far, near = float(pair.truth_px.min()), float(pair.truth_px.max())
    found = []
    for name, plane in outputs.items():
        at_far, at_near = (
            float(np.nanmedian(plane[pair.judged & (pair.truth_px == truth)]))
            if np.isfinite(plane[pair.judged & (pair.truth_px == truth)]).any()
            else np.nan
            for truth in (far, near)
        )
        if not np.isfinite(at_near - at_far) or abs(at_near - at_far) < _FLAT:
            continue
        scale = _rounded((near - far) / (at_near - at_far))
        error = _error_px(np.float32(scale) * plane, pair)
        if error < _RIGHT_PX:
            fit = dataclasses.replace(options, output=name, output_scale=scale)
            found.append((error, fit))
    return [fit for _, fit in sorted(found, key=lambda item: item[0])]


def _rounded(scale: float) -> float:
    """A small whole number or its inverse where a scale is nearly that, else three digits."""
    size = abs(scale)
    whole = round(size) if size >= 1 else 1 / round(1 / size)
    margin = _UNIT if whole == 1 else _NEARLY
    if max(whole, 1 / whole) <= _SMALL and abs(size / whole - 1) < margin:
        return float(np.copysign(whole, scale))
    return float(f'{scale:.3g}')


def _mean_error_px(disparity_px: Float32Array, pair: Pair) -> float:
    """Over all that both views see, edges included."""
    error = np.abs(disparity_px - pair.truth_px)[:, 2 * int(pair.truth_px.max()) :]
    return float(np.nan_to_num(error, nan=1e3, posinf=1e3).mean())


def _error_px(disparity_px: Float32Array, pair: Pair) -> float:
    """The error that 8 pixels of 10 do not exceed."""
    with np.errstate(invalid='ignore', over='ignore'):
        error = np.abs(disparity_px - pair.truth_px)[pair.judged]
    return float(np.percentile(np.nan_to_num(error, nan=1e3, posinf=1e3), _SHARE))


def _texture(rng: np.random.Generator, height: int, width: int) -> Float32Array:
    """Coloured noise of several octaves, float32 (height, width, 3) in whole numbers."""
    total = np.zeros((height, width, 3), np.float32)
    for sigma, share in ((1.0, 0.25), (3.0, 0.35), (9.0, 0.4)):
        noise = cv2.GaussianBlur(rng.standard_normal(total.shape, np.float32), (0, 0), sigma)
        total += share * noise / noise.std()
    return np.rint(np.clip(128 + 45 * total, 0, 255)).astype(np.float32)


def _planes(image: Float32Array) -> Float32Array:
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])
