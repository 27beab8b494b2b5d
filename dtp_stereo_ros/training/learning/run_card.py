"""Description of a run, for its checkpoint and the card."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.paths import expanded

from ..settings import ASSETS, RENDERED, SYNTHETIC, TrainConfig
from ..synthetic.assets.library import Library
from ..synthetic.assets.packages import read_packages
from ..teachers import Teacher


def describe_run(
    config: TrainConfig, teacher: Teacher | None, history: Sequence[str] = ()
) -> dict[str, Any]:
    """Origin of a run's weights, as plain values for `checkpoint.save`.

    Read before the run, whose files may be moved or replaced while it trains.

    Args:
        config: of the run.
        teacher: that takes part, or None.
        history: runs with other settings that this one went on from, see `history_of`.
    """
    data, distil = config.data, config.distil
    meta: dict[str, Any] = {
        'data': f'{_named(config.sources)}, seed {data.seed}, '
        f'{", ".join(f"{w}x{h}" for h, w in data.sizes)} px, batches of {data.batch_size}',
        'command': config.command,
    }
    if teacher:
        how: list[str] = [distil.supervision, distil.loss]
        if distil.features:
            how.append(f'features {distil.features:g}')
        if distil.trust_px and distil.supervision == 'both':
            how.append(f'within {distil.trust_px:g} px of the truth')
        meta['teacher'] = f'{teacher.name} ({", ".join(how)})'
    used = _packages(config.sources)
    if config.init:
        before = checkpoint.read(config.init)['meta']
        history = [*before.get('before', []), _history(config.init, before), *history]
        used = [*dict.fromkeys([*before.get('assets', []), *used])]
        if 'pruned' in before:
            meta['pruned'] = before['pruned']
    if history:
        meta['before'] = list(history)
    if used:
        meta['assets'] = used
    return meta


def _packages(sources: tuple[str, ...]) -> list[str]:
    """Packages of the 3D models in rendered pairs, with their licences."""
    used: list[str] = []
    for spec in dict.fromkeys(sources):
        kind, _, place = spec.partition(':')
        path = expanded(place)
        if kind == ASSETS:
            packages = Library(path).packages
        elif kind == RENDERED:
            packages = read_packages(path)
        else:
            continue
        used += [f'{name} ({licence})' for name, licence in packages.items()]
        if not packages:
            used.append(f'{path.name}: packages were not written down')
    return list(dict.fromkeys(used))


def history_of(best: Path, steps: int) -> str:
    """A run that another goes on from, for the card.

    Args:
        best: its best.pt.
        steps: that it made.
    """
    meta = checkpoint.read(best)['meta'] if best.is_file() else {}
    return _history(best.with_name(best.parent.name), {**meta, 'steps': steps})


def _named(sources: tuple[str, ...]) -> str:
    """Sources for a card: the last folder of a path, not where this machine keeps it."""
    names = []
    for spec in dict.fromkeys(sources):
        kind, _, place = spec.partition(':')
        kind = 'procedural' if kind == SYNTHETIC else kind
        names.append(f'{kind} {Path(place).name if place else "pairs"}')
    return ' + '.join(names)


def _history(path: Path, meta: dict[str, Any]) -> str:
    taught = f', taught by {meta["teacher"]}' if 'teacher' in meta else ''
    return f'{path.stem}: {meta.get("steps", 0)} steps, {meta.get("data", "unknown data")}{taught}'
