"""Tasks done by one process, by several, by a Ray cluster, and by workers that are killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from squares import Squares, tasks

from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.evaluation.curve_sums import CurveSums
from dtp_stereo_ros.evaluation.extremes import Extreme, Extremes
from dtp_stereo_ros.evaluation.metrics import Score
from dtp_stereo_ros.evaluation.runner import DatasetResult
from dtp_stereo_ros.evaluation.scene_score import SceneScore
from dtp_stereo_ros.evaluation.slices import SliceResult
from dtp_stereo_ros.fleet.fleet import Finished, Fleet, finish
from dtp_stereo_ros.fleet.parts import Part, PartFolder, name_of, state_of
from dtp_stereo_ros.fleet.processes import over_processes
from dtp_stereo_ros.fleet.tasks import ATTEMPTS, Lost


@pytest.fixture(params=['one', 'two', 'ray'])
def fleet(request: pytest.FixtureRequest) -> Fleet:
    if request.param == 'ray':
        request.getfixturevalue('ray')
        return Fleet(ray='auto')
    return Fleet(2 if request.param == 'two' else 1)


def values(found: Finished) -> list[str]:
    return [
        value.reason if isinstance(value, Lost) else value.result.dataset
        for _, value in found.values()
    ]


SQUARES = ['0', '1', '4', '9', '16', '25']


def test_results_are_in_the_order_of_the_tasks(tmp_path: Path, fleet: Fleet) -> None:
    seen = []
    found = finish(
        fleet, Squares(tmp_path), tasks(6), PartFolder(tmp_path / 'parts'),
        seen=lambda task, value: seen.append(task.given),
    )  # fmt: skip
    assert values(found) == SQUARES
    assert sorted(seen) == list(range(6))
    assert (found.is_whole, found.taken) == (True, 0)
    assert found.jobs == (1 if fleet.is_alone else 2)


@pytest.mark.parametrize('count', [1, 2, 3])
def test_no_more_tasks_are_done_at_a_time_than_there_are(tmp_path: Path, count: int) -> None:
    parts = PartFolder(tmp_path / 'parts')
    assert finish(Fleet(2), Squares(tmp_path), tasks(count), parts).jobs == min(2, count)
    # One is left to do by the next call; those that are there were done by so many.
    assert finish(Fleet(9), Squares(tmp_path), tasks(count + 1), parts).jobs == min(2, count)


def test_only_what_is_missing_is_done(tmp_path: Path, fleet: Fleet) -> None:
    parts = PartFolder(tmp_path / 'parts')
    work = Squares(tmp_path, wrong=4)
    with pytest.raises(InputError, match='4: is wrong'):
        finish(fleet, work, tasks(6), parts)
    kept = {t.given for t in tasks(6) if parts.read(t.name)}
    assert 4 not in kept
    found = finish(fleet, Squares(tmp_path), tasks(6), parts)
    assert values(found) == SQUARES
    assert found.taken == len(kept)
    assert all(work.attempts(number) == 1 for number in kept)


def test_what_is_not_whole_is_done_again(tmp_path: Path) -> None:
    parts = PartFolder(tmp_path / 'parts')
    found = finish(Fleet(), Squares(tmp_path, torn=2), tasks(4), parts)
    assert not found.is_whole
    assert values(found) == SQUARES[:4]
    found = finish(Fleet(), Squares(tmp_path), tasks(4), parts)
    assert (found.is_whole, found.taken) == (True, 3)
    assert Squares(tmp_path).attempts(2) == 2


@pytest.mark.parametrize('fleet', ['two', 'ray'], indirect=True)
def test_the_task_of_a_killed_worker_is_done_again(tmp_path: Path, fleet: Fleet) -> None:
    work = Squares(tmp_path, deadly=(1, 3))
    found = finish(fleet, work, tasks(6), PartFolder(tmp_path / 'parts'))
    assert values(found) == SQUARES
    assert found.is_whole
    assert [work.attempts(number) for number in range(6)] == [1, 2, 1, 2, 1, 1]


@pytest.mark.parametrize('fleet', ['two', 'ray'], indirect=True)
def test_a_task_that_kills_every_worker_is_lost_alone(tmp_path: Path, fleet: Fleet) -> None:
    work = Squares(tmp_path, deadly=(2,), survived_after=99)
    parts = PartFolder(tmp_path / 'parts')
    found = finish(fleet, work, tasks(4), parts)
    assert not found.is_whole
    assert work.attempts(2) == ATTEMPTS
    zero, one, lost, nine = values(found)
    assert (zero, one, nine) == ('0', '1', '9')
    assert lost.startswith(f'{ATTEMPTS} ')
    if fleet.jobs > 1:
        assert 'SIGKILL' in lost
    # The next call tries it again.
    assert finish(fleet, Squares(tmp_path), tasks(4), parts).taken == 3


def test_values_come_in_the_order_of_the_tasks(tmp_path: Path, fleet: Fleet) -> None:
    work = Squares(tmp_path, slow=(0, 3))
    found = [value.result.dataset for value in fleet.in_order(work, tasks(6))]
    assert found == SQUARES
    assert list(fleet.in_order(work, [])) == []


def test_a_lost_value_is_an_error_that_names_its_task(tmp_path: Path) -> None:
    work = Squares(tmp_path, deadly=(2,), survived_after=99)
    lost = re.escape(tasks(4)[2].name)
    for results in (Fleet(2).in_order, Fleet(2).all_results):
        with pytest.raises(InputError, match=f'{lost}: {ATTEMPTS} processes .*SIGKILL.*memory'):
            list(results(work, tasks(4)))
        assert multiprocessing.active_children() == []


def test_values_that_nobody_waits_for_are_not_made(tmp_path: Path) -> None:
    work = Squares(tmp_path, slow=tuple(range(40)))
    values = Fleet(2).in_order(work, tasks(40))
    next(values)
    values.close()
    assert multiprocessing.active_children() == []
    assert work.attempts(39) == 0


def test_processes_end_with_the_work(tmp_path: Path) -> None:
    answers = over_processes(Squares(tmp_path), tasks(6), 2)
    next(answers)
    assert len(multiprocessing.active_children()) == 2
    answers.close()
    assert multiprocessing.active_children() == []


def test_damaged_and_foreign_parts_are_missing(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path)
    folder.write('a', Part(SliceResult(DatasetResult('a')), 2))
    part = folder.read('a')
    assert part is not None
    assert (part.value.result, part.jobs) == (DatasetResult('a'), 2)
    file = tmp_path / 'a.part'
    file.write_bytes(file.read_bytes()[:-9])
    assert folder.read('a') is None
    assert folder.read('b') is None
    for foreign in (Path('x'), 3, {'value': 1}, eval):
        file.write_bytes(pickle.dumps(foreign))
        assert folder.read('a') is None


def test_a_part_runs_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / 'made'),)

    (tmp_path / 'a.part').write_bytes(pickle.dumps(Part(Evil(), 1)))
    assert PartFolder(tmp_path).read('a') is None
    # Nor by a module that ours imports.
    name = b'\x80\x04\x8c\x1fdtp_stereo_ros.evaluation.report\x8c\x06atomic\x93.'
    (tmp_path / 'a.part').write_bytes(name)
    assert PartFolder(tmp_path).read('a') is None
    assert not (tmp_path / 'made').exists()


def test_everything_of_a_slice_is_read_back(tmp_path: Path) -> None:
    score = Score(*(np.float64(0.25),) * 7)
    found = SliceResult(
        DatasetResult('a', [SceneScore('s', 'm', {('all', 'own'): score}, 1.0, 1.0)], ['b']),
        Extremes(),
    )
    found.result.curves = CurveSums({('m', 'all'): 1}, {('m', 'all'): np.ones((4, 100))})
    found.extremes._best = Extreme(0.5, np.full((2, 2, 3), 7, np.uint8))
    PartFolder(tmp_path).write('a', Part(found, 1))
    part = PartFolder(tmp_path).read('a')
    assert part is not None
    assert part.value.result.scores == found.result.scores
    np.testing.assert_array_equal(
        part.value.result.curves.sums['m', 'all'], found.result.curves.sums['m', 'all']
    )
    assert part.value.extremes._best.row[0, 0, 0] == 7
    assert not part.value.whole


def test_names_tell_inputs_and_settings_apart(tmp_path: Path) -> None:
    file = tmp_path / 'left.png'
    before = state_of(file)
    file.write_bytes(b'1')
    names = {name_of(0, *what) for what in (('a',), ('b',), (before,), (state_of(file),))}
    assert len(names) == 4
    assert name_of(3, 'a') == name_of(3, 'a')
    assert name_of(3, 'a').startswith('000003-')


@pytest.mark.parametrize(
    ('jobs', 'ray', 'message'),
    [(0, '', '--jobs 0: must be at least 1'), (2, 'auto', 'give one of them')],
)
def test_wrong_fleets_are_refused(jobs: int, ray: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Fleet(jobs, ray)


def test_a_cluster_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(StereoError, match=r"pip install 'dtp_stereo\[fleet\]'"):
        list(Fleet(ray='auto').results(Squares(tmp_path), tasks(1)))


@pytest.mark.parametrize('address', ['127.0.0.1:1', 'ray://127.0.0.1:1', 'localhost:99999', 'a:b'])
def test_an_address_where_nobody_listens(tmp_path: Path, address: str) -> None:
    module = pytest.importorskip('ray')
    if module.is_initialized():
        pytest.skip('a cluster runs in this process, which is then taken')
    with pytest.raises(StereoError, match=f'--ray {address}: .*; start a cluster by: ray start'):
        list(Fleet(ray=address).results(Squares(tmp_path), tasks(1)))
