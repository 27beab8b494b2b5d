"""Pruning: channels that do nothing go without a trace, meanings stay, files work everywhere."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
import torch_pruning as tp
from statistics_of_norms import with_statistics
from torch import nn

from dtp_stereo_ros import backends
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.errors import ConfigError, ModelError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.bimodal import BimodalConfig, DTPNetBimodal
from dtp_stereo_ros.network.changed import with_choice
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig
from dtp_stereo_ros.network.widths import read_widths
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.training import export
from dtp_stereo_ros.training.pruning import prune
from dtp_stereo_ros.training.pruning.cost import ConvolutionCost
from dtp_stereo_ros.training.settings import PruneConfig

torch.set_num_threads(1)

LIGHT = LightConfig(64, 8, 16, 24, 32, 32, 2, 8, 24, (1, 1, 1, 1))
BIMODAL = BimodalConfig(64, 8, 16, 24, 32, 32, 16, 24, (1, 1, 1, 1), 8, 12, 1)
MEMBERS = {
    'light': lambda: DTPNetLight(LIGHT),
    'light_error': lambda: DTPNetLight(dataclasses.replace(LIGHT, error=8)),
    'light_choice': lambda: with_choice(
        DTPNetLight(dataclasses.replace(LIGHT, error=8, upsampling=2)), 8, 1.0
    ),
    'light_magnified': lambda: DTPNetLight(dataclasses.replace(LIGHT, magnification=1.5)),
    'bimodal': lambda: DTPNetBimodal(BIMODAL),
    'bimodal_plain': lambda: DTPNetBimodal(dataclasses.replace(BIMODAL, detail=0, attend=0)),
    'setting1': lambda: DTPNetPaper(PaperConfig(1, 64)),
    'setting3': lambda: DTPNetPaper(PaperConfig(3, 64)),
}


@pytest.fixture(params=list(MEMBERS))
def network(request):
    torch.manual_seed(0)
    return with_statistics(MEMBERS[request.param]().eval())


def pair(width=128, height=64):
    return torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(1)) * 255


@torch.no_grad()
def calls(network, run):
    """Names of the layers that run calls, each once."""
    called = set()
    hooks = [
        module.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, module in network.named_modules()
        if isinstance(module, (torch.nn.Conv2d, torch.nn.BatchNorm2d, torch.nn.ConvTranspose2d))
    ]
    run()
    for hook in hooks:
        hook.remove()
    return called


def test_the_traced_network_calls_every_layer_that_predict_calls(network):
    traced = prune.traced_of(network)
    predicted = calls(network, lambda: network.predict(*pair()))
    found = calls(network, lambda: traced(traced.example()))
    if isinstance(network, DTPNetPaper) and network.config.setting == 1:
        # All of the interlaced volume is fixed.
        predicted = {n for n in predicted if not n.startswith(('volume.groups', 'volume.leave'))}
    assert found == predicted
    names = dict(network.named_modules())
    assert all(
        any(layer is n for n in [*names.values(), *traced.children()]) for layer in traced.fixed
    )


def silence(network, name, count):
    """Make some channels of a group zero everywhere, by the layers that write to them."""
    traced = prune.traced_of(network)
    graph = prune.dependency_graph(traced)
    group = dict(prune.prunable_groups(traced, graph))[name]
    chosen = list(range(1, 2 * count, 2))
    chosen_group = graph.get_pruning_group(group[0].dep.layer, tp.prune_conv_out_channels, chosen)
    with torch.no_grad():
        for dep, idxs in chosen_group:
            if not graph.is_out_channel_pruning_fn(dep.handler):
                continue
            for values in (getattr(dep.layer, n, None) for n in ('weight', 'bias')):
                if values is not None:
                    values[idxs] = 0
            if isinstance(dep.layer, torch.nn.BatchNorm2d):
                dep.layer.running_mean[idxs] = 0


def test_channels_that_do_nothing_go_without_a_trace(network):
    """Group by group: whatever reads a channel, by concatenation or sum, loses the right one."""
    config = PruneConfig(round_to=4)
    groups = prune.cuttable(network, config)
    assert len(groups) > 15
    if isinstance(network, DTPNetPaper):
        groups = groups[:: 3 if network.config.setting == 1 else 2]
    for cuts in groups:
        trial = copy.deepcopy(network)
        silence(trial, cuts.name, 4)
        with torch.no_grad():
            before = trial.predict(*pair())
            prune.cut_channels(trial, {cuts.name: 4})
            after = trial.predict(*pair())
        assert checkpoint.parameter_count(trial) < checkpoint.parameter_count(network), cuts.name
        torch.testing.assert_close(
            after.logits, before.logits, atol=1e-3, rtol=1e-3, msg=cuts.name
        )
        worst = (after.disparity_px - before.disparity_px).abs().median()
        assert worst < 1e-3, cuts.name


def test_channels_with_a_meaning_are_never_cut(network):
    before = read_widths(network)
    groups = prune.cuttable(network, PruneConfig(round_to=4))
    prune.cut_channels(network, {g.name: g.steps[-1] for g in groups})
    after = read_widths(network)
    if isinstance(network, DTPNetLight):
        same = [
            'project_left', 'project_right', 'regress', 'refinement.describe',
            'refinement.leave', 'upsampling.leave',
        ]  # fmt: skip
    elif isinstance(network, DTPNetBimodal):
        same = [
            'project_left', 'project_right', 'nearer.volume', 'nearer.matching', 'farther.volume',
            'farther.matching', 'decision.leave',
        ]  # fmt: skip
        same += ['decision.describe_left', 'decision.describe_right'] * (network.config.detail > 0)
    else:
        same = ['regress', *(n for n in before if n.endswith('up1.0'))]
    for name in same:
        assert after[name][0] == before[name][0], name
    changed = [n for n, row in after.items() if row != before[n]]
    assert len(changed) > 0.6 * len(before)
    with torch.no_grad():
        assert network(*pair())[0].shape == (1, 1, 64, 128)


def test_widths_are_rounded_and_no_group_loses_more_than_allowed():
    groups = prune.cuttable(DTPNetLight(), PruneConfig(round_to=8, largest_cut=0.3))
    for cuts in groups:
        assert all((cuts.channels - s) % 8 == 0 for s in cuts.steps)
        assert cuts.steps[-1] <= 0.3 * cuts.channels


def test_crops_that_a_network_cannot_take_are_named(tmp_path, capsys):
    source = tmp_path / 'net.pt'
    checkpoint.save(source, MEMBERS['light_magnified'](), {})
    arguments = ['prune', str(source), '-o', str(tmp_path / 'out'), '--device', 'cpu', '--fp32']
    arguments += ['--sizes', '32x64', '--batch-size', '1', '--batches', '1']
    assert main(arguments) == 2
    assert 'sizes: 32x64 is no multiple of the 64 px that the network' in capsys.readouterr().err


def test_multiplications_agree_with_the_tracer_of_pytorch():
    from torch.utils.flop_counter import FlopCounterMode

    network = DTPNetLight().eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(*torch.zeros(2, 1, 3, 480, 640))
    convolutions = counter.get_flop_counts()['Global'][torch.ops.aten.convolution] / 2
    found = ConvolutionCost.of(network).multiplications(network)
    assert found == pytest.approx(convolutions, rel=1e-6)


def test_widths_count_as_whole_vectors():
    """A convolution of 60 channels takes a processor with vectors of 16 as long as one of 64."""

    def counted(channels, multiple):
        network = DTPNetLight(dataclasses.replace(LIGHT, eighth=channels)).eval()
        return ConvolutionCost.of(network).multiplications(network, multiple)

    assert counted(60, 16) == counted(64, 16) > counted(48, 16)
    assert counted(56, 1) < counted(56, 8) < counted(60, 8) < counted(64, 8)
    # Three colours are not padded.
    first = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=16))
    cost = ConvolutionCost({'0': 10.0, '1': 1.0})
    assert cost.multiplications(first, 16) == 10 * 3 * 16 * 9 + 16 * 9


def imagined(prices):
    """A change that grows with what each group has lost, at its own price."""

    def measure(network):
        widths = read_widths(network)
        return sum(price * (full - widths[name][0]) for name, (price, full) in prices.items())

    return measure


def test_cuts_are_made_where_they_are_cheap():
    torch.manual_seed(0)
    network = DTPNetLight(dataclasses.replace(LIGHT, quarter=32, eighth=32, volume=32)).eval()
    groups = prune.cuttable(network, PruneConfig(round_to=8))
    prices = {g.name: (0.001 if 'down8' in g.name else 1.0, g.channels) for g in groups}
    report = prune.prune(network, PruneConfig(0.006, round_to=8), imagined(prices))
    cut = {g.name: g.cut for g in report.groups if g.cut}
    assert cut
    assert all('down8' in name for name in cut)
    before, after = report.multiplications
    assert 0.006 <= 1 - after / before < 0.01
    assert report.parameters[1] < report.parameters[0]
    assert report.change_px2 == pytest.approx(0.001 * sum(cut.values()))
    json.dumps(report.plain())


def test_what_is_saved_beyond_the_ratio_is_worth_nothing():
    """A group that saves far too much is not cut where a dearer but smaller cut is enough."""
    torch.manual_seed(0)
    network = DTPNetLight(dataclasses.replace(LIGHT, quarter=32, eighth=32, volume=32)).eval()
    config = PruneConfig(0.006, round_to=8)
    groups = {g.name: g.channels for g in prune.cuttable(network, config)}
    large, small = 'features.quarter.0.0', 'aggregation.down8.0.widen'
    prices = {name: (100.0, channels) for name, channels in groups.items()}
    prices[large], prices[small] = (0.01, groups[large]), (0.002, groups[small])
    report = prune.prune(network, config, imagined(prices))
    by_name = {g.name: g for g in report.groups}
    # By the share that it saves, the large one is cheaper.
    rate = {name: by_name[name].changes_px2[0] / by_name[name].saved[0] for name in (large, small)}
    assert rate[large] < rate[small]
    assert {name for name, cuts in by_name.items() if cuts.cut} == {small}


def test_even_cuts_measure_nothing_but_the_end():
    network = DTPNetLight(LIGHT).eval()
    calls = []
    config = PruneConfig(0.2, round_to=2, by_sensitivity=False)
    report = prune.prune(network, config, lambda n: calls.append(n) or 1.0)
    assert len(calls) == 1
    assert sum(g.cut > 0 for g in report.groups) > 0.8 * len(report.groups)
    assert 1 - report.multiplications[1] / report.multiplications[0] >= 0.2


def test_what_cannot_be_cut_is_said():
    with pytest.raises(ConfigError, match=r'only \d+% can be cut'):
        prune.prune(DTPNetLight(LIGHT), PruneConfig(0.9, round_to=4), lambda n: 1.0)
    with pytest.raises(ModelError, match='psmnet is a teacher'):
        prune.prune(PSMNet(PSMNetConfig(32, (1, 1, 1, 1))), PruneConfig(), lambda n: 1.0)
    with pytest.raises(ConfigError, match=r'ratio is 1\.5'):
        PruneConfig(1.5)


@pytest.fixture(scope='module')
def pruned(tmp_path_factory):
    """A light network that has lost a fifth, as a checkpoint and as ONNX."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp('pruned')
    network = DTPNetLight(LIGHT)
    prune.prune(network, PruneConfig(0.2, 4, by_sensitivity=False), lambda n: 1.0)
    checkpoint.save(folder / 'small.pt', network.eval(), {'pruned': 'a fifth'})
    rng = np.random.default_rng(0)
    left = np.kron(rng.integers(0, 255, (16, 40, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    frame = StereoFrame(left, np.roll(left, -9, axis=1))
    export.export_onnx(folder / 'small.pt', folder / 'small.onnx', frame)
    return folder, network


def test_a_pruned_checkpoint_comes_back(pruned):
    folder, network = pruned
    content = torch.load(folder / 'small.pt', weights_only=True)
    assert content['config']['quarter'] == 16
    assert len(content['widths']) > 20
    loaded = checkpoint.load(folder / 'small.pt')
    with torch.no_grad():
        assert torch.equal(loaded(*pair())[0], network(*pair())[0])
    again = prune.cuttable(loaded, PruneConfig(round_to=4))
    assert again  # a second step of pruning finds its groups


@pytest.mark.parametrize(
    ('name', 'ending'), [('torch', 'pt'), ('onnx', 'onnx'), ('openvino', 'onnx')]
)
def test_a_pruned_model_runs_in_every_backend(pruned, name, ending):
    pytest.importorskip({'onnx': 'onnxruntime'}.get(name, name))
    folder, network = pruned
    config = PipelineConfig(backend=name, model=str(folder / f'small.{ending}'), precision='fp32')
    backend = backends.create(config)
    left, right = pair(160, 32).numpy()
    with torch.no_grad():
        expected, confidence = network(*pair(160, 32))
    disparity, sure = backend.infer(left, right)
    backend.close()
    assert np.median(np.abs(disparity - expected[0, 0].numpy())) < 0.01
    assert np.median(np.abs(sure - confidence[0, 0].numpy())) < 0.01


@pytest.mark.parametrize('member', ['light', 'bimodal', 'light_magnified'])
def test_command(tmp_path, capsys, member):
    torch.manual_seed(0)
    source = tmp_path / 'net.pt'
    checkpoint.save(source, MEMBERS[member](), {'steps': 7, 'data': 'nothing'})
    arguments = [
        'prune', str(source), '-o', str(tmp_path / 'out'), '--ratio', '0.05', '--round-to', '8',
        '--sizes', '64x64', '--batch-size', '2', '--batches', '1', '--device', 'cpu', '--fp32',
    ]  # fmt: skip
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert 'pruned.pt: ' in out
    assert 'GMAC' in out
    content = checkpoint.read(tmp_path / 'out' / 'pruned.pt')
    assert content['widths']
    assert content['meta']['pruned'][0]['ratio'] == 0.05
    report = json.loads((tmp_path / 'out' / 'prune.json').read_text())
    assert report['multiplications'][1] < report['multiplications'][0]
    before, after = checkpoint.load(source), checkpoint.load(tmp_path / 'out' / 'pruned.pt')
    cost = ConvolutionCost.of(before)
    assert cost.multiplications(after, 8) <= 0.95 * cost.multiplications(before, 8)
    assert all(len(g['changes_px2']) == len(g['steps']) for g in report['groups'])
    assert (tmp_path / 'out' / 'sensitivity.png').stat().st_size > 5000


def test_a_network_that_was_pruned_is_not_overwritten(tmp_path, capsys):
    """Also where it is what shall be pruned again."""
    earlier = tmp_path / 'pruned.pt'
    checkpoint.save(earlier, MEMBERS['light'](), {})
    content = earlier.read_bytes()
    assert main(['prune', str(earlier), '-o', str(tmp_path), '--device', 'cpu']) == 2
    expected = f'{earlier}: is there already, of an earlier call; give another --out'
    assert expected in capsys.readouterr().err
    assert earlier.read_bytes() == content
