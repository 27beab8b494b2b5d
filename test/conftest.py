"""Settings shared by all tests, and the place of the development data."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# No deadline: a busy machine is not a failure. The same examples every time in CI.
hypothesis.settings.register_profile('local', deadline=None)
hypothesis.settings.register_profile('ci', deadline=None, derandomize=True)
hypothesis.settings.load_profile('ci' if os.environ.get('CI') else 'local')

_REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope='session')
def data_root() -> Path:
    """Folder with real stereo data: `DTP_STEREO_DATA`, else ../shared/data; skips without."""
    root = Path(os.environ.get('DTP_STEREO_DATA') or _REPOSITORY.parent / 'shared' / 'data')
    if not root.is_dir():
        pytest.skip(f'no stereo data at {root}; set DTP_STEREO_DATA')
    return root
