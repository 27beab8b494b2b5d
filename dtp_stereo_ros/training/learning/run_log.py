"""Log of a run: a line for each checkpoint, a progress bar, TensorBoard.

TensorBoard is not needed to train: where it is missing, the lines tell the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from dtp_stereo_ros.user_errors import failed_import


class Log:
    """Log of one run; only the main process tells anything.

    Args:
        folder: of `log.txt` and the events of TensorBoard.
        active: whether this process is the one that tells.
    """

    def __init__(self, folder: Path, active: bool) -> None:
        self.folder, self.active = folder, active
        self.begun = time.monotonic()
        self._bar: Any = None
        self._writer: Any = None

    def start(self, total: int, done: int, name: str) -> None:
        """Open the bar and the events.

        Args:
            total: length of the run in steps; 0 where it is not counted in steps.
            done: steps done before.
            name: of the run.
        """
        if not self.active:
            return
        self._bar = tqdm(total=total or None, initial=done, unit='step', desc=name, mininterval=10)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except Exception as error:
            failed = failed_import(error)
            if failed is None:
                raise
            self.line(f'TensorBoard cannot be imported ({failed[1]}); figures are in log.txt only')
        else:
            self._writer = SummaryWriter(str(self.folder))

    def update(self) -> None:
        """A step more."""
        if self._bar is not None:
            self._bar.update()

    def line(self, text: str) -> None:
        """Print a line, and keep it in `log.txt`."""
        if not self.active:
            return
        elapsed = time.monotonic() - self.begun
        line = f'{time.strftime("%H:%M:%S")} {elapsed:6.1f} s  {text}'
        if self._bar is not None:
            self._bar.write(line)
        else:
            print(line, file=sys.stdout, flush=True)
        with (self.folder / 'log.txt').open('ab') as log:
            log.write((line + '\n').encode(errors='backslashreplace'))

    def figures(
        self, values: dict[str, float], step: int, picture: Callable[[], np.ndarray]
    ) -> None:
        """Figures and a picture of a held-out pair, for TensorBoard."""
        if self._writer is None:
            return
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.add_image('val/pair', picture(), step, dataformats='HWC')
        self._writer.flush()

    def close(self) -> None:
        """Close what `start` opened."""
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()
        self._bar = self._writer = None
