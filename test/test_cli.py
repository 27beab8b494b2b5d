"""The command table."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import time

import pytest

from dtp_stereo_ros import __version__, cli
from dtp_stereo_ros.errors import InputError


def test_every_command_keeps_the_contract() -> None:
    for name, module_name in cli.COMMANDS.items():
        module = importlib.import_module(f'dtp_stereo_ros.commands.{module_name}')
        assert '\n' not in module.HELP, name
        assert not module.HELP.endswith('.'), name
        assert f'dtp-stereo {name} ' in module.DESCRIPTION, f'{name} shows no example'
        module.add_arguments(argparse.ArgumentParser())
        assert callable(module.run)


@pytest.mark.parametrize('arguments', [[], ['-h'], ['--help']])
def test_help_lists_every_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(arguments)
    assert done.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for name in cli.COMMANDS:
        assert any(line.startswith(f'  {name} ') for line in lines)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(['--version'])
    assert done.value.code == 0
    assert capsys.readouterr().out == f'dtp-stereo {__version__}\n'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['fly'], "invalid choice: 'fly'"),
        (['--fast'], 'required: COMMAND'),
        (['infer'], 'the following arguments are required: LEFT, RIGHT, -o'),
        (['infer', 'a', 'b', '-o', 'c', '--backend', 'foo'], "--backend: invalid choice: 'foo'"),
        (['infer', 'a', 'b', '-o', 'c', '--threads', 'x'], "--threads: invalid int value: 'x'"),
    ],
)
def test_wrong_calls_are_one_line_and_exit_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(arguments)
    assert done.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ''
    assert captured.err.count('\n') == 1
    assert message in captured.err


def test_known_errors_are_one_line_and_unknown_ones_crash(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module('dtp_stereo_ros.commands.bench')

    def known(args: argparse.Namespace) -> int:
        raise InputError('left.png: is broken; mend it')

    def unknown(args: argparse.Namespace) -> int:
        raise ZeroDivisionError('a bug')

    monkeypatch.setattr(module, 'run', known)
    assert cli.main(['bench']) == 2
    assert capsys.readouterr().err == 'dtp-stereo bench: error: left.png: is broken; mend it\n'
    monkeypatch.setattr(module, 'run', unknown)
    with pytest.raises(ZeroDivisionError, match='a bug'):
        cli.main(['bench'])


def test_sigterm_unwinds_and_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGTERM runs the `finally` blocks of a command, as Ctrl-C does."""
    unwound = []

    def run(_: argparse.Namespace) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(10)
        finally:
            unwound.append(True)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(
        importlib.import_module('dtp_stereo_ros.commands.setup_backend'), 'run', run
    )
    assert cli.main(['setup-backend']) == 130
    assert unwound == [True]
    assert capsys.readouterr().err == 'dtp-stereo setup-backend: interrupted\n'
    assert signal.getsignal(signal.SIGTERM) is before
