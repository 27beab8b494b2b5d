"""Export: the file says what it is, agrees with PyTorch, and is not written when it does not."""

import numpy as np
import pytest
import torch

from dtp_stereo_ros import models
from dtp_stereo_ros.cli import main
from dtp_stereo_ros.errors import InputError, ModelError
from dtp_stereo_ros.image_io import write_png
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.light import DTPNetLight, LightConfig
from dtp_stereo_ros.network.paper import DTPNetPaper, PaperConfig
from dtp_stereo_ros.network.psmnet import PSMNet, PSMNetConfig
from dtp_stereo_ros.parity import Parity
from dtp_stereo_ros.stereo import StereoFrame
from dtp_stereo_ros.training import export

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    left = np.kron(rng.integers(0, 255, (24, 50, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return StereoFrame(left, np.roll(left, -9, axis=1))


@pytest.fixture(params=['light', 'setting2'])
def source(request, tmp_path):
    torch.manual_seed(0)
    network = (
        DTPNetLight(LightConfig(max_disparity_px=64, stem=8, quarter=16))
        if request.param == 'light'
        else DTPNetPaper(PaperConfig(2, 64))
    )
    path = tmp_path / 'best.pt'
    checkpoint.save(path, network.eval(), {'steps': 12, 'command': 'dtp-stereo train | x'})
    return path


def test_export_writes_model_weights_and_card(source, frame, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    parity = export.export_model(source, out, 'mine', frame, '| scene | bad-3 |')
    assert parity.fits('fp32')
    assert sorted(p.name for p in out.iterdir()) == ['mine.md', 'mine.onnx', 'mine.pt']
    spec = models.onnx_spec(out / 'mine.onnx', assume=False)
    network = checkpoint.load(source)
    assert spec.name == 'mine'
    assert spec.max_disparity_px == 64
    assert spec.padding_multiple == network.padding_multiple
    card = (out / 'mine.md').read_text()
    assert models.sha256(out / 'mine.onnx') in card
    assert models.sha256(out / 'mine.pt') in card
    assert r'dtp-stereo train \| x' in card
    assert '| scene | bad-3 |' in card


def test_the_card_names_the_pair_of_the_comparison(source, frame, tmp_path, capsys):
    for side, image in (('l', frame.left), ('r', frame.right)):
        write_png(tmp_path / f'{side}|1.png', image)
    pair = [str(tmp_path / 'l|1.png'), str(tmp_path / 'r|1.png')]
    arguments = ['export', str(source), '-o', str(tmp_path / 'out'), '--name', 'x']
    assert main([*arguments, '--pair', *pair]) == 0
    card = (tmp_path / 'out' / 'x.md').read_text()
    assert r' on the pair l\|1.png, r\|1.png |' in card
    assert 'Motorcycle' not in card
    export.export_model(source, tmp_path, 'mine', frame)
    assert ' on the Motorcycle pair |' in (tmp_path / 'mine.md').read_text()


def test_what_is_no_report_is_refused(source, tmp_path, capsys):
    file = tmp_path / 'report.json'
    file.write_text('{"version": 2}')
    arguments = ['export', str(source), '-o', str(tmp_path / 'out'), '--name', 'x']
    assert main([*arguments, '--evaluation', str(file)]) == 2
    error = capsys.readouterr().err
    assert error.endswith(f'{file}: is no report.md of dtp-stereo eval\n')
    assert error.count('\n') == 1


def test_a_report_becomes_a_section_of_the_card(source, frame, tmp_path):
    report = '# Evaluation\n\n`command`\n\n| scene |\n\n![Best and worst](extremes.jpg)\n'
    export.export_model(source, tmp_path, 'mine', frame, report)
    card = (tmp_path / 'mine.md').read_text()
    assert card.endswith('\n## Evaluation\n\n`command`\n\n| scene |\n')


@pytest.mark.parametrize('source', ['light'], indirect=True)
def test_no_other_checkpoint_is_overwritten(source, frame, tmp_path):
    last = tmp_path / 'last.pt'
    last.write_bytes(b'to go on from')
    with pytest.raises(InputError, match=r'last\.pt: is no earlier export; give another'):
        export.export_model(source, tmp_path, 'last', frame)
    assert last.read_bytes() == b'to go on from'
    assert not (tmp_path / 'last.onnx').exists()
    # The checkpoint itself, and an export of before.
    for _ in range(2):
        export.export_model(source, tmp_path, 'best', frame)
        export.export_model(source, tmp_path, 'mine', frame)
    checkpoint.load(source)


@pytest.mark.parametrize('source', ['light'], indirect=True)
@pytest.mark.parametrize('ending', ['.onnx', '.pt', '.md'])
def test_no_model_or_page_of_somebody_else_is_overwritten(source, frame, tmp_path, ending):
    path = tmp_path / f'yolo{ending}'
    path.write_bytes(b'# notes on yolo\n')
    with pytest.raises(InputError, match=rf'yolo\{ending}: is no earlier export; give another'):
        export.export_model(source, tmp_path, 'yolo', frame)
    assert path.read_bytes() == b'# notes on yolo\n'
    assert sorted(found.name for found in tmp_path.iterdir()) == ['best.pt', path.name]


@pytest.mark.parametrize('source', ['light'], indirect=True)
@pytest.mark.parametrize('ending', ['.onnx', '.pt', '.md'])
def test_a_folder_in_place_of_a_file_is_named(source, frame, tmp_path, ending):
    (tmp_path / f'x{ending}').mkdir()
    with pytest.raises(InputError, match=rf'x\{ending}: is a folder; give another --name'):
        export.export_model(source, tmp_path, 'x', frame)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['best.pt', f'x{ending}']


def test_psmnet_has_no_onnx_form(frame, tmp_path):
    """Its graph would run on images of the size of its pair alone."""
    source = tmp_path / 'best.pt'
    checkpoint.save(source, PSMNet(PSMNetConfig(16, (1, 1, 1, 1))).eval(), {})
    with pytest.raises(ModelError, match=r'PSMNet pools .* run the \.pt with backend torch$'):
        export.export_model(source, tmp_path, 'x', frame)
    assert [path.name for path in tmp_path.iterdir()] == ['best.pt']


@pytest.mark.parametrize('name', ['dtpnet', 'dtpnet-small'])
def test_shipped_files_belong_together(name):
    """Card, weights and ONNX file are of one export, of a model that is distilled and pruned."""
    exported, weights = (models.resolve(name, (suffix,)) for suffix in ('.onnx', '.pt'))
    card = weights.with_suffix('.md').read_text()
    assert f'`{name}.onnx` sha256 | `{models.sha256(exported)}`' in card
    assert f'`{name}.pt` sha256 | `{models.sha256(weights)}`' in card
    meta = checkpoint.read(weights)['meta']
    assert meta['pruned']
    assert 'teacher' in meta or any('distilled' in run for run in meta['before'])
    network = checkpoint.load(weights)
    left, right = np.random.default_rng(1).uniform(0, 255, (2, 1, 3, 96, 256)).astype(np.float32)
    assert export.compare(network, exported, left, right).p99_px < 1e-2


def test_any_size_agrees_with_pytorch(source, frame, tmp_path):
    target = tmp_path / 'any.onnx'
    export.export_onnx(source, target, frame)
    network = checkpoint.load(source)
    for size in ((32, 64), (96, 160), (64, 224)):
        left, right = np.random.default_rng(1).uniform(0, 255, (2, 1, 3, *size)).astype(np.float32)
        assert export.compare(network, target, left, right).median_px < 0.01


@pytest.mark.parametrize('name', ['dtpnet', 'dtpnet-small'])
def test_nothing_is_joined_for_a_convolution(name):
    """Runtimes copy what they join; weights are constants, normalisation is in them."""
    graph = onnx.load(models.resolve(name, ('.onnx',))).graph
    maker = {output: node.op_type for node in graph.node for output in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    assert 'BatchNormalization' not in maker.values()
    for node in graph.node:
        if node.op_type == 'Conv':
            image, *weights = node.input
            # Both views go through the stem together, and the cues are six planes.
            alone = 'stem' in node.name or node.name.startswith('/error/')
            assert maker.get(image) != 'Concat' or alone
            assert all(w in constants or maker[w] in ('Identity', 'Constant') for w in weights)


@pytest.mark.parametrize('parity', [Parity(0.02, 0.02), Parity(0.0, 0.2)])
def test_a_model_that_disagrees_is_not_written(source, frame, tmp_path, monkeypatch, parity):
    """In the median, or at its worst percentile alone."""
    monkeypatch.setattr(export, 'compare', lambda *a: parity)
    target = tmp_path / 'bad.onnx'
    with pytest.raises(
        ModelError, match=r'bad.onnx: differs from PyTorch: median .* fp32 may differ by 0\.01 px'
    ):
        export.export_onnx(source, target, frame)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['best.pt']
