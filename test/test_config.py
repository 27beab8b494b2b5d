"""Every tunable is declared once and checked in one place."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from dtp_stereo_ros.backends import TABLE
from dtp_stereo_ros.config import (
    BACKENDS,
    NodeConfig,
    PipelineConfig,
    nearest_name,
    tunables,
    validate,
)
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


@pytest.mark.parametrize('cls', [PipelineConfig, NodeConfig])
def test_a_slider_of_rqt_reaches_both_ends_the_default_and_nothing_that_is_refused(
    cls: type,
) -> None:
    """rqt_reconfigure has a position for each hundredth of a decimal number's range."""
    config = cls()
    for name, spec in tunables(cls).items():
        default = getattr(config, name)
        if spec.minimum is None or spec.maximum is None:
            continue
        low, high = spec.slider or (spec.minimum, spec.maximum)
        assert spec.minimum <= low < high <= spec.maximum, name
        values = list(np.arange(low, high + 1, spec.step).astype(int))
        if isinstance(default, float):
            scale = 100 / (high - low)
            assert round(spec.step * scale) == 1, name  # of an arrow key
            values = [i / scale for i in range(round(low * scale), round(high * scale) + 1)]
            assert len(values) == 101, name
            assert max(abs(v - low - i * spec.step) for i, v in enumerate(values)) < 1e-9, name
        assert values[0] == pytest.approx(low) and values[-1] == pytest.approx(high), name
        assert min(abs(value - default) for value in values) < 1e-9, name
        for value in values:
            extra = {'max_depth': 1e5} if name == 'min_depth' else {}
            validate(dataclasses.replace(config, **{name: type(default)(value)}, **extra))


@pytest.mark.parametrize(
    ('wrong', 'meant'),
    [('speckel_size', 'speckle_size'), ('maxdepth', 'max_depth'), ('full_dp', ''), ('x', '')],
)
def test_nearest_name(wrong: str, meant: str) -> None:
    assert nearest_name(wrong) == meant


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'backend': 'foo'}, "backend is 'foo', choose one of auto, openvino"),
        ({'threads': 1.5}, 'threads is 1.5, it must be of type int'),
        ({'threads': True}, 'threads is True, it must be of type int'),
        ({'input_scale': math.nan}, 'input_scale is nan, it must be in 0.125 .. 2.0'),
        ({'model': 3}, 'model is 3, it must be of type str'),
        ({'max_depth': 0.1}, 'min_depth 0.2 m must be below max_depth 0.1 m'),
        ({'disparity_range': 8}, 'disparity_range is 8 px, it must be in 16 .. 4096 px'),
        (
            {'correlation_window_size': 4},
            'correlation_window_size is 4 px, it must be odd; take 5',
        ),
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
        (['front'], r"cameras is \['front'\], it must be a list of strings"),
        (('front', 1), 'it must be a list of strings'),
        ('front', "cameras is 'front', it must be a list of strings"),
    ],
)
def test_wrong_cameras(names: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(NodeConfig(cameras=names))  # type: ignore[arg-type]


def test_whole_numbers_are_accepted_for_floats() -> None:
    validate(PipelineConfig(max_depth=10))


def test_backend_choices_are_the_table() -> None:
    assert set(BACKENDS) == {'auto', *TABLE}


@pytest.mark.parametrize(
    ('size_m', 'refused'), [(0.0, False), (1e-6, True), (9e-4, True), (1e-3, False)]
)
def test_voxels_that_no_cloud_can_have_are_refused(size_m: float, refused: bool) -> None:
    config = NodeConfig(voxel_size=size_m)
    if not refused:
        validate(config)
        return
    with pytest.raises(
        ConfigError, match=rf'voxel_size is {size_m:g} m, it must be 0 or at least'
    ):
        validate(config)
