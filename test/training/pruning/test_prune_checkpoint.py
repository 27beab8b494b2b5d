"""Comparison with the uncut network, and the files of a pruning."""

import json
import math

import pytest
import torch
from torch import nn

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.training.learning.device import accelerator_for
from dtp_stereo_ros.training.pruning.prune_checkpoint import (
    Change,
    halves,
    prune_checkpoint,
    summary_line,
)
from dtp_stereo_ros.training.settings import Computing, PruneConfig

torch.set_num_threads(1)

LIGHT = LightConfig(64, 16, 16, 32, 32, 32, 1, 8, 32, (1, 1, 1, 1))


@pytest.fixture(scope='module')
def accelerator():
    return accelerator_for(Computing(device='cpu', precision='fp32'))


class Flat(nn.Module):
    """A network that sees one disparity everywhere, but in the first row of each image."""

    padding_multiple = 1
    name = 'flat'

    def __init__(self, disparity_px, first_px=None):
        super().__init__()
        self.values = disparity_px, disparity_px if first_px is None else first_px

    def forward(self, left, right):
        disparity = torch.full((len(left), 1, *left.shape[2:]), self.values[0])
        disparity[:, :, 0] = self.values[1]
        return disparity, torch.ones_like(disparity)


def batch(truth_px=10.0, known=True, visible=True):
    shape = (2, 8, 16)
    return {
        'left': torch.zeros(2, 3, 8, 16),
        'right': torch.zeros(2, 3, 8, 16),
        'disparity': torch.full(shape, truth_px),
        'known': torch.full(shape, known),
        'visible': torch.full(shape, visible),
    }


def test_change_is_the_mean_square_of_the_difference(accelerator):
    change = Change(Flat(10.5), [batch()], accelerator)
    assert change(Flat(10.5)) == 0
    assert change(Flat(11.0)) == pytest.approx(0.25)
    assert change(Flat(10.0)) == pytest.approx(0.25)
    assert change(Flat(9.5)) == pytest.approx(1)
    # However far it is.
    assert change(Flat(90.0)) == pytest.approx(1)
    assert change(Flat(10.5, first_px=11.0)) == pytest.approx(0.25 / 8)


def test_pixels_that_were_wrong_do_not_count(accelerator):
    before, after = Flat(10.0, first_px=40.0), Flat(10.0, first_px=20.0)
    assert Change(before, [batch()], accelerator)(after) == 0
    # What nobody knows the truth of does.
    assert Change(before, [batch(known=False)], accelerator)(after) == pytest.approx(1 / 8)
    # Nor do pixels that the right camera does not see.
    assert Change(before, [batch(visible=False), batch()], accelerator)(Flat(11)) == (
        pytest.approx(1)
    )


def test_a_network_that_is_wrong_everywhere_is_still_compared(accelerator):
    change = Change(Flat(50.0), [batch()], accelerator)
    assert change(Flat(50.5)) == pytest.approx(0.25)
    assert not math.isnan(change(Flat(50.0)))


def pairs(count, batch=1):
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(count):
        left, right = torch.randint(0, 255, (2, batch, 3, 32, 128), generator=generator)
        truth = torch.full((batch, 32, 128), 5.0)
        known = torch.ones(batch, 32, 128, dtype=torch.bool)
        made.append(
            {'left': left, 'right': right, 'disparity': truth, 'known': known, 'visible': known}
        )
    return made


def test_both_halves_of_the_pairs_have_all_sources_and_sizes():
    given = [*pairs(2, 4), *pairs(1, 5), *pairs(1, 1)]
    fitted, compared = halves(given)
    assert [len(batch['left']) for batch in fitted] == [2, 2, 2, 1]
    assert [len(batch['left']) for batch in compared] == [2, 2, 3, 1]
    for batch, first, second in zip(given[:3], fitted, compared, strict=False):
        for name, values in batch.items():
            assert torch.equal(torch.cat([first[name], second[name]]), values)


@pytest.mark.parametrize(('count', 'size'), [(1, 1), (2, 3)])
@pytest.mark.parametrize('reconstruct', [True, False])
def test_files_of_a_pruning(tmp_path, accelerator, count, size, reconstruct):
    torch.manual_seed(0)
    source, out = tmp_path / 'net.pt', tmp_path / 'out'
    checkpoint.save(source, DTPNetLight(LIGHT), {})
    config = PruneConfig(0.3, 4, by_sensitivity=False, reconstruct=reconstruct)
    given = pairs(count, size)
    (out / 'sensitivity.png').parent.mkdir()
    (out / 'sensitivity.png').write_text('of an earlier call')
    report = prune_checkpoint(source, out, config, given, accelerator, 'prune')
    # It is told of other pairs than weights were fitted on, where there are others.
    assert not (out / 'sensitivity.png').exists()
    change = Change(checkpoint.load(source), halves(given)[1], accelerator)
    assert change(checkpoint.load(out / 'pruned.pt')) == pytest.approx(report.change_px2)
    assert json.loads((out / 'prune.json').read_text())['change_px2'] == report.change_px2
    assert f'change by {report.change_px2**0.5:.3f} px' in summary_line(report)
    fitted = checkpoint.load(out / 'pruned.pt').features.sixteenth[0][0].weight
    kept = checkpoint.load(source).features.sixteenth[0][0].weight
    # Without fitting, the weights are some of those before.
    assert torch.isin(fitted, kept).all() == (not reconstruct)


def test_crops_that_the_network_cannot_take_are_named(accelerator):
    network = DTPNetLight(LIGHT)
    with pytest.raises(ConfigError, match='8x16 is no multiple of the 32 px'):
        Change(network, [batch()], accelerator)
