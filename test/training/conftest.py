"""Fixtures of the training tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope='module')
def one_thread() -> Iterator[None]:
    """PyTorch in one thread: small tensors gain nothing by more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_processes(tmp_path: Path) -> Callable[..., list[str]]:
    """Runs a script, or ``-m`` and a module, in two processes that train together.

    Each writes to a file of its own, as lines of two processes mix in a pipe.
    """

    def run(*arguments: object) -> list[str]:
        logs = tmp_path / 'logs'
        launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
        command = [*launch, '--redirects=1', f'--log-dir={logs}', *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outputs = [log.read_text() for log in sorted(logs.glob('*/attempt_0/*/stdout.log'))]
        assert len(outputs) == 2
        return outputs

    return run
