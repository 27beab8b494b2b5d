"""The hint at an int8 form of the model."""

from __future__ import annotations

import pytest

from dtp_stereo_ros import models
from dtp_stereo_ros.health.faster_model import faster_model

TOLD = {
    'backend': 'auto chose openvino: dtpnet in fp32 on CPU',
    'model': 'dtpnet',
    'precision': 'fp32',
}
FLAGS = {'avx2', 'avx_vnni'}


@pytest.mark.parametrize('model', ['dtpnet', 'dtpnet-small'])
@pytest.mark.parametrize('flag', ['avx_vnni', 'avx512_vnni'])
def test_a_form_that_is_shipped_is_named_with_its_command(model: str, flag: str) -> None:
    told = {**TOLD, 'model': model}
    (found,) = faster_model(told, {flag}, models.names(('.onnx',)), '/front/depth_node')
    assert found.level == 'ok'
    assert found.text.endswith(f'try ros2 param set /front/depth_node model {model}-int8')


@pytest.mark.parametrize(
    ('changed', 'flags'),
    [
        ({'precision': 'bf16'}, FLAGS),
        ({'backend': 'onnx as asked'}, FLAGS),
        ({'model': 'dtpnet-int8'}, FLAGS),
        ({'model': 'dtpnet-large'}, FLAGS),
        ({'model': 'mine'}, FLAGS),
        ({}, {'avx2'}),
        ({}, {*FLAGS, 'avx512_bf16'}),
        ({}, {*FLAGS, 'amx_bf16'}),
    ],
)
def test_else_nothing_is_told(changed: dict[str, str], flags: set[str]) -> None:
    names = models.names(('.onnx',))
    assert faster_model({**TOLD, **changed}, flags, names, '/depth_node') == []
    assert faster_model({}, FLAGS, names, '/depth_node') == []
