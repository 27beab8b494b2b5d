"""Entry points of the executables; each first looks whether NumPy and OpenCV fit each other."""

from __future__ import annotations

import sys

from . import machine


def dtp_stereo() -> int:
    """The command `dtp-stereo`."""
    if _broken('dtp-stereo'):
        return 2
    from .cli import main

    return main()


def depth_node() -> int:
    """The executable `depth_node`."""
    if _broken('depth_node'):
        return 2
    from .ros.depth_node import main

    return main()


def _broken(name: str) -> bool:
    text = machine.mismatch()
    if text:
        print(f'{name}: {text}', file=sys.stderr)
    return bool(text)
