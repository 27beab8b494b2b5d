"""Teachers: every kind answers, and what they say is over the student's bins."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dtp_stereo_ros import models
from dtp_stereo_ros.backends.trial import pair_of
from dtp_stereo_ros.errors import ConfigError, InputError, ModelError
from dtp_stereo_ros.evaluation.datasets import Scene
from dtp_stereo_ros.image_io import write_png
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.bimodal import BimodalConfig, DTPNetBimodal
from dtp_stereo_ros.network.changed import with_choice
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig
from dtp_stereo_ros.training.data.disk_pairs import PairBatches, load_pair
from dtp_stereo_ros.training.data.teacher_cache import TaughtCache, from_batch
from dtp_stereo_ros.training.settings import GeneratorConfig
from dtp_stereo_ros.training.teachers import (
    BinGrid,
    NetworkTeacher,
    onto_bins,
    open_teacher,
    two_hot_logits,
)

REPOSITORY = Path(__file__).parents[2]
LIGHT = LightConfig(64, 8, 16, 24, 32, 32, 1, 8, 16, (1, 1, 1, 1))
GRID = BinGrid(16, 4.0)


def means(logits, grid):
    bins = torch.arange(grid.bins) * grid.bin_px
    return (logits.softmax(dim=1) * bins.view(1, -1, 1, 1)).sum(dim=1)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), bin_px=st.sampled_from([1.0, 2.0]))
def test_gathering_finer_bins_keeps_the_mean(seed, bin_px):
    generator = torch.Generator().manual_seed(seed)
    fine = BinGrid(int(60 / bin_px) + 1, bin_px)
    logits = torch.randn(1, fine.bins, 2, 3, generator=generator) * 3
    gathered = onto_bins(logits, bin_px, GRID)
    assert gathered.shape == (1, 16, 2, 3)
    torch.testing.assert_close(gathered.exp().sum(dim=1), torch.ones(1, 2, 3), atol=1e-3, rtol=0)
    torch.testing.assert_close(means(gathered, GRID), means(logits, fine), atol=0.02, rtol=0)


def test_coarser_bins_are_interpolated_and_far_ones_fall_on_the_last():
    logits = torch.zeros(1, 4, 1, 1)
    logits[0, 2] = 8.0  # a peak at 8 px
    finer = onto_bins(logits, 4.0, BinGrid(16, 1.0))
    assert finer[0, :, 0, 0].argmax() == 8
    assert finer[0, 6, 0, 0] - finer[0, 4, 0, 0] == pytest.approx(4.0)
    beyond = onto_bins(torch.eye(32)[30].view(1, 32, 1, 1) * 50, 2.0, BinGrid(4, 4.0))
    assert beyond[0, :, 0, 0].argmax() == 3


@pytest.mark.parametrize('bin_px', [1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize('peak_px', [8, 56, 64, 120])
def test_what_lies_beyond_the_students_range_falls_on_its_last_bin(bin_px, peak_px):
    """Teachers with finer, the same and coarser bins up to 128 px; the student's end at 60."""
    logits = torch.zeros(1, int(128 / bin_px), 1, 1)
    logits[0, int(peak_px / bin_px)] = 20.0
    taught = onto_bins(logits, bin_px, GRID)[0, :, 0, 0].exp()
    assert taught.sum() == pytest.approx(1.0, abs=1e-3)
    expected = min(peak_px, 60) / GRID.bin_px
    around = taught[int(expected) - 1 : int(expected) + 2]
    assert taught.argmax() == expected
    assert around.sum() == pytest.approx(1.0, abs=2e-3)


def test_an_unsure_teacher_gives_the_last_bin_its_share():
    for bin_px in (1.0, 2.0, 4.0):
        flat = torch.zeros(1, int(128 / bin_px), 1, 1)
        taught = onto_bins(flat, bin_px, GRID)[0, :, 0, 0].exp()
        assert taught[-1] == pytest.approx(68 / 128, abs=0.03)
        torch.testing.assert_close(taught[1:-1], taught[1].expand(14), atol=1e-4, rtol=0)


def test_the_same_bins_stay():
    logits = torch.randn(1, 16, 2, 2)
    assert torch.equal(onto_bins(logits, 4.0, GRID), logits.log_softmax(dim=1))


@settings(max_examples=30, deadline=None)
@given(disparity=st.floats(0, 60, width=32))
def test_two_hot_distributions_have_the_disparity_as_mean(disparity):
    logits = two_hot_logits(torch.full((1, 1, 1), disparity), GRID)
    assert means(logits, GRID).item() == pytest.approx(disparity, abs=0.01)
    assert (logits.exp() > 0.001).sum() <= 2


@pytest.mark.parametrize(
    ('network', 'bins', 'bin_px'),
    [
        (DTPNetLight(LIGHT), 16, 4.0),
        (DTPNetPaper(PaperConfig(3, 64)), 64, 1.0),
        (PSMNet(PSMNetConfig(32, (1, 1, 1, 1))), 32, 1.0),
        (DTPNetBimodal(BimodalConfig(64, 8, 16, 24, 32, 32, 8, 16, (1, 1, 1, 1))), 16, 4.0),
    ],
    ids=['light', 'paper', 'psmnet', 'bimodal'],
)
def test_networks_teach_over_any_bins(network, bins, bin_px):
    assert BinGrid.of(network) == BinGrid(bins, bin_px)
    pair = torch.rand(2, 2, 3, 32, 64) * 255
    taught = NetworkTeacher(network, 'x')(*pair, GRID)
    assert taught.disparity_px.shape == taught.valid.shape == (2, 32, 64)
    assert taught.valid.all()
    assert taught.logits.shape == (2, 16, 8, 16)
    assert (taught.features is None) == isinstance(network, PSMNet)
    with torch.no_grad():
        assert torch.equal(taught.disparity_px, network.eval()(*pair)[0][:, 0])


def test_bins_of_a_choice_between_two_sizes_are_as_wide_as_those_of_its_network():
    """It searches twice the range of the pairs that it is trained on."""
    network = with_choice(checkpoint.load(models.resolve('dtpnet', ('.pt',))), 8, 1.0)
    assert network.max_disparity_px == 2 * 4 * network.bins
    assert BinGrid.of(network) == BinGrid(network.bins, 4.0)
    assert NetworkTeacher(network, 'x').range_px == 4 * network.bins


@pytest.mark.parametrize(
    'path',
    ['checkpoints/large.pt', 'checkpoints/bimodal.pt', 'resource/models/dtpnet.pt'],
)
def test_the_likeliest_bin_of_a_trained_teacher_is_near_the_truth(path):
    pair = pair_of((192, 320))
    grid = BinGrid(48, 4.0)
    left, right = torch.from_numpy(pair.left), torch.from_numpy(pair.right)
    taught = open_teacher(str(REPOSITORY / path))(left, right, grid)
    likeliest_px = taught.logits[0].argmax(dim=0).numpy() * grid.bin_px
    off = np.abs(likeliest_px - pair.truth_px[::4, ::4])[pair.judged[::4, ::4]]
    assert np.percentile(off, 95) <= 4


def test_files_are_known_by_their_endings(tmp_path, make_onnx):
    path = tmp_path / 'big.pt'
    checkpoint.save(path, DTPNetLight(LIGHT), {})
    pair = torch.full((2, 1, 3, 32, 64), 100.0)
    assert open_teacher(str(path))(*pair, GRID).logits is not None
    assert open_teacher(f'family:{path}').fingerprint == open_teacher(str(path)).fingerprint
    taught = open_teacher(str(make_onnx()))(*pair, GRID)
    torch.testing.assert_close(taught.disparity_px, torch.full((1, 32, 64), 25.0))
    assert taught.logits is None


def test_settings_of_the_ports_follow_an_onnx_teacher(make_onnx):
    path = make_onnx(metadata={}, outputs=('one', 'two'))
    with pytest.raises(ModelError, match='name the disparity with the setting model_output'):
        open_teacher(str(path))
    pair = torch.full((2, 1, 3, 32, 64), 100.0)
    first = open_teacher(f'{path},model_output=one')
    assert float(first(*pair, GRID).disparity_px.mean()) == pytest.approx(25, rel=0.01)
    told = f'onnx:{path},model_output=one,model_output_scale=2,model_inputs=left,right'
    twice = open_teacher(told)
    assert float(twice(*pair, GRID).disparity_px.mean()) == pytest.approx(50, rel=0.01)
    assert twice.fingerprint != first.fingerprint
    for wrong, message in (
        ('model_output_scale=x', "is 'x', no number"),
        ('model_channels=grey', 'choose one of rgb, bgr'),
        ('model_output=three', "model_output is 'three'"),
    ):
        with pytest.raises(ConfigError, match=message):
            open_teacher(f'{path},{wrong}')


def test_a_shipped_network_is_a_teacher_by_its_name():
    pair = torch.rand(2, 1, 3, 64, 128, generator=torch.Generator().manual_seed(1)) * 255
    by_name, by_kind = open_teacher('dtpnet-small'), open_teacher('family:dtpnet-small')
    assert by_name.fingerprint == by_kind.fingerprint
    torch.testing.assert_close(by_name(*pair, GRID).logits, by_kind(*pair, GRID).logits)


@pytest.mark.parametrize('size', [(128, 256), (96, 160)])
def test_a_network_that_enlarges_its_pairs_teaches_what_its_export_does(size):
    """Disparities alone, whatever the size of a crop; its bins are of larger pairs."""
    pair = pair_of(size)
    left, right = torch.from_numpy(pair.left), torch.from_numpy(pair.right)
    taught = open_teacher('dtpnet-large')(left, right, GRID)
    exported = open_teacher('onnx:dtpnet-large')(left, right, GRID)
    assert taught.logits is None
    assert taught.features is None
    assert taught.disparity_px.shape == (1, *size)
    assert (taught.disparity_px - exported.disparity_px).abs().quantile(0.99) < 0.01
    off = np.abs(taught.disparity_px[0].numpy() - pair.truth_px)[pair.judged]
    assert np.median(off) < 0.5


@given(st.integers(1, 6), st.integers(1, 10), st.integers(0, 5))
@settings(max_examples=10, deadline=None)
def test_a_pair_that_a_teacher_cannot_take_is_padded(rows, columns, seed):
    network = NetworkTeacher(DTPNetLight(LIGHT).eval(), 'x')
    generator = torch.Generator().manual_seed(seed)
    pair = torch.rand(2, 1, 3, 16 * rows, 16 * columns, generator=generator) * 255
    taught = network(*pair, GRID)
    assert taught.disparity_px.shape == (1, 16 * rows, 16 * columns)
    assert taught.logits.shape == (1, GRID.bins, 4 * rows, 4 * columns)
    assert taught.features.shape[2:] == (4 * rows, 4 * columns)
    top, right = -16 * rows % 32, -16 * columns % 32
    padded = torch.nn.functional.pad(pair, (0, right, top, 0, 0, 0), mode='replicate')
    whole = network(*padded, GRID)
    torch.testing.assert_close(taught.disparity_px, whole.disparity_px[:, top:, : 16 * columns])
    torch.testing.assert_close(taught.logits, whole.logits[:, :, top // 4 :, : 4 * columns])


@pytest.mark.parametrize(
    ('spec', 'error', 'message'),
    [
        ('dog', ModelError, "no model 'dog' with ending .pt"),
        ('dog-v1.2', ModelError, "no model 'dog-v1.2' with ending .pt"),
        ('a/dog.bin', ConfigError, "teacher 'a/dog.bin': give the name of a shipped model"),
        ('dog:x.pth', ConfigError, 'one of family, onnx, psmnet'),
        ('none.pt', ModelError, 'none.pt: no such model file'),
        ('none.onnx', ModelError, 'none.onnx: no such model file'),
        ('psmnet:none.tar', ModelError, 'none.tar do not exist'),
        ('sgbm:x', ConfigError, "takes no file, not 'x'"),
    ],
)
def test_unusable_teachers_are_named(spec, error, message):
    with pytest.raises(error, match=message):
        open_teacher(spec)


def test_sgbm_is_sparse_and_right_where_it_is_sure(make_frame):
    frame = make_frame(9, size=(64, 320))
    left, right = (
        torch.from_numpy(i).permute(2, 0, 1)[None].float() for i in (frame.left, frame.right)
    )
    taught = open_teacher('sgbm')(left, right, GRID)
    assert 0.5 < taught.valid.float().mean() < 1
    assert taught.valid[..., :9].float().mean() < 0.2  # nothing there has a match
    assert (taught.disparity_px[taught.valid] - 9).abs().median() < 0.1
    assert (taught.disparity_px[~taught.valid] == 0).all()


@pytest.fixture
def scene(tmp_path, make_frame):
    """Of a size that is no multiple of anything."""
    frame = make_frame(6, size=(75, 131))
    write_png(tmp_path / 'a_left.png', frame.left)
    write_png(tmp_path / 'a_right.png', frame.right)
    return Scene('a', tmp_path / 'a_left.png', tmp_path / 'a_right.png')


def test_answers_are_asked_once_and_kept_exactly(tmp_path, scene):
    torch.manual_seed(0)
    teacher = NetworkTeacher(DTPNetLight(LIGHT), 'one')
    cache = TaughtCache.of(tmp_path / 'kept', teacher, GRID)
    assert cache.fill([scene], teacher, GRID) == 1
    assert cache.fill([scene], teacher, GRID) == 0
    other = TaughtCache.of(tmp_path / 'kept', NetworkTeacher(DTPNetLight(LIGHT), 'two'), GRID)
    assert other.path(scene, scene.load_frame()) != cache.path(scene, scene.load_frame())
    taught = load_pair(scene, cache).taught
    assert taught['taught_disparity'].shape == (75, 131)
    assert taught['taught_logits'].shape == (16, 18, 32)
    frame = scene.load_frame()
    left, right = (
        torch.from_numpy(np.pad(i, ((0, 53), (0, 61), (0, 0)), mode='edge'))
        .permute(2, 0, 1)[None]
        .float()
        for i in (frame.left, frame.right)
    )
    asked = teacher(left, right, GRID)
    np.testing.assert_allclose(
        taught['taught_disparity'], asked.disparity_px[0, :75, :131], atol=1e-4
    )
    np.testing.assert_allclose(
        taught['taught_logits'], asked.logits[0, :, :18, :32], atol=0.02, rtol=0.01
    )


@pytest.mark.parametrize('kept', [0, 4, 200, -30])
def test_an_answer_that_is_cut_short_is_one_line(tmp_path, scene, kept):
    teacher = NetworkTeacher(DTPNetLight(LIGHT), 'one')
    cache = TaughtCache.of(tmp_path / 'kept', teacher, GRID)
    cache.fill([scene], teacher, GRID)
    path = cache.path(scene, scene.load_frame())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r'\.npz: no teacher output .*; delete it and rerun'):
        load_pair(scene, cache)


@pytest.mark.parametrize('size', [(32, 64), (96, 160)])
def test_crops_carry_the_answers_to_the_same_pixels(tmp_path, scene, size):
    """Checked by an answer that is the picture itself; the larger crop goes over the border."""

    class Mirror:
        name = fingerprint = 'mirror'

        def __call__(self, left, right, grid):
            grey = left[:, 0]
            logits = torch.nn.functional.avg_pool2d(left[:, :1], 4).expand(-1, grid.bins, -1, -1)
            from dtp_stereo_ros.training.teachers import Taught

            return Taught(grey, grey >= 0, logits)

    teacher = Mirror()
    cache = TaughtCache.of(tmp_path / 'kept', teacher, GRID)
    cache.fill([scene], teacher, GRID)
    config = GeneratorConfig(sizes=(size,), batch_size=4)
    batch = next(iter(PairBatches([scene], config, cache=cache)))
    taught = from_batch(batch)
    seen = batch['clean_left'][:, 0].float()
    assert taught.valid.float().mean() > (0.5 if size[0] > 75 else 0.99)
    assert torch.equal(taught.disparity_px[taught.valid], seen[taught.valid])
    quarter = torch.nn.functional.avg_pool2d(seen[:, None], 4)[:, 0]
    sure = torch.nn.functional.avg_pool2d(taught.valid[:, None].float(), 4)[:, 0] == 1
    if size[0] < 75:  # upside down, a height that is no multiple of 4 would move the grid
        torch.testing.assert_close(taught.logits[:, 0][sure], quarter[sure], atol=0.1, rtol=0.01)
