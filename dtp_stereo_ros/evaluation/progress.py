"""Progress of the judging of a recording, on the terminal."""

from __future__ import annotations

import threading
from typing import Any

from ..errors import StereoError
from ..machine import setup_command
from .columns import ALL_COLUMNS
from .recorded import RecordingResult


def progress_bar(**how: Any) -> Any:
    """A progress bar."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise StereoError(f'{error}; {setup_command("bag")}') from error
    # Its own lock is of several processes, which leave it behind when they are ended.
    tqdm.set_lock(threading.RLock())
    return tqdm(**how)


def show_running(bar: Any, result: RecordingResult, key: str) -> None:
    """The running mean of the first method beside the bar."""
    if not hasattr(bar, 'set_postfix_str') or bar.n % 8 != 1 or not result.frames:
        return
    method = result.frames[0].method
    values = [f.values[key] for f in result.frames if f.method == method and key in f.values]
    if values:
        column = ALL_COLUMNS[key]
        mean = column.shown(sum(values) / len(values))
        bar.set_postfix_str(f'{column.name} {mean:.3g} {column.unit}'.rstrip(), refresh=False)
