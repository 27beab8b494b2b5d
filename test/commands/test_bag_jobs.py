"""`dtp-stereo bag` on many bags by several processes."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import busy_in, command, parts, wait_for, without_times, workers
from scene_bag import Pair, planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import result_file
from dtp_stereo_ros.fleet.fleet import PARTS

FAST = ['--backend', 'sgbm', '--disparity-range', '64', '--consistency-every', '2']
BAGS = 6


@pytest.fixture(scope='module')
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Bags whose truths differ; the second is none, and the third has one camera only."""
    folder = tmp_path_factory.mktemp('bags')
    made = []
    for index in range(BAGS):
        pairs = [Pair(p.left, p.right, p.truth_px + np.float32(index)) for p in planes(16)]
        leave_out = ['right', 'right_info'] if index == 2 else []
        made.append(write_scene_bag(folder / f'b{index}', pairs, leave_out=leave_out))
    for path in made[1].rglob('*.*'):
        path.write_bytes(path.read_bytes()[:100])
    return [str(bag) for bag in made]


def options(bags: list[str], out: Path, *more: str) -> list[str]:
    files = ['--report', str(out), '--json', str(out / 'result.json')]
    return ['bag', *bags, *FAST, *files, *more]


@pytest.fixture(scope='module')
def alone(bags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of one process."""
    out = tmp_path_factory.mktemp('alone')
    assert main(options(bags, out)) == 1  # of two bags nothing can be judged
    return out


def document(out: Path) -> dict[str, Any]:
    return result_file.read(out / 'result.json')


def pictures(out: Path) -> list[str]:
    text = (out / 'report.html').read_text()
    return [piece.partition('"')[0] for piece in text.split('data:image/jpeg;base64,')[1:]]


def same(out: Path, alone: Path) -> None:
    """The result files and the pictures of the pages are equal, apart from times."""
    assert without_times(document(out)) == without_times(document(alone))
    names = [recording['name'] for recording in document(out)['recordings']]
    assert names == ['b0 cam', 'b3 cam', 'b4 cam', 'b5 cam']
    assert pictures(out) == pictures(alone)
    assert len(pictures(out)) > 8


def test_two_processes_find_the_same(
    bags: list[str], alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options(bags, tmp_path, '--jobs', '2')) == 1
    same(tmp_path, alone)
    captured = capsys.readouterr()
    # The broken bags are named, in the page and the result file too.
    for number, reason in ((1, 'cannot be read'), (2, 'no left and right image topic')):
        (line,) = [one for one in captured.err.splitlines() if f'error: {bags[number]}: ' in one]
        assert reason in line
        assert reason in document(tmp_path)['left_out'][number - 1]
        assert reason in (tmp_path / 'report.html').read_text()
    assert '2 processes shared the machine' in captured.out
    assert (document(tmp_path)['jobs'], document(alone)['jobs']) == (2, 1)


def test_ray_finds_the_same(bags: list[str], alone: Path, tmp_path: Path, ray: Any) -> None:
    assert main(options(bags, tmp_path, '--ray', 'auto')) == 1
    same(tmp_path, alone)


def test_the_bag_of_a_killed_worker_is_judged_again(
    bags: list[str], alone: Path, tmp_path: Path
) -> None:
    process = command(options(bags, tmp_path, '--jobs', '2'))
    wait_for(lambda: parts(tmp_path) >= 1)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert 'a process ended by signal SIGKILL; its part is done again' in errors
    same(tmp_path, alone)


def test_the_bag_of_a_killed_ray_worker_is_judged_again(
    bags: list[str],
    alone: Path,
    tmp_path: Path,
    ray: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray names its processes by the function that they are in."""
    killed: list[int] = []

    def kill_one() -> None:
        wait_for(lambda: parts(tmp_path) >= 1 and bool(busy_in('ray::perform')))
        killed.append(busy_in('ray::perform')[0])
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill_one)
    thread.start()
    assert main(options(bags, tmp_path, '--ray', 'auto')) == 1
    thread.join()
    assert killed and killed[0] not in busy_in('ray::')
    same(tmp_path, alone)


def test_an_interrupted_call_is_resumed(
    bags: list[str], alone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    process = command(options(bags, tmp_path, '--jobs', '2'))
    # Some of those that can be judged: each of the others is tried again.
    wait_for(lambda: parts(tmp_path) >= 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    capsys.readouterr()
    assert main(options(bags, tmp_path, '--jobs', '2')) == 1
    assert f' of {BAGS} bags were judged before' in capsys.readouterr().err
    same(tmp_path, alone)
    # Bags were left out, so that the parts of the others are kept.
    assert parts(tmp_path) == BAGS


def test_one_bag_that_is_written_stays_in_this_process(
    bags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ['bag', bags[0], *FAST, '--write', str(tmp_path / 'o.mcap'), '--jobs', '2']
    assert main(arguments) == 2
    assert 'leave out --jobs and --ray' in capsys.readouterr().err


def test_bags_of_one_name_are_told_apart(tmp_path: Path) -> None:
    bags = []
    for run in ('run1', 'run2'):
        (tmp_path / run).mkdir()
        bags.append(str(write_scene_bag(tmp_path / run / 'bag', planes(2))))
    assert main(options([*bags, bags[0]], tmp_path)) == 0
    names = [recording['name'] for recording in document(tmp_path)['recordings']]
    assert names == [f'{bags[0]} cam', f'{bags[1]} cam', f'{bags[0]} cam (2)']
    assert {row['dataset'] for row in document(tmp_path)['accuracy']} == set(names)


def test_processes_leave_nothing_that_is_shared(bags: list[str], tmp_path: Path) -> None:
    """Python's resource tracker would tell of it."""
    with command(options([bags[0], *bags[3:5]], tmp_path, '--jobs', '2')) as process:
        _, error = process.communicate(timeout=120)
    assert process.returncode == 0
    assert 'leaked' not in error


def test_what_is_judged_is_kept_until_it_is_written(
    bags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = 'report.html'
    (tmp_path / name).mkdir()
    good = [bags[0], *bags[3:5]]
    assert main(options(good, tmp_path)) == 2
    assert f'{name}: cannot be written' in capsys.readouterr().err
    (tmp_path / name).rmdir()
    assert main(options(good, tmp_path)) == 0
    assert '3 of 3 bags were judged before' in capsys.readouterr().err
    assert not (tmp_path / PARTS).exists()
