"""`depth_node` with a backend that fails on a sign: for the fault matrix and the tests.

The sign is a pair whose left image is black, so that a fault is set off over DDS; what happens
then is said by the environment variable `DTP_STEREO_FAULT`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from ..backends.sgbm import SgbmBackend
from . import depth_node

FAULT_ENV = 'DTP_STEREO_FAULT'


def _raise() -> None:
    raise RuntimeError('injected: the runtime failed')


def _memory() -> None:
    raise MemoryError('injected: out of memory')


def _hang() -> None:
    threading.Event().wait()


def _die() -> None:
    raise SystemExit('injected: a library ends the thread')


FAULTS: dict[str, Callable[[], None]] = {
    'raise': _raise,
    'memory': _memory,
    'hang': _hang,
    'die': _die,
}


def main() -> int:
    """Run the node with the fault of the environment."""
    fail, infer = FAULTS[os.environ[FAULT_ENV]], SgbmBackend.infer

    def infer_or_fail(backend: SgbmBackend, left: Any, right: Any) -> Any:
        if not left.any():
            fail()
        return infer(backend, left, right)

    SgbmBackend.infer = infer_or_fail  # type: ignore[method-assign,assignment]
    return depth_node.main()


if __name__ == '__main__':
    sys.exit(main())
