"""CITATION.cff and the pre-commit configuration agree with what they are about."""

from __future__ import annotations

from pathlib import Path

import yaml

import dtp_stereo_ros

REPOSITORY = Path(__file__).resolve().parents[2]


def test_citation_has_the_version_of_the_package() -> None:
    citation = yaml.safe_load((REPOSITORY / 'CITATION.cff').read_text())
    assert citation['version'] == dtp_stereo_ros.__version__
    assert citation['license'] == 'Apache-2.0'


def test_pre_commit_runs_what_the_gate_runs() -> None:
    config = yaml.safe_load((REPOSITORY / '.pre-commit-config.yaml').read_text())
    assert [repository['repo'] for repository in config['repos']] == ['local']
    hooks = {hook['entry'] for hook in config['repos'][0]['hooks']}
    checks = [
        line
        for line in (REPOSITORY / 'test.sh').read_text().splitlines()
        if line.startswith(('ruff', 'mypy'))
    ]
    assert len(checks) == 3
    assert {f'.venv/bin/{line}' for line in checks} < hooks
    gate = (REPOSITORY / '.ci/run').read_text().splitlines()
    assert {line for line in gate if line.startswith(('./', 'tools/'))} < hooks
