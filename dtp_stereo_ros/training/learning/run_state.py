"""The files that a run goes on from: ``last.pt``, and ``moments.pt`` where it is split."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dtp_stereo_ros.errors import InputError, one_line
from dtp_stereo_ros.network import checkpoint

_NEEDED = {'network', 'average', 'step', 'samples', 'seconds', 'best'}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder, as far as its file system knows locks.

    Raises:
        InputError: another run is going on there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f'{folder}: another run is going on there; wait for it, or give another --out'
            ) from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(handle)


def version(folder: Path) -> tuple[int, int] | None:
    """Identity of the state of a run, which each `write` changes; None where there is none."""
    try:
        found = (folder / 'last.pt').stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def write(folder: Path, state: dict[str, Any], split: bool) -> None:
    """Write the state of a run, each file whole or not at all.

    Args:
        folder: of the run.
        state: what `read` gives back; 'optimizer' is a state dict, 'step' its step.
        split: the optimizer's moments, rounded to bfloat16, get a file of their own, so that no
            file grows beyond what is easily carried about.
    """
    if split:
        state = dict(state)
        entries = state.pop('optimizer')['state']
        short = {key: _rounded(entry) for key, entry in entries.items()}
        # First: an interruption leaves old weights with new moments, which `read` tells apart.
        checkpoint.write(folder / 'moments.pt', {'step': state['step'], 'state': short})
    checkpoint.write(folder / 'last.pt', state)


def read(folder: Path) -> dict[str, Any]:
    """Contents that `write` wrote, on the CPU; {} where there is nothing.

    'moments' are the optimizer's entries by number where they are in a file of their own and of
    the same step.

    Raises:
        InputError: a file is unreadable, or of another version.
    """
    path = folder / 'last.pt'
    if not path.exists():
        return {}
    state = _load(path)
    missing = sorted(_NEEDED - state.keys())
    if missing:
        raise InputError(f'{path}: holds no {missing[0]}; it is of another version, delete it')
    moments = folder / 'moments.pt'
    if 'optimizer' not in state and moments.exists():
        content = _load(moments)
        if content['step'] == state['step']:
            state['moments'] = {
                number: {name: value.float() for name, value in entry.items()}
                for number, entry in content['state'].items()
            }
    return state


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location='cpu', weights_only=True))
    except Exception as error:
        # Bytes that are no pickle make the unpickler raise nearly anything.
        raise InputError(
            f'{path}: no run can go on from it ({one_line(error)[:80]}); delete it, or give '
            'another folder'
        ) from None


def _rounded(entry: dict[str, Any]) -> dict[str, Tensor]:
    """Moments in half the bytes; the step count as it is."""
    return {name: value if name == 'step' else value.bfloat16() for name, value in entry.items()}
