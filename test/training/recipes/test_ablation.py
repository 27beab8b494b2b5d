"""An ablation on toys: rows are equal but for one thing, done once, and the page keeps notes."""

import json
import shutil
import sys

import layouts
import pytest
import yaml

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ConfigError, InputError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.settings_file import read_settings
from dtp_stereo_ros.training.recipes import ablation_report
from dtp_stereo_ros.training.recipes.ablation import Ablation
from dtp_stereo_ros.training.recipes.ablation_plan import Plan

NETWORK = {
    'member': 'light', 'max_disparity_px': 64, 'stem': 8, 'quarter': 16, 'eighth': 24,
    'sixteenth': 32, 'thirtysecond': 32, 'heads': 1, 'head_channels': 8, 'volume': 16,
    'depths': [1, 1, 1, 1],
}  # fmt: skip
PLAN = {
    'precision': 'fp32',
    'device': 'cpu',
    'threads': 1,
    'measure_batches': 1,
    'data': {'sizes': [[32, 96]], 'batch_size': 2, 'max_disparity_px': 60, 'pool': 16},
    'budget': {
        'steps': 6, 'warmup_steps': 2, 'round_steps': 2, 'validations': 1,
        'validation_batches': 1, 'test_batches': 2, 'seeds': [0, 1],
    },
    'runs': {
        'truth': {'network': NETWORK},
        'kl': {'network': NETWORK, 'seeds': [0], 'how': {'loss': 'kl'}},
        'paper': {'network': {'member': 'paper', 'max_disparity_px': 64}},
        'whole': {'after': 'truth', 'rounds': 2, 'how': {'supervision': 'both'}},
        'even': {
            'after': 'truth', 'rounds': 2, 'how': {'supervision': 'both'},
            'prune': {'ratio': 0.1, 'round_to': 4, 'by_sensitivity': False},
        },
    },
    'groups': {
        'loss': {
            'title': 'Loss', 'note': 'From fresh weights.',
            'rows': [
                {'run': 'truth', 'name': 'truth', 'published': '1.73'},
                {'run': 'kl', 'name': 'KL'},
                {'run': 'paper', 'name': 'paper'},
            ],
        },
        'pruning': {
            'title': 'Pruning',
            'rows': [{'run': 'whole', 'name': 'unpruned'}, {'run': 'even', 'name': 'even'}],
        },
    },
}  # fmt: skip


@pytest.fixture(scope='module')
def plan_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp('plan')
    checkpoint.save(folder / 'teacher.pt', DTPNetLight(LightConfig(64, 8, 16, 24, 32, 32)), {})
    layouts.kitti2015(folder / 'shared' / 'kitti2015' / 'training')
    plan = {**PLAN, 'out': str(folder / 'runs'), 'teacher': str(folder / 'teacher.pt')}
    path = folder / 'plan.yaml'
    path.write_text(yaml.safe_dump(plan))
    return path


@pytest.fixture(scope='module')
def made(plan_file):
    out = plan_file.with_name('page.md')
    command = ['ablation', str(plan_file), '-o', str(out), '--rows', 'truth,kl,pruning']
    command += ['--shared', str(plan_file.parent / 'shared')]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['dtp-stereo', *command])
        assert main(command) == 0
    return plan_file.with_name('runs'), out


def rows(page, title):
    section = page.read_text().partition(f'## {title}\n')[2].partition('\n## ')[0]
    lines = [line.strip('| ').split(' | ') for line in section.splitlines() if line[:1] == '|']
    return {line[0]: line[1:] for line in lines[2:]}


def test_runs_and_their_stages(made):
    runs, _ = made
    names = {p.relative_to(runs).as_posix() for p in runs.glob('*/*') if p.is_dir()}
    first = {name for name in names if name.split('/')[0].endswith('-seed0')}
    assert first == {
        'truth-seed0/train', 'truth-seed0/test', 'truth-seed0/real',
        'kl-seed0/train', 'kl-seed0/test', 'kl-seed0/real',
        'whole-seed0/tune1', 'whole-seed0/tune2', 'whole-seed0/test', 'whole-seed0/real',
        'even-seed0/prune1', 'even-seed0/tune1', 'even-seed0/prune2', 'even-seed0/tune2',
        'even-seed0/test', 'even-seed0/real',
    }  # fmt: skip
    again = {name.replace('seed0', 'seed1') for name in first if 'kl' not in name}
    assert names - first == again


def test_runs_differ_in_one_thing(made):
    runs, _ = made
    truth, kl = (
        json.loads((runs / f'{name}-seed0' / 'train' / 'settings.json').read_text())
        for name in ('truth', 'kl')
    )
    assert truth.pop('distil')['teacher'] == ''
    distil = kl.pop('distil')
    assert (distil['loss'], distil['supervision']) == ('kl', 'teacher')
    assert len(distil['teacher']) == 64
    assert truth == kl
    whole, even = (
        json.loads((runs / f'{name}-seed0' / 'tune1' / 'settings.json').read_text())
        for name in ('whole', 'even')
    )
    assert whole.pop('init') != even.pop('init')
    assert whole == even


def test_rounds_prune_a_share_each(made):
    runs, page = made
    figures = {
        name: json.loads((runs / f'{name}-seed0' / 'test' / 'metrics.json').read_text())
        for name in ('truth', 'whole', 'even')
    }
    assert figures['whole']['parameters'] == figures['truth']['parameters']
    assert figures['even']['gmac'] <= 0.81 * figures['truth']['gmac']
    table = rows(page, 'Pruning')
    assert float(table['even'][5]) <= 0.81 * float(table['unpruned'][5]) + 0.01


def test_the_page_tells_what_was_measured(made):
    runs, page = made
    table = rows(page, 'Loss')
    assert list(table) == ['truth', 'KL', 'paper']
    assert table['paper'] == ['-'] * 7
    found = [
        json.loads((runs / f'truth-seed{seed}' / 'test' / 'metrics.json').read_text())['epe_px']
        for seed in (0, 1)
    ]
    mean, _, spread = table['truth'][0].partition(' ± ')
    assert float(mean) == pytest.approx(sum(found) / 2, abs=0.006)
    assert float(spread) == pytest.approx(abs(found[0] - found[1]) / 2**0.5, abs=0.006)
    assert table['truth'][-1] == '1.73'
    assert table['KL'][-1] == '-'
    assert '±' not in table['KL'][0]
    real = json.loads((runs / 'kl-seed0' / 'real' / 'metrics.json').read_text())['real']
    assert 0 < real['kitti2015'][0] < 64
    text = page.read_text()
    assert 'Each has 6 steps of 2 generated pairs of 96x32 px' in ' '.join(text.split())
    assert 'kitti2015 (3)' in text
    assert text.startswith('# Ablation\n\nMade by `dtp-stereo ablation ')


def test_what_is_done_is_not_done_again_and_notes_stay(made, plan_file, capsys, tmp_path):
    runs, page = made
    copied = tmp_path / 'page.md'
    note = f'{ablation_report.BEGIN}\nDistilling pays.\n{ablation_report.END}'
    before = page.read_text()
    empty = f'{ablation_report.BEGIN}\n{ablation_report.END}'
    assert empty in before
    copied.write_text(before.replace(empty, note))
    stamp = (runs / 'kl-seed0' / 'train' / 'best.pt').stat().st_mtime_ns
    capsys.readouterr()
    assert main(['ablation', str(plan_file), '-o', str(copied), '--rows', 'kl']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if '-seed' in line]
    assert lines == ['kl-seed0/train: done before', 'kl-seed0/test: done before']
    assert (runs / 'kl-seed0' / 'train' / 'best.pt').stat().st_mtime_ns == stamp
    assert note in copied.read_text()


def test_a_killed_run_goes_on(made, plan_file, tmp_path):
    """Training was stopped before its last checkpoint: the earlier one is where it starts."""
    runs, _ = made
    copied = tmp_path / 'runs'
    shutil.copytree(runs / 'truth-seed0', copied / 'truth-seed0')
    (copied / 'truth-seed0' / 'train' / 'metrics.json').unlink()
    plan = read_settings(Plan, plan_file, {'out': str(copied), 'budget.seeds': [0]})
    ablation = Ablation(plan, 'again', None)
    assert ablation.outcome('truth', 0) is None
    ablation.run(['truth'])
    outcome = ablation.outcome('truth', 0)
    test = json.loads((runs / 'truth-seed0' / 'test' / 'metrics.json').read_text())
    # Nothing was left to train, so that the weights and their score are the same.
    assert outcome.epe_px == test['epe_px']
    assert outcome.real == {}


def test_other_settings_are_not_mixed(made, plan_file, tmp_path, capsys):
    command = ['ablation', str(plan_file), '-o', str(tmp_path / 'page.md')]
    assert main([*command, '--rows', 'kl', '--set', 'budget.steps=7']) == 2
    error = capsys.readouterr().err
    assert 'truth-seed0/train: was begun with another steps (6, now 7)' in error
    assert not (tmp_path / 'page.md').exists()


def test_a_page_of_another_kind_is_not_overwritten(plan_file, tmp_path):
    page = tmp_path / 'README.md'
    page.write_text('mine')
    plan = read_settings(Plan, plan_file, {})
    with pytest.raises(InputError, match=r'README\.md: was not made by this command'):
        ablation_report.write(page, Ablation(plan, '', None))
    assert page.read_text() == 'mine'


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'runs.kl.after': 'truth'}, 'runs.kl: give either network or after'),
        ({'runs.even.after': 'none'}, "runs.even.after: 'none' is unknown; there are even, kl"),
        ({'runs.even.after': 'whole'}, 'runs.even.after: whole itself goes on from a run'),
        ({'runs.kl.how.teacher': 'sgbm'}, "runs.kl.how.teacher is 'sgbm', but all runs have one"),
        ({'groups.loss.rows': [{'run': 'x', 'name': 'x'}]}, "groups.loss: 'x' is unknown"),
    ],
)
def test_wrong_plans_are_one_line(plan_file, changes, message):
    with pytest.raises(ConfigError, match=message.replace('.', r'\.')):
        read_settings(Plan, plan_file, changes)


def test_the_plan_of_the_papers_own_network_differs_in_the_teaching_alone(pytestconfig):
    file = pytestconfig.rootpath / 'config' / 'recipes' / 'ablation_paper.yaml'
    plan = read_settings(Plan, file, {})
    assert plan.chosen(['supervision', 'loss']) == ['paper3', 'both', 'taught', 'kl']
    for name in ('paper3', 'both', 'taught', 'kl'):
        network = {'member': 'paper', 'setting': 3, 'max_disparity_px': 64}
        assert plan.runs[name].network == network


def test_the_shipped_plan_has_the_rows_of_the_paper(pytestconfig):
    plan = read_settings(Plan, pytestconfig.rootpath / 'config' / 'recipes' / 'ablation.yaml', {})
    assert list(plan.groups) == ['architecture', 'supervision', 'loss', 'features', 'pruning']
    assert plan.chosen(['loss', 'paper1']) == ['taught', 'kl', 'paper1']
    with pytest.raises(ConfigError, match="--rows: 'speed' is unknown"):
        plan.chosen(['speed'])
