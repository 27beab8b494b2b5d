"""What a run is judged by: pairs of the camera that it is for, where there are any."""

import dataclasses

import layouts
import pytest
import torch

from dtp_stereo_ros.evaluation.scene import Scene
from dtp_stereo_ros.training.data.sources import Sources
from dtp_stereo_ros.training.settings import SYNTHETIC, GeneratorConfig
from dtp_stereo_ros.training.teachers import Taught

CONFIG = GeneratorConfig(sizes=((32, 64),), batch_size=2, max_disparity_px=60, pool=8)


@pytest.fixture
def mixed(tmp_path):
    place = layouts.pairs(tmp_path / 'data')
    return Sources.open([f'folder:{place}', SYNTHETIC], tmp_path)


def bare(sources):
    """The same without truth."""
    held_out = tuple(dataclasses.replace(s, load_truth=None) for s in sources.held_out)
    return dataclasses.replace(sources, held_out=held_out)


def test_real_pairs_judge_and_generated_ones_beside_them_do_not(mixed):
    (batch,) = mixed.validation(CONFIG, 3)
    assert len(batch['left']) == len(mixed.held_out) == 1
    assert (batch['disparity'][batch['visible']] == layouts.SHIFT_PX).all()


def test_generated_pairs_judge_where_no_real_one_can(mixed):
    generated = Sources((SYNTHETIC,), {}, ()).validation(CONFIG, 3)
    assert len(generated) == 3
    beyond = dataclasses.replace(CONFIG, max_disparity_px=layouts.SHIFT_PX - 4)
    for sources, config in ((bare(mixed), CONFIG), (mixed, beyond)):
        assert [len(batch['left']) for batch in sources.validation(config, 3)] == [2, 2, 2]
    for batch, other in zip(bare(mixed).validation(CONFIG, 3), generated, strict=True):
        assert torch.equal(batch['left'], other['left'])


@pytest.mark.parametrize(('count', 'held_out'), [(1, 1), (4, 1), (10, 1), (25, 2), (200, 20)])
def test_the_end_of_a_drive_is_held_out(monkeypatch, tmp_path, count, held_out):
    """In one piece: neighbours in a drive are nearly the same picture."""
    frames = [Scene(f'{i:03d}', tmp_path / 'l', tmp_path / 'r') for i in range(count)]
    monkeypatch.setattr(
        'dtp_stereo_ros.training.data.sources.open_pairs', lambda spec, cache: list(frames)
    )
    sources = Sources.open(['folder:drive'], tmp_path)
    assert list(sources.held_out) == frames[-held_out:]
    assert list(sources.all_scenes) == (frames[:-held_out] or frames)


@pytest.mark.parametrize(('count', 'alone'), [(1, ['folder:drive']), (2, [])])
def test_a_scene_that_is_trained_on_and_judges_is_told(monkeypatch, tmp_path, count, alone):
    frames = [Scene(f'{i:03d}', tmp_path / 'l', tmp_path / 'r') for i in range(count)]
    monkeypatch.setattr(
        'dtp_stereo_ros.training.data.sources.open_pairs', lambda spec, cache: list(frames)
    )
    assert Sources.open(['folder:drive', SYNTHETIC], tmp_path).alone == alone


def test_frames_are_held_out_by_their_numbers(tmp_path):
    written = layouts.pairs(tmp_path / 'one')
    drive = tmp_path / 'drive'
    drive.mkdir()
    for number in range(12):
        for side in ('left', 'right'):
            name = f'wall_{side}.png'
            (drive / f'frame{number}_{side}.png').write_bytes((written / name).read_bytes())
    sources = Sources.open([f'folder:{drive}'], tmp_path)
    assert [scene.name for scene in sources.held_out] == ['frame11']
    assert [scene.name for scene in sources.all_scenes] == [f'frame{i}' for i in range(11)]


def test_scenes_without_truth_are_told_by_name(mixed):
    assert mixed.unlabelled == ['blank']
    assert bare(mixed).unlabelled == ['blank', *(scene.name for scene in mixed.held_out)]


def test_a_teacher_stands_for_the_truth_of_real_pairs(mixed):
    def ask(batch):
        shape = batch['left'][:, 0].shape
        sure = torch.zeros(shape, dtype=torch.bool)
        sure[:, 5:] = True
        return Taught(torch.full(shape, 7.0), sure, None)

    (batch,) = bare(mixed).validation(CONFIG, 3, ask)
    assert (batch['disparity'] == 7).all()
    assert not batch['visible'][:, :5].any()
    assert batch['visible'][:, 5:].all()
