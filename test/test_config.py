"""Every tunable is declared once and checked in one place."""

from __future__ import annotations

import dataclasses
import math

import pytest

from dtp_stereo_ros.backends import TABLE
from dtp_stereo_ros.config import BACKENDS, NodeConfig, PipelineConfig, tunables, validate
from dtp_stereo_ros.errors import ConfigError


@pytest.mark.parametrize('cls', [PipelineConfig, NodeConfig])
def test_defaults_are_valid_and_described(cls: type) -> None:
    config = cls()
    validate(config)
    for name, spec in tunables(cls).items():
        assert spec.description.endswith('.'), name
        value = getattr(config, name)
        if not isinstance(value, (bool, str, tuple)):
            assert spec.minimum is not None, f'{name} has no range'
            assert spec.maximum is not None, f'{name} has no range'


@pytest.mark.parametrize('cls', [PipelineConfig, NodeConfig])
def test_both_ends_of_every_range_are_accepted_and_beyond_is_not(cls: type) -> None:
    for name, spec in tunables(cls).items():
        if spec.minimum is None or spec.maximum is None:
            continue
        kind = type(getattr(cls(), name))
        # min_depth < max_depth is a rule of its own.
        extra = {'max_depth': 1e5} if name == 'min_depth' else {}
        extra |= {'min_depth': 0.0} if name == 'max_depth' else {}
        for value in (spec.minimum, spec.maximum):
            validate(dataclasses.replace(cls(), **{name: kind(value)}, **extra))
        for value in (spec.minimum - 1, spec.maximum + 1):
            with pytest.raises(ConfigError, match=f'^{name} is .* it must be in'):
                validate(dataclasses.replace(cls(), **{name: kind(value)}, **extra))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'backend': 'foo'}, "backend is 'foo', choose one of auto, openvino"),
        ({'threads': 1.5}, 'threads is 1.5, it must be of type int'),
        ({'threads': True}, 'threads is True, it must be of type int'),
        ({'input_scale': math.nan}, 'input_scale is nan, it must be in 0.125 .. 1.0'),
        ({'model': 3}, 'model is 3, it must be of type str'),
        ({'max_depth': 0.1}, 'min_depth 0.2 m must be below max_depth 0.1 m'),
        ({'disparity_range': 8}, 'disparity_range is 8 px, it must be in 16 .. 512 px'),
    ],
)
def test_refusals_name_setting_value_and_mend(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(PipelineConfig(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize('names', [('',), ('front',), ('a', 'b2', 'c_d', 'E_'), ('x', 'X')])
def test_cameras(names: tuple[str, ...]) -> None:
    validate(NodeConfig(cameras=names))


@pytest.mark.parametrize(
    ('names', 'message'),
    [
        ((), 'cameras has 0 names, it must have 1 .. 16'),
        (tuple(f'c{i}' for i in range(17)), 'cameras has 17 names'),
        (('front', ''), "cameras: '' cannot be a part of a topic name; use letters"),
        (('front', 'rear', 'front'), "cameras: 'front' stands there twice"),
        *(((name,), 'cannot be') for name in ('1st', '_hidden', 'a/b', '~', 'ü', 'a b', 'a__b')),
        (['front'], r"cameras is \['front'\], it must be a list of texts"),
        (('front', 1), 'it must be a list of texts'),
        ('front', "cameras is 'front', it must be a list of texts"),
    ],
)
def test_wrong_cameras(names: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(NodeConfig(cameras=names))  # type: ignore[arg-type]


def test_whole_numbers_are_accepted_for_floats() -> None:
    validate(PipelineConfig(max_depth=10))


def test_backend_choices_are_the_table() -> None:
    assert set(BACKENDS) == {'auto', *TABLE}
