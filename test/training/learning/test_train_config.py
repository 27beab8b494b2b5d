"""Identity of a run: what it depends on, and what of it may change."""

import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.training.learning.train_config import difference, lesson
from dtp_stereo_ros.training.settings import DistilConfig, TrainConfig


def taught_by(teacher, out):
    return lesson(TrainConfig(out=out, distil=DistilConfig(teacher=teacher)))


@pytest.mark.parametrize(
    ('spec', 'name'),
    [
        ('{home}/x.pt', 'x.pt'),
        ('family:{home}/x.pt', 'x.pt'),
        ('~/x.pt', 'x.pt'),
        ('family:~/x.pt', 'x.pt'),
        ('psmnet:{home}/x.tar', 'x.tar'),
        ('{home}/x.onnx', 'x.onnx'),
        ('{home}/x.onnx,model_input_range=0..1,model_output=disp', 'x.onnx'),
        ('onnx:~/x.onnx,model_channels=bgr', 'x.onnx'),
        ('mine', 'mine.pt'),
        ('family:mine', 'mine.pt'),
        ('onnx:mine', 'mine.onnx'),
    ],
)
def test_a_teacher_whose_file_changed_is_another_one(tmp_path, monkeypatch, spec, name):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv(models.MODEL_PATH_VARIABLE, str(tmp_path))
    spec = spec.format(home=tmp_path)
    (tmp_path / name).write_bytes(b'one')
    before = taught_by(spec, tmp_path)
    assert difference(before, taught_by(spec, tmp_path)) == ''
    (tmp_path / name).write_bytes(b'two')
    now = taught_by(spec, tmp_path)
    assert difference(before, now).startswith('distil.teacher')
    # A run of an earlier version told the file of none but plain paths.
    if 'teacher_sha256' in before['distil']:
        del before['distil']['teacher_sha256']
        assert difference(before, now) == ''


@pytest.mark.parametrize('spec', ['', 'sgbm', 'family:none.pt', 'psmnet:none.tar'])
def test_a_teacher_without_a_file_is_known_by_its_name(tmp_path, spec):
    assert taught_by(spec, tmp_path)['distil']['teacher'] == spec
    assert 'teacher_sha256' not in taught_by(spec, tmp_path)['distil']
