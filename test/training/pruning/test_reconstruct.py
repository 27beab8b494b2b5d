"""Fitting of layers to the channels left: what those tell is not missed."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
import torch_pruning as tp
from statistics_of_norms import with_statistics
from torch import nn

from dtp_stereo_ros import models
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.traced import Traced
from dtp_stereo_ros.training.data.batches import validation_batches
from dtp_stereo_ros.training.learning.device import accelerator_for
from dtp_stereo_ros.training.pruning import prune
from dtp_stereo_ros.training.pruning.prune_checkpoint import Change
from dtp_stereo_ros.training.pruning.reconstruct import least_missed, read_moments
from dtp_stereo_ros.training.settings import Computing, GeneratorConfig, PruneConfig

torch.set_num_threads(1)

LIGHT = LightConfig(64, 8, 16, 24, 32, 32, 1, 8, 24, (1, 1, 1, 1), 8, 16, 2, error=8)
MEMBERS = {
    'light': lambda: DTPNetLight(LIGHT),
    'two_heads': lambda: DTPNetLight(replace(LIGHT, heads=2, upsampling=4, error=0)),
    'setting3': lambda: DTPNetPaper(PaperConfig(3, 64)),
}


def pairs(count=2, seed=1):
    generator = torch.Generator().manual_seed(seed)
    made = []
    for _ in range(count):
        coarse = torch.rand(2, 2, 3, 16, 32, generator=generator) * 255
        left, right = F.interpolate(coarse.flatten(0, 1), scale_factor=4.0).unflatten(0, (2, 2))
        made.append({'left': left.to(torch.uint8), 'right': right.to(torch.uint8)})
    return made


@pytest.fixture(params=list(MEMBERS))
def network(request):
    torch.manual_seed(0)
    return with_statistics(MEMBERS[request.param]().eval())


def repeat_a_channel(network, name, source, copied):
    """Let all that writes a group write one of its channels again, in place of another."""
    traced = prune.traced_of(network)
    graph = prune.dependency_graph(traced)
    group = dict(prune.prunable_groups(traced, graph))[name]
    with torch.no_grad():
        for item in group:
            if not graph.is_out_channel_pruning_fn(item.dep.handler):
                continue
            place = dict(zip(item.root_idxs, item.idxs, strict=True))
            for key in ('weight', 'bias', 'running_mean', 'running_var'):
                values = getattr(item.dep.layer, key, None)
                if isinstance(values, torch.Tensor):
                    values[place[copied]] = values[place[source]]


@torch.no_grad()
def predicted(network, batch):
    return network.predict(batch['left'].float(), batch['right'].float()).logits


def test_a_channel_that_another_tells_is_cut_without_a_trace(network):
    groups = prune.cuttable(network, PruneConfig(round_to=4))
    if isinstance(network, DTPNetPaper):
        groups = groups[::3]
    fitted, by_norm = [], []
    for cuts in groups:
        trial = copy.deepcopy(network)
        repeat_a_channel(trial, cuts.name, 2, 5)
        moments = read_moments(trial, pairs())
        fresh = pairs(1, seed=7)[0]
        before = predicted(trial, fresh)
        for known, missed in ((moments, fitted), (None, by_norm)):
            cut = copy.deepcopy(trial)
            prune.cut_channels(cut, {cuts.name: 1}, known)
            missed.append(float((predicted(cut, fresh) - before).std() / before.std()))
        assert fitted[-1] < 0.003, cuts.name
    # It is not that a channel less makes no difference.
    assert sum(fitted) < 0.2 * sum(by_norm)


def test_cuts_one_after_another_fit_a_reader_to_the_channels_that_it_has_left(network):
    groups = prune.cuttable(network, PruneConfig(round_to=4))
    removed = {cuts.name: cuts.steps[0] for cuts in groups}
    moments = read_moments(network, pairs())
    sizes = {name: len(found) for name, found in moments.items()}
    trial = copy.deepcopy(network)
    prune.cut_channels(trial, removed, moments)
    read = {name: len(found) for name, found in read_moments(trial, pairs(1)).items()}
    assert len(read) == len(sizes)
    assert sum(read[name] < sizes[name] for name in sizes) > 0.6 * len(sizes)
    fresh = pairs(1, seed=7)[0]
    missed = (predicted(trial, fresh) - predicted(network, fresh)).std()
    assert missed < 0.5 * predicted(network, fresh).std()
    # The caller's are for other trials.
    assert {name: len(found) for name, found in moments.items()} == sizes


def test_channels_of_the_shipped_network_are_told_by_others():
    """The point of it all: an eighth of the features is hardly missed, untrained."""
    network = checkpoint.load(models.resolve('dtpnet', ('.pt',)))
    config = GeneratorConfig(sizes=((96, 256),), batch_size=2, seed=3)
    known, fresh = validation_batches(config, 4), validation_batches(replace(config, seed=4), 2)
    change = Change(network, fresh, accelerator_for(Computing(device='cpu', precision='fp32')))
    found = {}
    for moments in (read_moments(network, known), None):
        trial = copy.deepcopy(network)
        prune.cut_channels(trial, {'features.eighth.0.0': 8}, moments)
        found[moments is None] = change(trial)
    assert found[False] < 0.6 * found[True]


class OneLayer(nn.Module):
    """A convolution as a network."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def predict(self, left, right):
        return self.layer(left)


@pytest.mark.parametrize(
    ('kernel', 'stride', 'padding', 'dilation'),
    [(1, 1, 0, 1), (3, 2, 1, 1), ((2, 3), (2, 1), (0, 1), 1), (3, 1, 2, 2), (5, 3, 0, 1)],
)
def test_moments_are_those_of_what_the_layer_reads(kernel, stride, padding, dilation):
    layer = nn.Conv2d(3, 4, kernel, stride, padding, dilation)
    network = OneLayer(layer)
    (found,) = read_moments(network, pairs(40)).values()
    columns = [
        F.unfold(b['left'].float(), layer.kernel_size, dilation, padding, stride)
        for b in pairs(40)
    ]
    read = F.pad(torch.cat(columns).double(), (0, 0, 0, 1), value=1.0)
    read = read.transpose(0, 1).flatten(1)
    expected = read @ read.T / read.shape[1]
    assert found.shape == expected.shape
    # A draw of the positions.
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03 * 255**2 / 3)
    assert found[-1, -1] == 1


def test_groups_of_channels_are_not_read():
    network = OneLayer(nn.Conv2d(3, 3, 3, groups=3))
    assert read_moments(network, pairs(1)) == {}


class Twice(Traced):
    """A layer that reads a group of channels two times, beside each other."""

    def __init__(self):
        super().__init__(nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(12, 4, 3, padding=1)))
        self.fixed = [self.network[1]]

    def predict(self, left, right):
        return self(left)

    def forward(self, image):
        first = self.network[0](image)
        return self.network[1](torch.cat([first, first.roll(1, dims=3)], dim=1))


def test_a_layer_that_reads_a_channel_twice_is_fitted_once():
    torch.manual_seed(0)
    traced = Twice().eval()
    images = [batch['left'].float() / 255 for batch in pairs(8)]
    # Three colours make six channels: any three of them tell the others.
    before = [traced(image) for image in images]
    moments = read_moments(traced, [{'left': image, 'right': image} for image in images])
    graph = prune.dependency_graph(traced)
    root = traced.network[0]
    whole = graph.get_pruning_group(root, tp.prune_conv_out_channels, list(range(6)))
    layers = {traced.get_submodule(name): found for name, found in moments.items()}
    lost = least_missed(whole, layers, 2)
    graph.get_pruning_group(root, tp.prune_conv_out_channels, lost).prune()
    assert traced.network[1].in_channels == 8
    assert len(layers[traced.network[1]]) == 8 * 9 + 1
    with torch.no_grad():
        for image, expected in zip(images, before, strict=True):
            missed = (traced(image) - expected)[..., 1:-1, 1:-1].std()
            assert missed < 0.02 * expected.std()
