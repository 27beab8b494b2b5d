"""Recipes are read strictly: what is wrong is named by its place."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.settings_file import parse, plain, with_changes


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    sizes: tuple[tuple[int, int], ...] = ((1, 2),)


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    steps: int = 3
    kind: Literal['l1', 'kl'] = 'l1'
    path: Path | None = None
    network: str | dict[str, Any] = 'light'
    on: bool = False


def test_values_become_what_they_mean():
    found = parse(
        Outer,
        {
            'name': 'a',
            'inner': {'rate': '1e-3', 'sizes': [[64, 128], [32, 32]]},
            'path': 'x/y',
            'network': {'member': 'light', 'depths': [1, 2]},
            'on': True,
        },
    )
    assert found == Outer(
        'a', Inner(0.001, ((64, 128), (32, 32))), 3, 'l1', Path('x/y'),
        {'member': 'light', 'depths': [1, 2]}, True,
    )  # fmt: skip
    assert parse(Outer, plain(found)) == found
    assert parse(Inner, {'rate': 1}).rate == 1.0


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({}, 'name: is missing'),
        ({'name': 'a', 'stepps': 3}, 'stepps: unknown setting; there are name, inner, steps'),
        ({'name': 'a', 'steps': '3'}, "steps: expected a whole number, got '3'"),
        ({'name': 'a', 'steps': True}, 'steps: expected a whole number, got True'),
        ({'name': 'a', 'steps': 2.5}, r'steps: expected a whole number, got 2\.5'),
        ({'name': 5}, 'name: expected text, got 5'),
        ({'name': 'a', 'on': 'no'}, "on: expected true or false, got 'no'"),
        ({'name': 'a', 'kind': 'l3'}, "kind: 'l3' is none of l1, kl"),
        ({'name': 'a', 'inner': 4}, 'inner: expected settings, got 4'),
        ({'name': 'a', 'inner': {'rate': 'fast'}}, "inner.rate: expected a number, got 'fast'"),
        ({'name': 'a', 'inner': {'sizes': [[1, 2, 3]]}}, r'sizes\[0\]: expected 2 values, got 3'),
        ({'name': 'a', 'inner': {'sizes': 7}}, r'inner\.sizes: expected a list, got 7'),
        ([1], r'recipe: expected settings, got \[1\]'),
    ],
)
def test_what_is_wrong_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        parse(Outer, values)


def test_changes_by_dotted_names():
    values = {'name': 'a', 'inner': {'rate': 1.0}}
    changed = with_changes(values, {'inner.rate': 2.0, 'steps': 5, 'new.deep.er': 1})
    assert changed == {
        'name': 'a', 'inner': {'rate': 2.0}, 'steps': 5, 'new': {'deep': {'er': 1}},
    }  # fmt: skip
    assert values['inner'] == {'rate': 1.0}
    with pytest.raises(ConfigError, match='name has no settings'):
        with_changes(values, {'name.x': 1})
