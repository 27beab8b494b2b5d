"""Summary of a chain: every link against its costs, and the exported model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtp_stereo_ros import markdown
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation import motorcycle
from dtp_stereo_ros.evaluation.datasets import open_datasets
from dtp_stereo_ros.evaluation.fill import fill_holes
from dtp_stereo_ros.evaluation.methods import close_all
from dtp_stereo_ros.evaluation.metrics import Score, bad
from dtp_stereo_ros.evaluation.report import write_report
from dtp_stereo_ros.evaluation.runner import DatasetResult, Method
from dtp_stereo_ros.evaluation.runner import evaluate as run_methods
from dtp_stereo_ros.image_io import write_text
from dtp_stereo_ros.pipeline import StereoPipeline

from ..export import export_model, export_onnx
from ..pruning.cost import latencies_ms
from .charts import draw_chain
from .recipe import EvaluateStep

_RIVAL = 'sgbm'
_GENERATED = 'generated test pairs that were neither trained on nor used to choose weights'
_REAL = (
    'the last tenth of the pairs, not trained on unless there is but one; it also chose the '
    "weights, and where it has no truth the teacher's word stands for it"
)


@dataclass(frozen=True)
class Link:
    """One network of the chain, judged on the test pairs.

    Attributes:
        name: of its step.
        path: checkpoint.
        sha256: of the checkpoint.
        parameters: their number.
        gmac: multiplications of the convolutions for one 640x480 pair, in 1e9.
        epe_px, bad1, bad3: over visible pixels.
        real: the test pairs are held-out real ones, not generated.
    """

    name: str
    path: Path
    sha256: str
    parameters: int
    gmac: float
    epe_px: float
    bad1: float
    bad3: float
    real: bool


def evaluate(
    folder: Path, links: Sequence[Link], step: EvaluateStep, threads: int
) -> dict[str, Any]:
    """Export every link; measure its latency, and its errors on real data.

    Args:
        folder: gets NAME.onnx of each link, and the report of the data sets.
        links: of the chain.
        step: see `EvaluateStep`.
        threads: CPU threads of the backends; 0 for all.

    Returns:
        ``{'latency_ms': {link: {backend: ms}}, 'bad3': {data set: {link: share}}}``.

    Raises:
        ModelError: an export disagrees with PyTorch.
        InputError: a data set is missing.
    """
    datasets = open_datasets(step.data)
    frame, truth_px = motorcycle.load()
    files: dict[str, dict[str, Path]] = {}
    for link in links:
        target = folder / f'{link.name}.onnx'
        export_onnx(link.path, target, frame)
        files[link.name] = {'onnx': target, 'openvino': target, 'torch': link.path}
    asked = {name: {str(b): row[b] for b in step.backends} for name, row in files.items()}
    latency = latencies_ms(asked, step.latency_size, step.runs, threads)
    configs = {
        link.name: PipelineConfig(
            backend='onnx', model=str(files[link.name]['onnx']), threads=threads
        )
        for link in links
    }
    configs[_RIVAL] = PipelineConfig(backend=_RIVAL)
    methods = [Method(name, StereoPipeline(config)) for name, config in configs.items()]
    bad3 = {
        'motorcycle': {
            m.name: bad(fill_holes(m.pipeline.process(frame).disparity_px), truth_px, 3.0)
            for m in methods
        }
    }
    results = [run_methods(name, scenes, methods) for name, scenes in datasets]
    if results:
        write_report(folder, results, 'evaluation of a recipe')
    close_all(methods)
    real = {r.dataset: {m: s.bad_3 for m, s in filled_scores(r).items()} for r in results}
    return {'latency_ms': latency, 'bad3': bad3 | real}


def write(
    folder: Path,
    name: str,
    links: Sequence[Link],
    measured: dict[str, Any],
    pictures: Sequence[Path],
    command: str,
) -> None:
    """Export the last link as model `name`, and write ``summary.md`` and ``chain.png``.

    Args:
        folder: of the step.
        name: of the model.
        links: of the chain; the last is exported.
        measured: what `evaluate` gave.
        pictures: of the pruning steps.
        command: that made the chain.

    Raises:
        ModelError: the export disagrees with PyTorch.
    """
    frame, _ = motorcycle.load()
    table = _table(links, measured)
    parity = export_model(links[-1].path, folder, name, frame, table)
    columns: dict[str, Sequence[float]] = {
        'parameters (M)': [link.parameters / 1e6 for link in links],
        'GMAC at 640x480': [link.gmac for link in links],
    }
    latency = measured['latency_ms']
    for backend in dict.fromkeys(b for row in latency.values() for b in row):
        columns[f'{backend} (ms)'] = [
            latency.get(link.name, {}).get(backend, math.nan) for link in links
        ]
    draw_chain(folder / 'chain.png', [k.name for k in links], columns, [k.epe_px for k in links])
    first, last = links[0], links[-1]
    lines = [
        f'# {name}',
        '',
        f'`{command}`',
        '',
        f'From {first.name} to {last.name}: {first.parameters / 1e6:.3f} -> '
        f'{last.parameters / 1e6:.3f} M parameters, {first.gmac:.2f} -> {last.gmac:.2f} GMAC, EPE '
        f'{first.epe_px:.3f} -> {last.epe_px:.3f} px.',
        '',
        table,
        '',
        f'EPE, bad-1 and bad-3: visible pixels of {_REAL if links[-1].real else _GENERATED}. '
        'Other bad-3: real data, holes filled. ms: median inference of one pair. pruneN is cut '
        'and not yet trained, tuneN is trained again.',
        '',
        '![error against cost](chain.png)',
        '',
        f'{name}.onnx and PyTorch differ by {parity.median_px:.5f} px (median) on a real pair.',
    ]
    if pictures:
        lines += ['', '## Where channels were cut', '']
    lines += [f'![{p.parent.name}](../{p.parent.name}/{p.name})' for p in pictures]
    write_text(folder / 'summary.md', '\n'.join(lines) + '\n')


def _table(links: Sequence[Link], measured: dict[str, Any]) -> str:
    latency, real = measured['latency_ms'], measured['bad3']
    backends = list(dict.fromkeys(b for row in latency.values() for b in row))
    heads = ['step', 'M parameters', 'GMAC', 'EPE px', 'bad-1 %', 'bad-3 %']
    heads += [f'{b} ms' for b in backends] + [f'{d} bad-3 %' for d in real]
    rows = []
    for link in links:
        row = [link.name, f'{link.parameters / 1e6:.3f}', f'{link.gmac:.2f}', f'{link.epe_px:.3f}']
        row += [f'{100 * link.bad1:.2f}', f'{100 * link.bad3:.2f}']
        row += [_cell(latency.get(link.name, {}).get(b), 1) for b in backends]
        row += [_cell(scores.get(link.name), 100) for scores in real.values()]
        rows.append(row)
    if real:
        blank = ['-'] * (5 + len(backends))
        rows.append([_RIVAL, *blank, *(_cell(s.get(_RIVAL), 100) for s in real.values())])
    return markdown.table(heads, rows)


def _cell(value: float | None, factor: float) -> str:
    return '-' if value is None else f'{factor * value:.2f}'


def filled_scores(result: DatasetResult) -> dict[str, Score]:
    """Mean score of each method with holes filled; noc where the truth tells it."""
    found: dict[str, Score] = {}
    for row in result.rows():
        if row.treatment == 'filled' and row.score is not None:
            found.setdefault(row.method, row.score)
    return found
