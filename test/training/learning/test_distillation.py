"""The paper's Eq. 4 by hand, and a student that learns from a teacher without truth."""

import dataclasses
import math
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import layouts
import numpy as np
import pytest
import torch

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import ConfigError, StereoError
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.bimodal import BimodalConfig, DTPNetBimodal
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig
from dtp_stereo_ros.training.data.batches import SyntheticBatches
from dtp_stereo_ros.training.data.padding import pad
from dtp_stereo_ros.training.learning import trainer
from dtp_stereo_ros.training.learning.distillation import Distillation, distribution_distance
from dtp_stereo_ros.training.learning.supervised import StackedSupervised, Supervised, outputs_of
from dtp_stereo_ros.training.learning.trainer import Trainer
from dtp_stereo_ros.training.settings import (
    DistilConfig,
    GeneratorConfig,
    LossWeights,
    TrainConfig,
)
from dtp_stereo_ros.training.teachers import NetworkTeacher, Taught, open_teacher

LIGHT = LightConfig(64, 8, 16, 24, 32, 32, 1, 8, 16, (1, 1, 1, 1))
NETWORK = {'member': 'light', **dataclasses.asdict(LIGHT)}
DATA = GeneratorConfig(sizes=((64, 128),), batch_size=2, max_disparity_px=60, pool=16)


def column(*values):
    return torch.log(torch.tensor(values)).view(1, -1, 1, 1)


def test_l1_and_kl_by_hand():
    p, q = column(0.5, 0.3, 0.2), column(0.1, 0.2, 0.7)
    assert distribution_distance(p, q, 1.0, 'l1').item() == pytest.approx(0.4 + 0.1 + 0.5)
    kl = 0.1 * math.log(0.1 / 0.5) + 0.2 * math.log(0.2 / 0.3) + 0.7 * math.log(0.7 / 0.2)
    assert distribution_distance(p, q, 1.0, 'kl').item() == pytest.approx(kl, rel=1e-5)


def test_temperature_divides_both():
    """At 0.5 probabilities are squared and normalised anew."""
    p, q = column(0.5, 0.5), column(0.2, 0.8)
    squared = 0.2**2 / (0.2**2 + 0.8**2)
    expected = 2 * (0.5 - squared)
    assert distribution_distance(p, q, 0.5, 'l1').item() == pytest.approx(expected, rel=1e-5)


@pytest.fixture(scope='module')
def batch():
    return next(iter(SyntheticBatches(DATA)))


DEFAULT = DistilConfig()


def loss_of(student, teacher, batch, config=DEFAULT, progress=0.0):
    objective = Distillation(student, teacher, config, LossWeights())
    outputs = student.train()(batch['left'].float(), batch['right'].float())
    return objective(outputs, batch, (0, 0), progress)


def test_temperature_rises_over_the_run(batch):
    torch.manual_seed(0)
    student, teacher = DTPNetLight(LIGHT), NetworkTeacher(DTPNetLight(LIGHT), 'x')
    outputs = student.train()(batch['left'].float(), batch['right'].float())
    objective = Distillation(student, teacher, DistilConfig(), LossWeights())
    taught = objective.ask(batch)
    for progress, temperature in ((0.0, 0.5), (0.5, 0.75), (1.0, 1.0), (2.0, 1.0)):
        _, parts = objective(outputs, batch, (0, 0), progress)
        expected = distribution_distance(outputs.logits, taught.logits, temperature, 'l1').mean()
        assert parts['distil'].item() == pytest.approx(expected.item(), rel=1e-5)


def test_rows_of_supervision(batch):
    torch.manual_seed(0)
    student, teacher = DTPNetLight(LIGHT), NetworkTeacher(DTPNetLight(LIGHT), 'x')
    only, parts = loss_of(student, teacher, batch)
    assert set(parts) == {'distil', 'distil_full', 'distil_quarter'}
    both, more = loss_of(student, teacher, batch, DistilConfig(supervision='both'))
    assert set(more) - set(parts) == {'distribution', 'full', 'matching', 'quarter'}
    assert both > only
    assert not [n for n, p in teacher.network.named_parameters() if p.grad is not None]


@pytest.mark.parametrize('supervision', ['teacher', 'both'])
@pytest.mark.parametrize(
    'student',
    [
        lambda: DTPNetLight(dataclasses.replace(LIGHT, error=8)),
        lambda: DTPNetBimodal(BimodalConfig(64, 8, 16, 24, 32, 32, 8, 16, (1, 1, 1, 1))),
        lambda: DTPNetPaper(PaperConfig(3, 64)),
        lambda: PSMNet(PSMNetConfig(64, (1, 1, 1, 1))),
    ],
    ids=['light', 'bimodal', 'paper', 'psmnet'],
)
def test_every_weight_of_a_student_learns(batch, student, supervision):
    """Several processes share the gradients of a network only where all its weights have one."""
    torch.manual_seed(0)
    student, teacher = student(), NetworkTeacher(DTPNetLight(LIGHT), 'x')
    total, _ = loss_of(student, teacher, batch, DistilConfig(supervision=supervision))
    total.backward()
    assert [name for name, p in student.named_parameters() if p.grad is None] == []


def test_an_error_is_expected_of_the_teacher_where_there_is_no_truth(batch):
    torch.manual_seed(0)
    student = DTPNetLight(dataclasses.replace(LIGHT, error=8))
    teacher = NetworkTeacher(DTPNetLight(LIGHT), 'x')
    objective = Distillation(student, teacher, DistilConfig(), LossWeights())
    outputs = student.train()(batch['left'].float(), batch['right'].float())
    taught_px = objective.ask(batch).disparity_px
    # A fresh head expects 1 px everywhere: the likelihood is the error itself.
    error = (outputs.disparity_px[:, 0] - taught_px).abs().clamp(max=32)
    _, parts = objective(outputs, batch, (0, 0), 0.0)
    assert parts['distil_error'].item() == pytest.approx(error.mean().item(), rel=1e-5)
    both = Distillation(student, teacher, DistilConfig(supervision='both'), LossWeights())
    known = torch.ones_like(batch['known'])
    _, parts = both(outputs, {**batch, 'known': known}, (0, 0), 0.0)
    assert parts['distil_error'].item() == 0
    known[:, :, 40:] = False
    _, parts = both(outputs, {**batch, 'known': known}, (0, 0), 0.0)
    unknown = error[:, :, 40:].mean().item()
    assert parts['distil_error'].item() == pytest.approx(unknown, rel=1e-5)


def test_pixels_that_the_teacher_is_not_sure_of_do_not_count(batch):
    student = DTPNetLight(LIGHT).train()
    blank = torch.full_like(batch['clean_left'], 128)
    unsure = {**batch, 'clean_left': blank, 'clean_right': blank}
    total, _ = loss_of(student, open_teacher('sgbm'), unsure)
    assert total.item() == 0


def test_a_teacher_that_is_known_to_be_wrong_is_not_heard(batch):
    torch.manual_seed(0)
    student, teacher = DTPNetLight(LIGHT), NetworkTeacher(DTPNetLight(LIGHT), 'x')
    deaf = DistilConfig(supervision='both', trust_px=1e-6)
    _, parts = loss_of(student, teacher, batch, deaf)
    assert parts['distil'].item() == parts['distil_full'].item() == 0
    assert parts['full'].item() > 0
    # Where there is no truth, or the teacher teaches alone, it is heard as before.
    blind = {**batch, 'known': torch.zeros_like(batch['known'])}
    _, parts = loss_of(student, teacher, blind, deaf)
    assert parts['distil'].item() > 0
    # A trust that every error lies within changes nothing.
    trusting = DistilConfig(supervision='both', trust_px=1e6)
    without = dataclasses.replace(trusting, trust_px=0.0)
    heard, unchanged = (loss_of(student, teacher, batch, c)[0] for c in (trusting, without))
    assert heard.item() == pytest.approx(unchanged.item(), rel=1e-5)
    with pytest.raises(ConfigError, match='supervision is teacher; set it to both, or trust_px'):
        DistilConfig(trust_px=1.0)


@pytest.mark.parametrize('supervision', ['teacher', 'both'])
def test_nobody_teaches_in_the_padding(batch, supervision):
    """A teacher that is asked now would, one that was asked before does not."""
    torch.manual_seed(0)
    top_px, right_px = 20, 36
    padded = pad(batch, top_px, right_px)
    student = DTPNetLight(dataclasses.replace(LIGHT, error=8))

    def taught(padding_px, **given):
        def teacher(left, right, grid):
            disparity = torch.full(left[:, 0].shape, 9.0)
            disparity[:, :top_px] = disparity[..., -right_px:] = padding_px
            return Taught(disparity, torch.ones_like(disparity, dtype=torch.bool), None)

        config = DistilConfig(supervision=supervision)
        parts = loss_of(student, teacher, {**padded, **given}, config)[1]
        return torch.stack([parts[n] for n in ('distil', 'distil_full', 'distil_error')])

    assert torch.equal(taught(9.0), taught(50.0))
    inside = torch.ones_like(padded['inside'])
    assert not torch.equal(taught(9.0, inside=inside), taught(50.0, inside=inside))


def test_no_features_are_taught_in_the_padding(batch):
    torch.manual_seed(0)
    padded = pad(batch, 20, 36)
    student = DTPNetLight(LIGHT)
    shown = torch.randn(2, LIGHT.volume, 16, 32)
    other = shown.clone()
    other[:, :, :5] = other[..., -9:] = 7.0

    class Shows(Says):
        def __init__(self, features):
            super().__init__(9.0, True)
            self.features = features

        def __call__(self, left, right, grid):
            return super().__call__(left, right, grid)._replace(features=self.features)

    def taught(features, **given):
        torch.manual_seed(1)
        config = DistilConfig(features=1.0)
        return loss_of(student, Shows(features), {**padded, **given}, config)[1]['features']

    assert taught(shown) == taught(other)
    inside = torch.ones_like(padded['inside'])
    assert taught(shown, inside=inside) != taught(other, inside=inside)


def test_feature_distillation_teaches_the_aggregation(batch):
    torch.manual_seed(0)
    wider = dataclasses.replace(LIGHT, volume=24)
    student, teacher = DTPNetLight(LIGHT), NetworkTeacher(DTPNetLight(wider), 'x')
    config = DistilConfig(distribution=0.0, disparity=0.0, features=1.0)
    objective = Distillation(student, teacher, config, LossWeights())
    learned = [*student.parameters(), *objective.learned.parameters()]
    optimizer = torch.optim.Adam(learned, lr=3e-3)
    found = []
    for _ in range(12):
        outputs = student.train()(batch['left'].float(), batch['right'].float())
        loss, parts = objective(outputs, batch, (0, 0), 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(parts['features'].item())
    assert objective.learned.weight.shape == (24, 16, 1, 1)
    assert found[-1] < 0.7 * found[0]


def test_features_of_a_teacher_without_them_are_refused(tmp_path):
    with pytest.raises(ConfigError, match='teacher sgbm shows no features'):
        Distillation(
            DTPNetLight(LIGHT), open_teacher('sgbm'), DistilConfig(features=1.0), LossWeights()
        )


def test_the_paper_network_learns_from_the_light_one(batch):
    torch.manual_seed(0)
    student, teacher = DTPNetPaper(PaperConfig(3, 64)), NetworkTeacher(DTPNetLight(LIGHT), 'x')
    total, parts = loss_of(student, teacher, batch)
    total.backward()
    assert set(parts) == {'distil', 'distil_full'}
    assert [n for n, p in student.named_parameters() if p.grad is None] == []


@pytest.fixture
def teacher_file(tmp_path, monkeypatch):
    """A network that says the same of every pair, which a run would refuse."""
    monkeypatch.setattr(trainer, '_SPREAD_PX', 0.0)
    torch.manual_seed(0)
    network = DTPNetLight(LIGHT)
    torch.nn.init.zeros_(network.sharpness)
    torch.nn.init.zeros_(network.regress.weight)
    torch.nn.init.constant_(network.regress.bias, -20.0)
    with torch.no_grad():
        network.regress.bias[4] = 20.0
    path = tmp_path / 'teacher.pt'
    checkpoint.save(path, network.eval(), {})
    return path


@pytest.mark.parametrize('cache', [False, True])
def test_a_folder_without_truth_teaches_what_the_teacher_says(tmp_path, teacher_file, cache):
    root = layouts.pairs(tmp_path / 'data')
    for name in ('c', 'd'):
        for side, image in zip(('left', 'right'), layouts.plane_pair(), strict=True):
            cv2.imwrite(str(root / f'{name}_{side}.png'), image)
    (root / 'wall_disp.pfm').unlink()
    config = TrainConfig(
        out=tmp_path / 'run',
        network=NETWORK,
        sources=(f'folder:{root}',),
        data=dataclasses.replace(DATA, sizes=((32, 96),), batch_size=4),
        distil=DistilConfig(teacher=str(teacher_file), cache=cache),
        steps=40,
        warmup_steps=5,
        learning_rate=5e-3,
        average_decay=0.8,
        precision='fp32',
        device='cpu',
        workers=0,
        validate_every=20,
        threads=1,
    )
    first = Trainer(dataclasses.replace(config, steps=1, validate_every=1)).run()
    last = Trainer(config).run()
    assert last['val/epe_px'] < 0.5 * first['val/epe_px']
    assert len(list((tmp_path / 'run').glob('cache/teacher/*.npz'))) == (3 if cache else 0)
    meta = checkpoint.read(tmp_path / 'run' / 'best.pt')['meta']
    assert meta['teacher'] == 'dtpnet (teacher, l1)'
    assert meta['data'].startswith('folder data, seed 0')


def test_workers_make_pairs_while_opencv_teaches(tmp_path):
    """OpenCV's threads run in the training process before the workers start."""
    root = layouts.pairs(tmp_path / 'data')
    start = tmp_path / 'start.pt'
    checkpoint.save(start, DTPNetLight(LIGHT), {})
    arguments = [
        'distill', '--teacher', 'sgbm', '--init', str(start), '--out', str(tmp_path / 'run'),
        '--data', f'folder:{root}', '--data', 'raycast', '--data', 'synthetic', '--steps', '4',
        '--validate-every', '4', '--batch-size', '2', '--sizes', '32x96', '--workers', '2',
        '--fp32', '--device', 'cpu', '--threads', '1',
    ]  # fmt: skip
    code = f'from dtp_stereo_ros.cli import main; raise SystemExit(main({arguments!r}))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert (tmp_path / 'run' / 'best.pt').exists()


def test_pairs_without_truth_and_teacher_are_refused(tmp_path):
    root = layouts.pairs(tmp_path / 'data')
    config = TrainConfig(out=tmp_path / 'run', sources=(f'folder:{root}',), device='cpu')
    with pytest.raises(ConfigError, match='data without truth teaches nothing'):
        Trainer(config)


def test_three_outputs_of_psmnet_are_weighted_as_in_its_paper():
    torch.manual_seed(0)
    data = GeneratorConfig(sizes=((32, 64),), batch_size=2, max_disparity_px=14, pool=16)
    small = next(iter(SyntheticBatches(data)))
    pair = small['left'].float(), small['right'].float()
    network = PSMNet(PSMNetConfig(max_disparity_px=16, blocks=(1, 1, 1, 1))).train()
    objective = StackedSupervised(network, LossWeights())
    scores = []
    for classifier in (network.classif1, network.classif2, network.classif3):
        classifier.register_forward_hook(lambda module, inputs, output: scores.append(output))
    outputs = network(*pair)
    total, parts = objective(outputs, small, (0, 0), 0.0)
    each = []
    for count in (1, 2, 3):
        made = outputs_of(sum(scores[:count]), outputs.disparity_px.shape)
        each.append(Supervised(network, LossWeights())(made, small, (0, 0), 0.0)[0].item())
    # The last is what the network itself returns.
    assert torch.allclose(made.disparity_px, outputs.disparity_px, atol=1e-4)
    assert torch.allclose(made.logits, outputs.logits, atol=1e-5)
    assert total.item() == pytest.approx(0.5 * each[0] + 0.7 * each[1] + each[2], rel=1e-5)
    assert set(parts) == {'distribution', 'full'}
    # What a judged pair leaves behind does not mix with the next step.
    network.eval()(*pair)
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    found = []
    for _ in range(8):
        loss, _ = objective(network(*pair), small, (0, 0), 0.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    assert [n for n, p in network.named_parameters() if p.grad is None] == []
    assert found[-1] < 0.8 * found[0]


def test_psmnet_is_trained_by_the_same_loop(tmp_path):
    config = TrainConfig(
        out=tmp_path,
        network={'member': 'psmnet', 'max_disparity_px': 16, 'blocks': (1, 1, 1, 1)},
        data=dataclasses.replace(DATA, sizes=((32, 64),), max_disparity_px=14),
        steps=2,
        warmup_steps=1,
        average_decay=0.5,
        precision='fp32',
        device='cpu',
        workers=0,
        validate_every=2,
        validation_count=1,
        threads=1,
    )
    trainer = Trainer(config)
    before = trainer.network.classif1[2].weight.clone()
    assert 0 < trainer.run()['val/epe_px'] < 16
    assert isinstance(trainer.objective, StackedSupervised)
    assert not torch.equal(trainer.network.classif1[2].weight, before)
    assert isinstance(checkpoint.load(tmp_path / 'best.pt'), PSMNet)


def test_without_a_teacher_the_truth_teaches(tmp_path):
    config = TrainConfig(out=tmp_path, network=NETWORK, device='cpu')
    assert isinstance(Trainer(config).objective, Supervised)
    assert np.isinf(Trainer(config).best)


TWO_STEPS = [
    '--steps', '2', '--validate-every', '2', '--batch-size', '2', '--sizes', '32x96',
    '--workers', '0', '--fp32', '--device', 'cpu', '--threads', '1',
]  # fmt: skip


def test_command(tmp_path, teacher_file, capsys):
    root = layouts.pairs(tmp_path / 'data')
    # The last pair is held out: one with truth to learn from.
    for path in root.glob('wall_*'):
        shutil.copy(path, root / path.name.replace('wall', 'again'))
    arguments = [
        'distill', '--teacher', str(teacher_file), '--out', str(tmp_path / 'run'),
        '--data', f'folder:{root}', *TWO_STEPS, '--supervision', 'both', '--trust', '50',
    ]  # fmt: skip
    assert main([*arguments, '--init', str(teacher_file)]) == 0
    assert 'best.pt: val/epe_px' in capsys.readouterr().out
    meta = checkpoint.read(tmp_path / 'run' / 'best.pt')['meta']
    assert meta['before'] == ['teacher: 0 steps, unknown data']
    assert meta['teacher'] == 'dtpnet (both, l1, within 50 px of the truth)'


def test_the_shipped_model_is_adapted_to_the_camera_of_a_bag(tmp_path, monkeypatch, capsys):
    """A bag and any teacher's ONNX file are all that has to be named."""
    pytest.importorskip('onnxruntime')
    pytest.importorskip('rosbags.rosbag2', reason='writes the bag of this test')
    from robot_bag import write_bag

    spec = write_bag(tmp_path / 'robot')
    teacher = models.resolve('dtpnet-small', ('.onnx',))
    shipped = checkpoint.read(models.resolve('dtpnet', ('.pt',)))
    monkeypatch.chdir(tmp_path)
    assert main(['distill', '--data', spec, '--teacher', str(teacher), *TWO_STEPS]) == 0
    run = 'runs/distill-robot-by-dtpnet-small'
    assert f'{run}/best.pt: val/epe_px' in capsys.readouterr().out
    adapted = checkpoint.read(tmp_path / run / 'best.pt')
    # A file of before has fewer settings than there are now.
    assert adapted['config'] == {**adapted['config'], **shipped['config']}
    assert adapted['widths'] == shipped['widths']
    assert adapted['meta']['teacher'].endswith('(teacher, l1)')
    assert not all(
        torch.equal(value, adapted['state_dict'][name])
        for name, value in shipped['state_dict'].items()
    )


class Says:
    """A teacher that says one thing."""

    name, fingerprint = 'parrot', 'one'

    def __init__(self, disparity_px, sure):
        self.disparity_px, self.sure = disparity_px, sure

    def __call__(self, left, right, grid):
        shape = left[:, 0].shape
        sure = torch.full(shape, self.sure)
        return Taught(torch.full(shape, self.disparity_px), sure, None)

    def to(self, device):
        pass


@pytest.mark.parametrize(
    ('teacher', 'message'),
    [
        (Says(7.0, False), 'teacher parrot is sure of no pixel of synthetic'),
        (Says(7.0, True), 'teacher parrot says 7.00 px everywhere in synthetic'),
    ],
)
def test_a_teacher_that_teaches_nothing_is_named(tmp_path, monkeypatch, teacher, message):
    monkeypatch.setattr(
        'dtp_stereo_ros.training.learning.trainer.open_teacher', lambda spec: teacher
    )
    config = TrainConfig(
        out=tmp_path,
        network=NETWORK,
        distil=DistilConfig(teacher='sgbm'),
        data=GeneratorConfig(sizes=((32, 64),), batch_size=2, max_disparity_px=60, pool=8),
        device='cpu',
        precision='fp32',
        workers=0,
        steps=2,
        validation_count=1,
    )
    with pytest.raises(ConfigError, match=message):
        Trainer(config).run()


@pytest.mark.parametrize(
    ('wrong', 'message'),
    [
        ({'distil': DistilConfig(teacher='absent.pt')}, 'absent.pt: no such model file'),
        ({'distil': DistilConfig(teacher='parrot')}, "no model 'parrot'"),
        ({'distil': DistilConfig(teacher='parrot:x')}, "teacher 'parrot:x'"),
        ({'init': Path('gone.pt')}, 'gone.pt: cannot be read'),
    ],
)
def test_a_wrong_file_is_told_before_the_data_is_read(tmp_path, monkeypatch, wrong, message):
    def reading(*arguments):
        raise AssertionError('the data were read')

    monkeypatch.setattr(trainer.Sources, 'open', reading)
    with pytest.raises(StereoError, match=message):
        Trainer(TrainConfig(out=tmp_path, network=NETWORK, device='cpu', **wrong))


def test_a_cache_of_generated_pairs_is_refused(tmp_path, capsys, teacher_file):
    call = ['distill', '--data', 'synthetic', '--teacher', str(teacher_file), '--cache']
    assert main([*call, *TWO_STEPS, '--out', str(tmp_path / 'run')]) == 2
    assert 'all of these are generated; leave the cache out' in capsys.readouterr().err


def test_features_and_a_cache_exclude_each_other():
    with pytest.raises(ConfigError, match='features are not kept in a cache'):
        DistilConfig(teacher='dtpnet.pt', features=1.0, cache=True)


def test_two_processes_learn_the_same_features(tmp_path, teacher_file, two_processes):
    """What is trained beside the student has one gradient in all of them, as the student has."""
    script = tmp_path / 'both.py'
    script.write_text(
        f"""
import pathlib
import torch
from dtp_stereo_ros.training.settings import DistilConfig, GeneratorConfig, TrainConfig
from dtp_stereo_ros.training.learning import trainer
from dtp_stereo_ros.training.learning.device import leave_group
from dtp_stereo_ros.training.learning.trainer import Trainer

trainer._SPREAD_PX = 0.0
trainer = Trainer(TrainConfig(
    out=pathlib.Path({str(tmp_path / 'out')!r}),
    network={NETWORK!r},
    distil=DistilConfig(teacher={str(teacher_file)!r}, features=1.0),
    data=GeneratorConfig(sizes=((64, 128),), batch_size=2, max_disparity_px=60, pool=8),
    steps=3, validation_count=1, workers=0, threads=1, device='cpu', precision='fp32',
))
before = trainer.learned.weight.detach().clone()
trainer.run()
weights = trainer.accelerator.gather(trainer.learned.weight.detach()[None])
if trainer.accelerator.is_main_process:
    print(len(weights), torch.equal(weights[0], weights[1]), not torch.equal(before, weights[0]))
leave_group(trainer.accelerator)
"""
    )
    assert '2 True True' in two_processes(script)[0]
    last = torch.load(tmp_path / 'out' / 'last.pt', weights_only=True)
    assert last['learned'].keys() == {'weight', 'bias'}
