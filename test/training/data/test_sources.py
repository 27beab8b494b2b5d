"""What a run is judged by: pairs of the camera that it is for, where there are any."""

import dataclasses

import layouts
import pytest
import torch

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
