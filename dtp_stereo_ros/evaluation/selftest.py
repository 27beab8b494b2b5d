"""Selftest of the backends: parity, precision, time and memory of each on one pair.

Each backend runs in a process of its own, so that a runtime that dies ends its own row only, and
the peak of the memory is that of one backend.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .. import backends, postprocess, preprocess, system
from ..backends import trial
from ..config import PipelineConfig
from ..errors import InputError, StereoError, one_line
from ..markdown import table
from ..parity import Parity, Planes, allowed_text
from ..stereo import Float32Array, StereoFrame
from . import motorcycle
from .result_file import plain

# The backends that a reference is taken from, on the CPU in fp32; a backend is never its own.
_REFERENCES = ('torch', 'onnx')
# Half of the pixels must be less wrong: it tells a wrong disparity from an inaccurate one.
_WRONG_PX = 1.5
_WARM_UP = 3
_GENERATED_SIZE = (480, 640)
# Of the JSON file.
_VERSION = 1


@dataclass(frozen=True)
class Pair:
    """The pair of the selftest.

    Attributes:
        name: for the report.
        frame: rectified images.
        truth_px: (H, W), raw disparity, NaN where it is unknown.
    """

    name: str
    frame: StereoFrame
    truth_px: Float32Array


@dataclass(frozen=True)
class Measured:
    """A backend on the pair, as its process tells it.

    Attributes:
        error: why it did not start or run; '' where it did.
        started: whether it started.
        device, model, precision: what the backend says of itself.
        start_s: from nothing to the backend that is ready; None where no times were asked for.
        first_frame_s: of the first pair; with TensorRT an engine is loaded or built in it; None
            as above.
        frame_ms, frame_p95_ms: of inference of the pairs after the warm-up: median and 95th
            percentile; None as above.
        peak_memory_mib: of the process, Python and the libraries among it.
        gpu_memory_mib: of the process on NVIDIA's GPU; None where that is not told.
        planes: disparity at the padded size, and confidence; None where it did not run.
        error_px: median over the known pixels.
    """

    error: str = ''
    started: bool = False
    device: str = ''
    model: str = ''
    precision: str = ''
    start_s: float | None = None
    first_frame_s: float | None = None
    frame_ms: float | None = None
    frame_p95_ms: float | None = None
    peak_memory_mib: int = 0
    gpu_memory_mib: int | None = None
    planes: Planes | None = None
    error_px: float = float('nan')


@dataclass(frozen=True)
class Row:
    """A backend in the report.

    Attributes:
        backend: its name in the table of backends.
        state: 'passed', 'failed', or 'not here' where it cannot start on this machine.
        reason: of the state; '' where it passed.
        reference: that it was compared with; '' where there is none.
        parity: with the reference; None where there is none.
        measured: by its process.
    """

    backend: str
    state: str
    reason: str
    reference: str
    parity: Parity | None
    measured: Measured


@dataclass(frozen=True)
class Selftest:
    """The result.

    Attributes:
        pair: name.
        size: 'WxH' of its images.
        runs: timed frames of each backend; 0 where no times were asked for.
        machine: versions and hardware, by name.
        rows: of the backends.
    """

    pair: str
    size: str
    runs: int
    machine: dict[str, str]
    rows: list[Row]

    def passed(self, asked: Sequence[str]) -> bool:
        """Whether all that ran is right, something ran, and nothing that was asked for is missing.

        Args:
            asked: backends that the user named.
        """
        states = {row.backend: row.state for row in self.rows}
        return (
            'failed' not in states.values()
            and 'passed' in states.values()
            and all(states[name] == 'passed' for name in asked)
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        rows = []
        for row in self.rows:
            values = asdict(replace(row, measured=replace(row.measured, planes=None)))
            measured = values.pop('measured')
            del measured['planes'], measured['error'], measured['started']
            rows.append(plain({**values, **measured}))
        return {
            'format': 'dtp_stereo selftest',
            'version': _VERSION,
            'pair': self.pair,
            'size': self.size,
            'runs': self.runs,
            'machine': self.machine,
            'backends': rows,
        }

    def as_markdown(self) -> str:
        """A report that can be pasted into an issue."""
        headings = (
            'backend', 'result', 'device', 'precision', 'from the reference', 'from the truth',
            'frame', 'p95', 'start', 'first frame', 'memory',
        )  # fmt: skip
        ran = [row for row in self.rows if row.measured.planes is not None]
        timed = f'inference of {self.runs} frames after {_WARM_UP}' if self.runs else 'no times'
        lines = [
            '# dtp-stereo selftest',
            '',
            table(('', ''), list(self.machine.items())),
            '',
            f'{self.pair}, {self.size}; {timed}.',
            '',
        ]
        if ran:
            lines += [table(headings, [_cells(row) for row in ran]), '']
        lines += [f'- {r.backend}: {r.state}: {r.reason}' for r in self.rows if r.reason]
        return '\n'.join(lines).rstrip()


def shipped_pair() -> Pair:
    """The Motorcycle pair, or without scikit-image a generated one of known disparity."""
    try:
        frame, truth_px = motorcycle.load()
    except InputError:
        return generated_pair()
    return Pair('Motorcycle (Middlebury 2014)', frame, truth_px)


def generated_pair(size: tuple[int, int] = _GENERATED_SIZE) -> Pair:
    """A textured wall with a box before it, (height, width) px."""
    pair = trial.pair_of(size)
    left, right = (
        np.ascontiguousarray(image[0].transpose(1, 2, 0).astype(np.uint8))
        for image in (pair.left, pair.right)
    )
    truth_px = np.where(pair.judged, pair.truth_px, np.nan).astype(np.float32)
    return Pair('generated pair of 8 and 24 px', StereoFrame(left, right), truth_px)


def examine(config: PipelineConfig, names: Sequence[str], pair: Pair, runs: int) -> Selftest:
    """Run backends on a pair, one after the other.

    Args:
        config: settings of all of them; `backend` is not read.
        names: of backends.
        pair: that they run on.
        runs: timed frames of each; 0 takes no times.
    """
    references: dict[str, Measured] = {}
    rows = [_row(config, name, pair, runs, references) for name in names]
    size = f'{pair.frame.width_px}x{pair.frame.height_px}'
    return Selftest(pair.name, size, runs, system.describe(), rows)


def _row(
    config: PipelineConfig, name: str, pair: Pair, runs: int, references: dict[str, Measured]
) -> Row:
    measured = _in_own_process(replace(config, backend=name), pair, runs)
    if measured.error:
        state = 'failed' if measured.started else 'not here'
        return Row(name, state, measured.error, '', None, measured)
    assert measured.planes is not None
    if name in _REFERENCES and measured.precision == 'fp32' and _on_cpu(measured):
        references[name] = measured  # of the backends that follow
    reference, expected = '', None
    if name != 'sgbm':
        reference, expected = _reference(config, name, pair, references)
    parity = None if expected is None else Parity.of(measured.planes, expected)
    reason = ''
    if parity and not parity.fits(measured.precision):
        reason = f'differs from {reference}: {parity.text()}; {allowed_text(measured.precision)}'
    elif not measured.error_px < _WRONG_PX:
        reason = f'half of the known pixels are {measured.error_px:.2f} px wrong or more'
    return Row(name, 'failed' if reason else 'passed', reason, reference, parity, measured)


def _reference(
    config: PipelineConfig, name: str, pair: Pair, references: dict[str, Measured]
) -> tuple[str, Planes | None]:
    """Name and planes of what a backend is compared with; '' and None where there is none."""
    for candidate in _REFERENCES:
        if candidate == name:
            continue
        if candidate not in references:
            own = replace(config, backend=candidate, precision='fp32')
            references[candidate] = _in_own_process(own, pair, 0, on_cpu=True)
        found = references[candidate]
        if found.planes is not None:
            return f'{candidate} in fp32 on the CPU', found.planes
    return '', None


def _in_own_process(
    config: PipelineConfig, pair: Pair, runs: int, on_cpu: bool = False
) -> Measured:
    # A process that is forked would inherit the threads of runtimes that this one has loaded.
    context = multiprocessing.get_context('spawn')
    with ProcessPoolExecutor(1, context, _hide_gpu if on_cpu else None) as pool:
        try:
            return pool.submit(_measure, config, pair, runs).result()
        except BrokenProcessPool:
            return Measured('its process died; run dtp-stereo infer to see why', started=True)
        except Exception as error:  # a bug is a row of the report, beside those of the others
            return Measured(f'{type(error).__name__}: {one_line(error)}', started=True)


def _on_cpu(measured: Measured) -> bool:
    return measured.device.lower() in ('cpu', 'cpuexecutionprovider')


def _hide_gpu() -> None:
    os.environ['CUDA_VISIBLE_DEVICES'] = ''


def _measure(config: PipelineConfig, pair: Pair, runs: int) -> Measured:
    """Run a backend in this process; `runs` 0 makes its disparity and takes no times."""
    begun = time.perf_counter()
    try:
        backend = backends.create(config)
    except StereoError as error:
        return Measured(str(error))
    start_s = time.perf_counter() - begun
    try:
        prepared = preprocess.prepare(pair.frame, backend.spec, 1.0)
        begun = time.perf_counter()
        found = backend.infer(prepared.left, prepared.right)
        first_frame_s = time.perf_counter() - begun
        times_s = []
        for number in range((_WARM_UP + runs) if runs else 0):
            begun = time.perf_counter()
            found = backend.infer(prepared.left, prepared.right)
            if number >= _WARM_UP:
                times_s.append(time.perf_counter() - begun)
    except StereoError as error:
        return Measured(str(error), started=True)
    restored = postprocess.restore(found[0], prepared.geometry)
    gpu_memory_mib = system.gpu_memory_mib()
    backend.close()
    measured = Measured(
        started=True,
        device=backend.device,
        model=backend.spec.name,
        precision=backend.spec.precision,
        peak_memory_mib=system.peak_memory_mib(),
        gpu_memory_mib=gpu_memory_mib,
        planes=found,
        error_px=_error_px(restored, pair.truth_px),
    )
    if not runs:
        return measured
    frame_ms, p95_ms = np.percentile(times_s, (50, 95)) * 1000
    return replace(
        measured,
        start_s=round(start_s, 2),
        first_frame_s=round(first_frame_s, 2),
        frame_ms=round(float(frame_ms), 2),
        frame_p95_ms=round(float(p95_ms), 2),
    )


def _error_px(disparity_px: Float32Array, truth_px: Float32Array) -> float:
    """Median over the pixels of known truth; holes count as wrong."""
    known = np.isfinite(truth_px)
    error = np.abs(disparity_px[known] - truth_px[known])
    return round(float(np.median(np.where(np.isnan(error), np.inf, error))), 3)


def _cells(row: Row) -> tuple[str, ...]:
    found = row.measured
    memory = f'{found.peak_memory_mib} MiB'
    if found.gpu_memory_mib is not None:
        memory += f', GPU {found.gpu_memory_mib} MiB'
    return (
        row.backend,
        row.state,
        found.device,
        found.precision,
        f'{row.parity.text()} ({row.reference})' if row.parity else 'no reference',
        f'median {found.error_px:.2f} px',
        _time(found.frame_ms, 1, 'ms'),
        _time(found.frame_p95_ms, 1, 'ms'),
        _time(found.start_s, 1, 's'),
        _time(found.first_frame_s, 2, 's'),
        memory,
    )


def _time(value: float | None, digits: int, unit: str) -> str:
    return '-' if value is None else f'{value:.{digits}f} {unit}'
