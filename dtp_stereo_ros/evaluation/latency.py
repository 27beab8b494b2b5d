"""Times of methods in those of SGBM: measured in turns, or read from `bench --json`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import InputError
from ..stereo import StereoFrame
from . import motorcycle
from .runner import BASELINE, Matcher, Method, method_name

STAGES = ('preprocess', 'inference', 'postprocess')
# The size at which methods are timed where none is asked for.
WIDTH_PX, HEIGHT_PX = 640, 480

# Runs of each method before the timed ones.
WARM_UP = 3
# Thread pools spin for a while after a run; the next method is not to pay for that.
_PAUSE_S = 0.02


@dataclass(frozen=True)
class Reference:
    """A network that does not ship with this project, of which only the time was measured.

    Attributes:
        name: of the network.
        precision: it was run in.
        ratio_to_sgbm: its time in those of SGBM (3-way, 192 disparities), 640x480, two cores.
    """

    name: str
    precision: str
    ratio_to_sgbm: float


REFERENCES = (Reference('LAS2-S', 'bf16', 2.7), Reference('LAS2-S', 'fp32', 4.0))
REFERENCES_SOURCE = (
    'LAS2-S: measured in OpenVINO at 640x480 on two AMD Zen 5 cores, with random weights, '
    'exported by its own script; its accuracy was not measured here'
)


@dataclass
class Entrant:
    """A matcher that takes part in a timing.

    A matcher returns arrays of the host, for which a GPU has to be waited for: its times end when
    the GPU has finished.

    Attributes:
        name: in the result.
        matcher: that is timed.
        runs: latency by stage of each timed run, seconds.
    """

    name: str
    matcher: Matcher
    runs: list[dict[str, float]] = field(default_factory=list)

    def median_ms(self, *stages: str) -> float:
        """Median over the runs of the sum of some stages, of all by default."""
        return self.percentile_ms(50, *stages)

    def percentile_ms(self, percent: float, *stages: str) -> float:
        """Percentile over the runs of the sum of some stages, of all by default."""
        sums = [sum(run[stage] for stage in stages or STAGES) for run in self.runs]
        return 1000 * float(np.percentile(sums, percent))


@dataclass(frozen=True)
class Times:
    """Median times of one frame, measured in one run.

    Attributes:
        size: 'WxH' of the images.
        runs: number of timed frames.
        total_ms: method to milliseconds.
        ratios: method to its time in those of SGBM.
        settings: method to its `methods.deciding`, as far as they are known.
    """

    size: str
    runs: int
    total_ms: dict[str, float]
    ratios: dict[str, float]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)


def take_turns(entrants: Sequence[Entrant], frame: StereoFrame, runs: int) -> None:
    """Time all on one frame, in turns, so that other work on the machine hits all alike."""
    for index in range(WARM_UP + runs):
        for entrant in entrants:
            latency_s = entrant.matcher.process(frame).latency_s
            if index >= WARM_UP:
                entrant.runs.append(latency_s)
            time.sleep(_PAUSE_S)


def measure(methods: Sequence[Method], frame: StereoFrame, runs: int) -> Times:
    """Time methods, of which one is SGBM, on one frame."""
    entrants = [Entrant(method.name, method.pipeline) for method in methods]
    take_turns(entrants, frame, runs)
    total_ms = {entrant.name: entrant.median_ms() for entrant in entrants}
    ratios = {name: value / total_ms[BASELINE] for name, value in total_ms.items()}
    return Times(f'{frame.width_px}x{frame.height_px}', runs, total_ms, ratios)


def read_bench(path: Path) -> Times:
    """The times in a file of ``dtp-stereo bench --json``.

    Raises:
        InputError: the file is missing or no such file.
    """
    mend = f'write it with dtp-stereo bench --json > {path.name}'
    try:
        report = json.loads(path.read_text(encoding='utf-8'))
        return times_of(report)
    except OSError as error:
        raise InputError(f'{path}: cannot be read ({error.strerror}); {mend}') from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f'{path}: not a file of bench ({type(error).__name__}: {error}); {mend}'
        ) from error


def times_of(report: Mapping[str, Any]) -> Times:
    """The times of the first size that ``dtp-stereo bench`` measured."""
    rows = {bench_name(row): row for row in report['backends']}
    return Times(
        f'{report["width_px"]}x{report["height_px"]}',
        int(report['runs']),
        {name: float(row['total_ms']) for name, row in rows.items()},
        {name: float(row['ratio_to_sgbm']) for name, row in rows.items()},
        {name: dict(row.get('settings', {})) for name, row in rows.items()},
    )


def bench_name(row: Mapping[str, Any]) -> str:
    """The name of a method in reports, by its row in a file of ``dtp-stereo bench --json``."""
    # Earlier versions did not write it.
    return str(row.get('method') or method_name(row['backend'], row['model'], row['precision']))


def resized_motorcycle(width_px: int, height_px: int) -> StereoFrame:
    """The Motorcycle pair, resized.

    Raises:
        InputError: scikit-image is not installed.
    """
    return resized(motorcycle.load()[0], width_px, height_px)


def resized(frame: StereoFrame, width_px: int, height_px: int) -> StereoFrame:
    """A pair in another size, without its calibration."""
    left, right = (
        np.asarray(
            cv2.resize(image, (width_px, height_px), interpolation=cv2.INTER_AREA), np.uint8
        )
        for image in (frame.left, frame.right)
    )
    return StereoFrame(left, right)
