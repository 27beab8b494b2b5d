"""Architectures by name. Imports no PyTorch, so that help texts can list them."""

from __future__ import annotations

from typing import Any

# `--network` and recipes name these; each is a config for `family.build`. The teacher is the light
# network with the same 48 disparities, twice the width and more blocks.
PRESETS: dict[str, dict[str, Any]] = {
    'light': {'member': 'light'},
    'teacher': {
        'member': 'light', 'stem': 32, 'quarter': 64, 'eighth': 128, 'sixteenth': 192,
        'thirtysecond': 256, 'heads': 4, 'volume': 96, 'depths': (4, 6, 6, 3),
    },
    'bimodal': {'member': 'bimodal'},
    'large': {
        'member': 'bimodal', 'stem': 24, 'quarter': 48, 'eighth': 96, 'sixteenth': 144,
        'thirtysecond': 192, 'head_channels': 64, 'volume': 72, 'depths': (3, 6, 8, 4),
        'detail': 16, 'fine': 32, 'fine_blocks': 3,
    },
    'paper1': {'member': 'paper', 'setting': 1},
    'paper2': {'member': 'paper', 'setting': 2},
    'paper3': {'member': 'paper', 'setting': 3},
    'psmnet': {'member': 'psmnet'},
}  # fmt: skip
