"""The reference pages are those that the source code makes now."""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('rclpy')  # of the types of the topics and the publishers' QoS
pytest.importorskip('torch')  # of the settings of training

from dtp_stereo_ros.cli import COMMANDS
from dtp_stereo_ros.config import NodeConfig, PipelineConfig, Tunable, tunables
from dtp_stereo_ros.evaluation.columns import COLUMNS
from tools import reference
from tools.reference import commands, parameters, results, topics, training, troubleshooting
from tools.reference.__main__ import main

PACKAGE = Path(__file__).resolve().parents[2] / 'dtp_stereo_ros'


@pytest.mark.parametrize('name', reference.PAGES)
def test_page_is_made_from_the_source(name: str) -> None:
    assert reference.difference(name) == '', 'write it with: python -m tools.reference'


def test_check_shows_the_difference_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / 'page.md'
    page.write_text(before := 'By hand.\n<!-- a: begin -->\nold\n<!-- a: end -->\nBy hand.\n')
    monkeypatch.setattr(reference, 'REPOSITORY', tmp_path)
    monkeypatch.setattr('tools.reference.__main__.PAGES', {'page.md': None})
    monkeypatch.setitem(reference.PAGES, 'page.md', lambda: {'a': 'new'})
    assert main(['--check']) == 1
    assert '-old\n+new' in capsys.readouterr().out
    assert page.read_text() == before
    assert main([]) == 0
    assert page.read_text() == before.replace('old', 'new')
    assert main(['--check']) == 0


def test_parameters_have_default_range_unit_and_live() -> None:
    page = '\n'.join(['', *parameters.sections().values()])
    for name in {**tunables(PipelineConfig), **tunables(NodeConfig)}:
        assert f'\n| `{name}` |' in page
    assert '| `max_age` | double | `1.0` | 0 .. 3600 | s | yes | ' in page
    assert '| `queue_size` | int | `5` | 1 .. 1000 |  | no | ' in page
    assert parameters.allowed(Tunable('', choices=('a', 'b'))) == '`a`, `b`'
    assert [parameters.shown(value) for value in (True, ('front',), 0.5)] == [
        'true',
        "['front']",
        '0.5',
    ]


def test_settings_of_training_have_option_default_and_range() -> None:
    page = training.sections()['settings']
    assert (
        '| `batch_size` | `--batch-size` | whole number | `8` | 1 .. 4096 | Pairs a step. |'
        in page
    )


def test_commands_have_their_options() -> None:
    page = commands.sections()['commands']
    for name in COMMANDS:
        assert f'\n## dtp-stereo {name}\n' in page
    assert '| `--max-depth M` | `100.0` | Farther points are beyond range.' in page
    assert '| `-o, --out DIR` | `demo_out` |' in page
    assert '(default:' not in page.partition('\n## dtp-stereo infer')[0]
    assert argparse.SUPPRESS not in page
    # Options that a parameter file gives way to have the default of the setting.
    for name in ('bag', 'replay', 'view'):
        own = page.partition(f'\n## dtp-stereo {name}\n')[2].partition('\n## ')[0]
        assert '| `--max-depth M` | `100.0` |' in own
        assert re.search(r'\| `(--models, )?--model MODEL[^ ]*` \| `dtpnet` \|', own)


def test_a_topic_without_a_meaning_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / 'policy.xml'
    policy.write_text(topics._POLICY.read_text().replace('points2', 'points3'))
    monkeypatch.setattr(topics, '_POLICY', policy)
    with pytest.raises(LookupError, match='points3 has no meaning yet'):
        topics.sections()


def test_result_files_have_all_measures() -> None:
    page = results.sections()['measures']
    assert all(f'| `{key}` | {column.name} |' in page for key, column in COLUMNS.items())


def test_every_finding_and_fault_of_a_calibration_is_in_troubleshooting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each place that makes a finding, or a calibration's error, is reached by the page."""
    made: set[tuple[str, int]] = set()
    places: list[tuple[str, ast.Call]] = []

    def watch(path: Path, name: str) -> None:
        """Note the lines of a module that call the class of that name."""
        parts = path.relative_to(PACKAGE.parent).with_suffix('').parts
        module = importlib.import_module('.'.join(parts))
        original = getattr(module, name, None)
        if original is None:
            return

        def noted(*args: Any, **kwargs: Any) -> Any:
            made.add((path.stem, sys._getframe(1).f_lineno))
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, noted)
        places.extend((path.stem, call) for call in _calls(path, name))

    for path in sorted((PACKAGE / 'health').glob('*.py')):
        # `camera` is the doctor's: it calls the others, and what it says itself needs a system.
        if path.stem not in ('__init__', 'finding', 'camera'):
            watch(path, 'Finding')
    watch(PACKAGE / 'calibration.py', 'CalibrationError')
    troubleshooting.sections()
    assert len(places) > 25
    missed = [
        f'{stem}.py:{call.lineno}'
        for stem, call in places
        if not any((stem, line) in made for line in range(call.lineno, (call.end_lineno or 0) + 1))
    ]
    # A message has 12 numbers; files of another length are the only way to that error.
    assert [place for place in missed if not place.startswith('calibration.py')] == []
    assert len([place for place in missed if place.startswith('calibration.py')]) <= 1


def _calls(path: Path, name: str) -> list[ast.Call]:
    """Calls of a class in a module, findings of level 'ok' left out."""
    return [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8')))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == name
        and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 'ok')
    ]
