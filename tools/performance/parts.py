"""Tables of cost against pixels, disparity range, threads and cameras."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import cv2
import numpy as np

from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import BackendError
from dtp_stereo_ros.evaluation.bench_result import SGBM_FULL
from dtp_stereo_ros.evaluation.block_matching import NAME, BlockMatcher
from dtp_stereo_ros.evaluation.latency import Entrant, take_turns
from dtp_stereo_ros.evaluation.node_rate import NodeSetting, node_document, node_table
from dtp_stereo_ros.evaluation.runner import BASELINE, Matcher
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.ros.harness.node_bench import measure
from dtp_stereo_ros.ros.harness.node_process import domain_of
from dtp_stereo_ros.ros.harness.replay_node import ros_context
from dtp_stereo_ros.ros.harness.textured_walls import textured_walls
from dtp_stereo_ros.stereo import StereoFrame, StereoResult
from dtp_stereo_ros.timing import in_turn

Size = tuple[int, int]

RANGES_PX = (64, 128, 192, 256)
_USUAL_RANGE_PX = PipelineConfig().disparity_range
_WARM_UP = 1
_CPU_TIME = 'One thread; the CPU time of the process, in which other work of the machine is not.'
# Values of `sgbm_mode`.
_MODES = {BASELINE: 2, SGBM_FULL: 1}


class WithThreads:
    """A method whose OpenCV functions run in so many threads: OpenCV's count is the process's."""

    def __init__(self, matcher: Matcher, threads: int) -> None:
        self._matcher, self._threads = matcher, threads

    def process(self, frame: StereoFrame) -> StereoResult:
        """Match one pair."""
        cv2.setNumThreads(self._threads)
        return self._matcher.process(frame)

    def close(self) -> None:
        """Free what it holds."""
        self._matcher.close()


def pixels(names: Sequence[str], sizes: Sequence[Size], rounds: int) -> str:
    """CPU time of all methods at several sizes, and as multiples of SGBM's."""
    methods = [*_networks(names, 1), *_classical()]
    frames = {size: textured_walls(*size)[0] for size in sizes}
    found_ms = _cpu_ms(
        {
            f'{method.name} {_text(size)}': partial(method.matcher.process, frame)
            for size, frame in frames.items()
            for method in methods
        },
        rounds,
    )
    rows = []
    for method in methods:
        own_ms = [found_ms[f'{method.name} {_text(size)}'] for size in sizes]
        sgbm_ms = [found_ms[f'{BASELINE} {_text(size)}'] for size in sizes]
        cells = [f'{o:.1f} ({o / s:.2f})' for o, s in zip(own_ms, sgbm_ms, strict=True)]
        per_pixel = [o / (size[0] * size[1]) for o, size in zip(own_ms, sizes, strict=True)]
        rows.append([method.name, *cells, f'{per_pixel[-1] / per_pixel[0]:.2f}'])
    _close(methods)
    headings = ['method', *map(_text, sizes)]
    headings.append(f'time per pixel: {headings[-1]} / {headings[1]}')
    return (
        f'{table(headings, rows)}\n\nCPU ms of a pair; in brackets as a multiple of sgbm at this '
        f'size. {_CPU_TIME} Medians of {rounds} rounds, in each of which all methods at all sizes '
        'take turns.'
    )


def disparity_range(names: Sequence[str], size: Size, rounds: int) -> str:
    """SGBM with several ranges; the range of a network is built into it."""
    methods = _networks(names[:1], 1)
    networks = [method.name for method in methods]
    for range_px in RANGES_PX:
        for name, mode in _MODES.items():
            config = PipelineConfig(
                backend=BASELINE, disparity_range=range_px, sgbm_mode=mode, threads=1
            )
            methods.append(Entrant(f'{name} {range_px}', StereoPipeline(config)))
    frame = textured_walls(*size)[0]
    calls = {method.name: partial(method.matcher.process, frame) for method in methods}
    found_ms = _cpu_ms(calls, rounds)
    _close(methods)
    rows = []
    for range_px in RANGES_PX:
        cells = [f'{range_px} px']
        for name in _MODES:
            range_ms = found_ms[f'{name} {range_px}']
            usual_ms = found_ms[f'{name} {_USUAL_RANGE_PX}']
            cells.append(f'{range_ms:.1f} ({range_ms / usual_ms:.2f})')
        rows.append(cells)
    usual_ms = found_ms[f'{BASELINE} {_USUAL_RANGE_PX}']
    beside = [f'{n} {found_ms[n]:.1f} ms ({found_ms[n] / usual_ms:.2f})' for n in networks]
    return (
        f'{table(["disparities", *_MODES], rows)}\n\nCPU ms of a pair of {_text(size)}; in '
        f'brackets as a multiple of the time with {_USUAL_RANGE_PX} px. {_CPU_TIME} Medians of '
        f'{rounds} rounds, in turns. The range of a network is fixed when it is built: the '
        'shipped ones search 192 px (dtpnet-large 256 px) at any setting, so their cost does not '
        'depend on it; a smaller `input_scale` searches more with fewer pixels. In the same run, '
        f'as a multiple of {BASELINE} with {_USUAL_RANGE_PX} px: {", ".join(beside)}.'
    )


def threads(names: Sequence[str], size: Size, rounds: int, counts: Sequence[int]) -> str:
    """Medians with several numbers of threads."""
    entrants = []
    for count in counts:
        own = [*_networks(names, count), *_classical(count)]
        entrants += [Entrant(f'{e.name} {count}', WithThreads(e.matcher, count)) for e in own]
    take_turns(entrants, textured_walls(*size)[0], rounds)
    medians_ms = {entrant.name: entrant.median_ms() for entrant in entrants}
    shortest_ms = {entrant.name: entrant.percentile_ms(0) for entrant in entrants}
    rows = []
    for name in dict.fromkeys(entrant.name.rpartition(' ')[0] for entrant in entrants):
        keys = [f'{name} {count}' for count in counts]
        cells = [f'{medians_ms[key]:.1f} ({shortest_ms[key]:.1f})' for key in keys]
        gains = [found[keys[0]] / found[keys[-1]] for found in (medians_ms, shortest_ms)]
        rows.append([name, *cells, f'{gains[0]:.2f} ({gains[1]:.2f})'])
    _close(entrants)
    headings = ['method', *(f'{count} thread{"s" * (count > 1)} ms' for count in counts)]
    return (
        f'{table([*headings, "faster by"], rows)}\n\n{_text(size)}; in brackets the shortest of '
        f'{rounds} times. Where other work takes a part of the cores, more threads gain less than '
        'on an idle machine, or lose: each thread waits for the one that was interrupted.'
    )


def node(
    names: Sequence[str], sizes: Sequence[Size], cameras: Sequence[int], seconds: float, steps: int
) -> str:
    """The real node at several sizes, and with several cameras at the first of these."""
    settings = [NodeSetting(*size, parameters={'model': name}) for name in names for size in sizes]
    settings += [
        NodeSetting(*sizes[0], count, {'model': name}) for name in names for count in cameras
    ]
    with ros_context(domain_of(os.getpid())) as (context, env):
        figures = []
        for own in settings:
            figures.append(measure(own, seconds, steps, context, env))
            # Each takes a minute or more, and the whole may be stopped.
            print(node_table(node_document(figures[-1:], seconds, '')), flush=True)
    result = node_document(figures, seconds, '')
    return (
        f'{node_table(result, even=False)}\n\n`dtp-stereo bench --node`, {seconds:g} s at each of '
        f'{steps} rates. Rate: of each camera, the highest of those tried at which each pair came '
        'back. Age: from the stamp of the pair to the arrival of its disparity. CPU: of the node, '
        f'of {result["cores"]} cores. The cameras and the subscriber take CPU time beside it.'
    )


def publishing(name: str, sizes: Sequence[Size], seconds: float, steps: int) -> str:
    """The real node that publishes before or while it matches the next pair, and the network."""
    rows = []
    with ros_context(domain_of(os.getpid())) as (context, env):
        for width_px, height_px in sizes:
            size = width_px, height_px
            alone_ms, measured = [inference_ms(name, size)], []
            for overlap in (False, True):
                parameters = {'model': name, 'overlap_publishing': overlap}
                setting = NodeSetting(*size, parameters=parameters)
                measured.append((overlap, measure(setting, seconds, steps, context, env)))
                alone_ms.append(inference_ms(name, size))
            for overlap, found in measured:
                slowest = min(found.steps, key=lambda step: step.asked_hz)
                age_ms = float(np.median(slowest.ages_ms))
                (told,) = node_document([found], seconds, '')['nodes']
                cells = ['-'] * 3
                if told['rate_hz'] is not None:
                    ages_ms = told['age_p50_ms'], told['age_p95_ms']
                    cells = [f'{told["rate_hz"]:.1f}', *(f'{ms:.0f}' for ms in ages_ms)]
                # The least: in a slow moment of the machine the node would look fast.
                least_ms = min(alone_ms)
                times = [f'{least_ms:.1f}', f'{age_ms:.1f} ({age_ms / least_ms:.2f})']
                rows.append([_text(size), 'yes' if overlap else 'no', *cells, *times])
                print(' | '.join(rows[-1]), flush=True)
    headings = ['size', 'overlap', 'rate Hz', 'age p50 ms', 'age p95 ms', 'network alone ms']
    return (
        f'{table([*headings, "end to end ms"], rows, even=False)}\n\nNode with `{name}`, as it '
        f'is by default and with `overlap_publishing`; {seconds:g} s at each of {steps} rates. '
        'Rate and ages: at the highest of those tried at which each pair came back. Network '
        'alone: median time of the inference without ROS, the least of those before, between and '
        'after the two runs. End to end: median age at the slowest of the rates, in brackets as '
        'a multiple of the network alone.'
    )


def inference_ms(name: str, size: Size, rounds: int = 20) -> float:
    """Median time of the network in the pipeline at its defaults."""
    pipeline = StereoPipeline(PipelineConfig(model=name))
    frame = textured_walls(*size)[0]
    times = [pipeline.process(frame).latency_s['inference'] for _ in range(_WARM_UP + rounds)]
    pipeline.close()
    return 1e3 * float(np.median(times[_WARM_UP:]))


def _networks(names: Sequence[str], count: int) -> list[Entrant]:
    """Networks in each runtime and precision that works here."""
    found = []
    for name in names:
        for backend, precision in (('openvino', 'bf16'), ('openvino', 'fp32'), ('onnx', 'fp32')):
            config = PipelineConfig(
                backend=backend, model=name, precision=precision, threads=count
            )
            try:
                found.append(Entrant(f'{name} {backend} {precision}', StereoPipeline(config)))
            except BackendError as error:
                print(f'left out: {error}', flush=True)
    return found


def _classical(count: int = 1) -> list[Entrant]:
    """SGBM in its two variants, and block matching, in so many threads."""
    found = []
    for name, mode in _MODES.items():
        config = PipelineConfig(backend=BASELINE, sgbm_mode=mode, threads=count)
        found.append(Entrant(name, StereoPipeline(config)))
    return [*found, Entrant(NAME, BlockMatcher())]


def _cpu_ms(calls: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median CPU time of each call, ms; all take turns."""
    times = in_turn(list(calls.values()), rounds, _WARM_UP, time.process_time)
    return {name: 1e3 * float(np.median(own)) for name, own in zip(calls, times, strict=True)}


def _text(size: Size) -> str:
    return f'{size[0]}x{size[1]}'


def _close(entrants: Sequence[Entrant]) -> None:
    for entrant in entrants:
        entrant.matcher.close()
