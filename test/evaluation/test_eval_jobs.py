"""`dtp-stereo eval` by several processes: the same figures, resumed and with killed workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import cv2
import layouts
import numpy as np
import pytest
from running import command, parts, wait_for, without_times, workers

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.fleet.fleet import PARTS

SCENES = 24
SGBM = ['--backend', 'sgbm', '--disparity-range', '64']


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of a wall of which each has an error of its own; the last has no truth."""
    root = layouts.pairs(tmp_path_factory.mktemp('set') / 'p')
    random = np.random.default_rng(0)
    for index in range(SCENES):
        for ending in ('_left.png', '_right.png', '_disp.pfm'):
            shutil.copy(root / f'wall{ending}', root / f'w{index:02d}{ending}')
        right = cv2.imread(str(root / f'w{index:02d}_right.png'))
        rows = slice(index, index + 12)
        right[rows] = random.integers(0, 255, right[rows].shape)
        cv2.imwrite(str(root / f'w{index:02d}_right.png'), right)
    return root


def options(data: Path, out: Path, *more: str) -> list[str]:
    return ['eval', '--data', f'pairs:{data}', '-o', str(out), *more]


def document(out: Path) -> dict[str, Any]:
    return json.loads((out / 'report.json').read_text())


@pytest.fixture(scope='module')
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one process, in a folder of which the user has files already."""
    out = tmp_path_factory.mktemp('alone')
    (out / 'parts').mkdir()
    (out / 'parts' / 'gearbox.step').write_text('a gearbox')
    assert main(options(data, out, *SGBM)) == 0
    assert not (out / PARTS).exists()
    assert (out / 'parts' / 'gearbox.step').read_text() == 'a gearbox'
    return out


def same(out: Path, alone: Path) -> None:
    """The reports and their pictures are equal, apart from times."""
    assert without_times(document(out)) == without_times(document(alone))
    assert len({scene['scene'] for scene in document(out)['scenes']}) == SCENES + 2
    names = sorted(path.relative_to(alone) for path in alone.rglob('*.[jp][pn]g'))
    assert names == sorted(path.relative_to(out) for path in out.rglob('*.[jp][pn]g'))
    for name in names:
        assert (out / name).read_bytes() == (alone / name).read_bytes(), name


def test_two_processes_find_the_same(
    data: Path, alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(data, tmp_path, *SGBM, '--jobs', '2')) == 0
    same(tmp_path, alone)
    assert (document(alone)['jobs'], document(tmp_path)['jobs']) == (1, 2)
    table = capsys.readouterr().out
    for text in (table, (tmp_path / 'report.md').read_text()):
        assert 'ms (not comparable)' in text
        assert '2 processes shared the machine' in text
    assert 'comparable' not in (alone / 'report.md').read_text()
    assert not (tmp_path / PARTS).exists()


def test_a_network_finds_the_same(data: Path, tmp_path: Path) -> None:
    """With its confidence: curves, calibration and thin structures are merged too."""
    pytest.importorskip('openvino')
    model = ['--backend', 'openvino', '--precision', 'fp32', '--model', 'dtpnet-small']
    for name, jobs in (('a', '1'), ('b', '2')):
        assert main(options(data, tmp_path / name, *model, '--jobs', jobs)) == 0
    same(tmp_path / 'b', tmp_path / 'a')
    curves = document(tmp_path / 'b')['sparsification']
    assert {curve['method'] for curve in curves} == {'dtpnet-small openvino fp32'}


def test_ray_finds_the_same(data: Path, alone: Path, tmp_path: Path, ray: Any) -> None:
    assert main(options(data, tmp_path, *SGBM, '--ray', 'auto')) == 0
    same(tmp_path, alone)
    assert document(tmp_path)['jobs'] == 2


def start(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    return command(options(data, out, *SGBM, *more))


def test_the_slice_of_a_killed_worker_is_judged_again(
    data: Path, alone: Path, tmp_path: Path
) -> None:
    process = start(data, tmp_path, '--jobs', '2')
    wait_for(lambda: parts(tmp_path) >= 2)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert 'a process ended by signal SIGKILL; its part is done again' in errors
    same(tmp_path, alone)


@pytest.mark.parametrize('jobs', ['1', '2'])
def test_an_interrupted_call_is_resumed(
    data: Path, alone: Path, tmp_path: Path, jobs: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = start(data, tmp_path, '--jobs', jobs)
    wait_for(lambda: parts(tmp_path) >= 3)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    judged = parts(tmp_path)
    assert 3 <= judged < SCENES + 2
    assert not (tmp_path / 'report.json').exists()
    capsys.readouterr()
    assert main(options(data, tmp_path, *SGBM)) == 0
    errors = capsys.readouterr().err
    assert f'{judged} of {SCENES + 2} parts were judged before' in errors
    assert errors.count('pairs: w') + errors.count('pairs: b') == SCENES + 2 - judged
    same(tmp_path, alone)
    assert document(tmp_path)['jobs'] == int(jobs)


def test_other_settings_take_no_parts_of_before(data: Path, tmp_path: Path) -> None:
    process = start(data, tmp_path)
    wait_for(lambda: parts(tmp_path) >= 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert main(options(data, tmp_path, '--backend', 'sgbm', '--disparity-range', '16')) == 0
    # Nothing is found at 16 px by a search that ends there.
    assert document(tmp_path)['accuracy'][0]['values']['bad_3']['mean'] > 0.5


def test_a_mended_scene_is_all_that_is_judged_again(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / 'set'
    shutil.copytree(data, own)
    broken = own / 'w03_left.png'
    content = broken.read_bytes()
    broken.write_bytes(content[:-2000])
    out = tmp_path / 'out'
    assert main(options(own, out, *SGBM, '--jobs', '2')) == 1
    assert len(document(out)['left_out']) == 1
    broken.write_bytes(content)
    capsys.readouterr()
    assert main(options(own, out, *SGBM, '--jobs', '2')) == 0
    assert f'{SCENES + 1} of {SCENES + 2} parts' in capsys.readouterr().err
    assert document(out)['left_out'] == []
    assert not (out / PARTS).exists()


@pytest.mark.parametrize('name', ['report.json', 'report.md'])
def test_what_is_judged_is_kept_until_it_is_written(
    data: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    assert main(options(data, tmp_path, *SGBM)) == 2
    assert f'{name}: cannot be written' in capsys.readouterr().err
    (tmp_path / name).rmdir()
    assert main(options(data, tmp_path, *SGBM)) == 0
    assert f'{SCENES + 2} of {SCENES + 2} parts were judged before' in capsys.readouterr().err
    assert not (tmp_path / PARTS).exists()
