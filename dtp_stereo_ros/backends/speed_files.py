"""Times of backends on disk: whole, of this machine, these versions and this model, or not at all.

As with the engines of TensorRT, a file says what it was measured with, and is read only where that
is so now.
"""

from __future__ import annotations

import hashlib
import json
import logging
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..errors import StereoError
from ..image_io import write_json
from ..paths import cache_folder
from .speed import Speeds

# Measurements that are kept, of all models and settings; the newest.
_KEPT = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SpeedKey:
    """Circumstances that times depend on.

    Attributes:
        model, model_sha256: of the file.
        machine: processor, board and usable threads.
        versions: of this package and of the runtimes; '' of one that is not installed.
        precision, threads: as they are set.
        size_class: name of a `speed.SizeClass`.
    """

    model: str
    model_sha256: str
    machine: str
    versions: dict[str, str]
    precision: str
    threads: int
    size_class: str

    @property
    def name(self) -> str:
        """Name of its file: several machines may share a home folder."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f'{digest[:24]}.json'


@dataclass(frozen=True)
class Evidence:
    """Times that decided, and what they were measured with.

    Attributes:
        key: circumstances.
        speeds: settled times.
        measured: date, 'YYYY-MM-DD'.
    """

    key: SpeedKey
    speeds: Speeds
    measured: str

    def text(self) -> str:
        """Times, the fastest first, for the log."""
        medians = sorted(self.speeds.median_ms.items(), key=lambda item: item[1])
        times = ', '.join(f'{label} {ms:.1f} ms' for label, ms in medians)
        return f'measured on {self.measured} at {self.speeds.size}: {times}'

    def as_json(self) -> dict[str, Any]:
        """Plain values, as in the file."""
        return {**asdict(self.key), 'measured': self.measured, **asdict(self.speeds)}

    @classmethod
    def of(cls, key: SpeedKey, facts: dict[str, Any]) -> Evidence:
        """Inverse of `as_json`.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is no evidence for this key.
        """
        if any(facts[name] != value for name, value in asdict(key).items()):
            raise ValueError('it is of other circumstances')
        medians, spreads = (
            {str(label): float(ms) for label, ms in facts[name].items()}
            for name in ('median_ms', 'spread_ms')
        )
        failed = {str(label): str(reason) for label, reason in facts['failed'].items()}
        speeds = Speeds(str(facts['size']), int(facts['rounds']), medians, spreads, failed)
        if medians.keys() != spreads.keys() or not speeds.settled:
            raise ValueError('its times settle nothing')
        return cls(key, speeds, str(facts['measured']))


class SpeedFiles:
    """The file of one measurement in the user's cache.

    A folder that cannot be used costs the cache and one line in the log.
    """

    def __init__(self, key: SpeedKey) -> None:
        self._key = key
        self._path: Path | None = None
        try:
            self._path = cache_folder('auto') / key.name
        except RuntimeError as error:  # there is no home folder
            _give_up(error)

    def load(self) -> Evidence | None:
        """The evidence; None where there is none that can be used."""
        if self._path is None:
            return None
        try:
            return Evidence.of(self._key, json.loads(self._path.read_text()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning(
                '%s: cannot be used (%s: %s); backends are measured anew',
                self._path, type(error).__name__, error,
            )  # fmt: skip
            return None

    def save(self, evidence: Evidence) -> None:
        """Write evidence in place of what is there."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, evidence.as_json())
        except (OSError, StereoError) as error:
            _give_up(error)
            return
        with suppress(OSError):
            files = self._path.parent.glob('*.json')
            for path in sorted(files, key=lambda path: path.stat().st_mtime)[:-_KEPT]:
                path.unlink(missing_ok=True)


def _give_up(error: Exception) -> None:
    _log.warning('measured backends: %s; they are measured anew at each start', error)
