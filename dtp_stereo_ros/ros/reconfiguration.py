"""New settings of the running pipeline: a new backend is loaded beside the one that runs."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from concurrent.futures import Future

from .. import backends, models
from ..backends.base import Backend
from ..config import PipelineConfig
from ..errors import StereoError, refusal
from ..pipeline import BACKEND_SETTINGS, StereoPipeline, backend_settings
from .worker import Worker

# A backend that loads within this is accepted or refused in the reply of the parameter service.
# rqt_reconfigure waits 1 s for that reply, and no message is received meanwhile.
_AT_ONCE_S = 0.2

Loaded = tuple[Backend, str]


class Reconfiguration:
    """Brings checked settings into force between two frames.

    While a new backend loads, the old one goes on, with the new values of all other settings.
    Where settings change again meanwhile, the newest count. All methods belong to one thread,
    the executor's.

    Args:
        pipeline: runs in the worker.
        worker: calls between frames.
        on_choice: gets the line of each backend that was loaded.
        on_failure: gets the settings in force and the reason, when a change that was accepted
            does not work after all.
    """

    def __init__(
        self,
        pipeline: StereoPipeline,
        worker: Worker,
        on_choice: Callable[[str], None],
        on_failure: Callable[[PipelineConfig, str], None],
    ) -> None:
        self._pipeline = pipeline
        self._worker = worker
        self._on_choice = on_choice
        self._on_failure = on_failure
        self._in_force = self._wanted = pipeline.config
        self._load: _Load | None = None
        self._changes: list[Future[None]] = []

    def request(self, config: PipelineConfig) -> None:
        """Bring settings into force, at once or when their backend has loaded.

        Raises:
            StereoError: they do not work here, as is known at once; the old ones stay.
        """
        wanted = backend_settings(config)
        if wanted == backend_settings(self._in_force):
            self.close()
        elif not self._load or wanted != backend_settings(self._load.config):
            self._start(config)
        self._wanted = config
        self._schedule(_with_backend_of(config, self._in_force))
        self._take_over()

    def poll(self) -> None:
        """Take over a backend that has loaded; report a change that did not work."""
        self._take_over()
        if self._load and self._load.error:
            error, self._load = self._load.error, None
            self._fail(error)
        ended = [change for change in self._changes if change.done()]
        self._changes = [change for change in self._changes if not change.done()]
        for change in ended:
            bug = change.exception()
            if isinstance(bug, Exception):
                self._in_force = self._pipeline.config
                self._fail(refusal(bug))

    def close(self) -> None:
        """Abandon the backend that is being loaded."""
        if self._load:
            self._load.abandon()
        self._load = None

    def _start(self, config: PipelineConfig) -> None:
        """Load a backend; returns when it has loaded, or when that takes longer."""
        if config.backend != 'sgbm':  # reads no model
            ending = backends.TABLE[config.backend][2] if config.backend != 'auto' else ''
            models.resolve(config.model, (ending,) if ending else ('.onnx', '.pt'))
        before, load = self._load, _Load(config)
        load.start(after=before)
        if load.done.wait(_AT_ONCE_S) and load.error:
            raise load.error
        self.close()
        self._load = load

    def _take_over(self) -> None:
        if self._load and self._load.done.is_set() and self._load.loaded:
            loaded, self._load = self._load.loaded, None
            self._schedule(self._wanted, loaded)
            self._on_choice(loaded[1])

    def _schedule(self, config: PipelineConfig, loaded: Loaded | None = None) -> None:
        if config == self._in_force and not loaded:
            return
        self._in_force = config

        def freed(change: Future[None]) -> None:
            if loaded and change.exception():
                loaded[0].close()

        change = self._worker.between_frames(lambda: self._pipeline.reconfigure(config, loaded))
        change.add_done_callback(freed)
        self._changes.append(change)

    def _fail(self, error: StereoError) -> None:
        self._wanted = _with_backend_of(self._wanted, self._in_force)
        self._on_failure(self._wanted, str(error))


class _Load:
    """A backend that loads in a thread of its own; a process that ends does not wait for it.

    Attributes:
        config: what it is made for.
        done: set when it has loaded, failed or was left out.
        loaded, error: the outcome, once done; neither where it was abandoned before it began.
    """

    def __init__(self, config: PipelineConfig) -> None:
        self.config = config
        self.done = threading.Event()
        self.loaded: Loaded | None = None
        self.error: StereoError | None = None
        self._abandoned = False
        self._lock = threading.Lock()

    def start(self, after: _Load | None) -> None:
        """Begin when `after` is done: two that load at a time would double the memory."""
        target, name = self._run, 'backend loader'
        threading.Thread(target=target, args=(after,), name=name, daemon=True).start()

    def abandon(self) -> None:
        """Free the backend, as soon as it has loaded."""
        with self._lock:
            self._abandoned = True
            if self.loaded:
                self.loaded[0].close()

    def _run(self, after: _Load | None) -> None:
        if after:
            after.done.wait()
        try:
            loaded = None if self._abandoned else backends.choose(self.config)
            with self._lock:
                self.loaded = loaded
                if loaded and self._abandoned:
                    loaded[0].close()
        except Exception as error:
            self.error = refusal(error)
        self.done.set()


def _with_backend_of(config: PipelineConfig, other: PipelineConfig) -> PipelineConfig:
    """Settings with the backend of others."""
    if backend_settings(config) == backend_settings(other):
        return config
    kept = {name: getattr(other, name) for name in (*BACKEND_SETTINGS, *backend_settings(other))}
    return dataclasses.replace(config, **kept)
