"""The tools run from the root of a source checkout."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def in_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a test starts find the package `tools` in their working directory."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
