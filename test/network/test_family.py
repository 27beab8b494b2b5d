"""Networks of any settings: built, or refused in one line."""

from __future__ import annotations

import re

import pytest
import torch

from dtp_stereo_ros.errors import ModelError
from dtp_stereo_ros.network.family import build, describe, try_out

SIZE = (64, 128)


@pytest.mark.parametrize('member', ['light', 'paper', 'bimodal'])
def test_usual_settings_work_and_are_described(member: str) -> None:
    network = build({'member': member})
    weights = [value.clone() for value in network.state_dict().values()]
    try_out(network, SIZE)
    assert network.training
    kept = zip(weights, network.state_dict().values(), strict=True)
    assert all(torch.equal(before, after) for before, after in kept)
    assert build(describe(network)).config == network.config


@pytest.mark.filterwarnings('ignore:Initializing zero-element tensors')
@pytest.mark.parametrize(
    ('member', 'settings'),
    [
        ('light', {'stem': 0}),
        ('light', {'depths': [1]}),
        ('light', {'depths': 2}),
        ('light', {'heads': 0}),
        ('light', {'max_disparity_px': 2}),
        ('light', {'volume': [16, 16]}),
        ('light', {'upsampling': 3}),
        ('light', {'magnification': 0}),
        ('psmnet', {'max_disparity_px': 10}),
        ('bimodal', {'detail': 0, 'fine': 0}),
        ('paper', {'setting': 4}),
    ],
)
def test_impossible_settings_are_refused_in_one_line(member: str, settings: dict) -> None:
    with pytest.raises(ModelError, match='network') as caught:
        try_out(build({'member': member, **settings}), SIZE)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize(
    ('member', 'settings'),
    [
        ('light', {'volume': '48'}),
        ('light', {'volume': None}),
        ('light', {'volume': 48.5}),
        ('light', {'volume': True}),
        ('light', {'volume': [48]}),
        ('light', {'depths': [1, 1, 1, 1.5]}),
        ('light', {'depths': ['a', 1, 1, 1]}),
        ('light', {'depths': 3}),
        ('light', {'max_disparity_px': 192.0}),
        ('light', {'magnification': 'x'}),
        ('light', {'magnification': float('nan')}),
        ('bimodal', {'max_disparity_px': 190}),
        ('paper', {'max_disparity_px': 190}),
        ('psmnet', {'max_disparity_px': 100}),
    ],
)
def test_a_setting_of_another_kind_is_named(member: str, settings: dict) -> None:
    ((name, value),) = settings.items()
    seen = tuple(value) if isinstance(value, list) else value
    shown = f'network {member}: {name} is {seen!r}, '
    with pytest.raises(ModelError, match=f'^{re.escape(shown)}(it takes|no multiple|not 0)'):
        build({'member': member, **settings})


@pytest.mark.parametrize('member', [None, 3, ['light'], {'light': 1}, 'heavy'])
def test_a_member_that_is_none_is_refused(member: object) -> None:
    with pytest.raises(ModelError, match='is unknown; choose light or bimodal'):
        build({'member': member})
