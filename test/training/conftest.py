"""Fixtures of the training tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

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
def two_processes() -> Callable[..., str]:
    """Runs a script, or ``-m`` and a module, in two processes that train together; its output."""

    def run(*arguments: object) -> str:
        launch = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2']
        command = [*launch, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
