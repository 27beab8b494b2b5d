"""The tables of an ablation as Markdown, around what somebody wrote about them by hand."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Callable
from pathlib import Path

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.image_io import write_text
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.text_files import read_text

from .ablation import Ablation, Outcome
from .ablation_plan import Group

BEGIN = '<!-- written by hand: begin -->'
END = '<!-- written by hand: end -->'


def write(path: Path, ablation: Ablation) -> None:
    """Write the page; what stands between `BEGIN` and `END` in an earlier one is kept.

    Args:
        path: of the Markdown file; its folder must exist.
        ablation: as far as it is carried out; rows that are not done are left open.

    Raises:
        InputError: there is another file of that name.
        ConfigError: a run was begun with other settings.
    """
    by_hand = _written_by_hand(path)
    plan = ablation.plan
    sections = [f'# Ablation\n\n{_introduction(ablation)}']
    for group in plan.groups.values():
        note = f'{group.note.strip()}\n\n' if group.note else ''
        sections.append(f'## {group.title}\n\n{note}{_table(group, ablation)}')
    sections.append(f'## What it says\n\n{BEGIN}{by_hand}{END}')
    write_text(path, '\n\n'.join(sections) + '\n')


def _written_by_hand(path: Path) -> str:
    if not path.exists():
        return '\n'
    text = read_text(path)
    if BEGIN not in text or END not in text:
        raise InputError(f'{path}: was not made by this command; give another file with -o')
    return text.partition(BEGIN)[2].partition(END)[0]


def _introduction(ablation: Ablation) -> str:
    plan, budget = ablation.plan, ablation.plan.budget
    data = plan.data
    sizes = ', '.join(f'{w}x{h}' for h, w in data.sizes)
    textures = 'photographs' if data.textures else 'noise and patterns'
    paragraphs = [
        f'Made by `{ablation.command}`, which keeps what is written by hand at the end.',
        f'Small runs that differ in one thing. Each has {budget.steps} steps of '
        f'{data.batch_size} generated pairs of {sizes} px, disparities up to '
        f'{data.max_disparity_px:g} px, {textures}; learning rate {budget.learning_rate:g}; '
        f'{plan.precision}; seed {", ".join(map(str, budget.seeds))}, and more where a spread '
        '(±, one standard deviation) is given. The pairs of a seed are the same in all runs. Such '
        'a budget shows which choice is better early in training, not the final error.',
        'EPE, bad-1 and bad-3 are over the visible pixels of '
        f'{budget.test_batches * data.batch_size} generated pairs of a seed of their own. GMAC: '
        'multiplications of the convolutions for one 640x480 pair. '
        f'The teacher is {plan.teacher}. A dash was not run.',
    ]
    if ablation.real:
        sets = ', '.join(f'{name} ({len(scenes)})' for name, scenes in ablation.real.items())
        paragraphs.append(
            f'Real pairs: {sets}; EPE in px / bad-3 in %, non-occluded where the truth tells it, '
            f'holes filled, matched at {plan.input_scale:g} of their size.'
        )
    return '\n\n'.join(
        textwrap.fill(p, 99, break_long_words=False, break_on_hyphens=False) for p in paragraphs
    )


def _table(group: Group, ablation: Ablation) -> str:
    published = any(row.published for row in group.rows)
    heads = ['', 'EPE px', 'bad-1 %', 'bad-3 %', *ablation.real, 'M parameters', 'GMAC']
    heads += ['paper'] if published else []
    rows = []
    for row in group.rows:
        outcomes = [ablation.outcome(row.run, seed) for seed in ablation.plan.seeds(row.run)]
        done = [outcome for outcome in outcomes if outcome is not None]
        cells = _cells(done, list(ablation.real)) if done else ['-'] * (len(heads) - 1 - published)
        rows.append([row.name, *cells, *([row.published or '-'] if published else [])])
    return table(heads, rows, numbers=True)


def _cells(done: list[Outcome], sets: list[str]) -> list[str]:
    """Means over the seeds that are done, the spread of the first three beside them."""
    real = []
    for name in sets:
        pairs = [outcome.real[name] for outcome in done if name in outcome.real]
        if not pairs:
            real.append('-')
            continue
        epe, bad3 = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
        real.append(f'{epe:.2f} / {100 * bad3:.1f}')
    return [
        _spread(done, lambda o: o.epe_px, '.2f'),
        _spread(done, lambda o: 100 * o.bad1, '.1f'),
        _spread(done, lambda o: 100 * o.bad3, '.1f'),
        *real,
        f'{done[0].parameters / 1e6:.3f}',
        f'{done[0].gmac:.2f}',
    ]


def _spread(done: list[Outcome], value: Callable[[Outcome], float], form: str) -> str:
    """Mean, and the standard deviation over several seeds."""
    values = [value(outcome) for outcome in done]
    text = format(statistics.fmean(values), form)
    return f'{text} ± {statistics.stdev(values):{form}}' if len(values) > 1 else text
