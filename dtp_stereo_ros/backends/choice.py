"""The choice of a backend: as asked, or with `auto` the one that is fastest here, measured once.

Which of OpenVINO and ONNX Runtime is faster depends on the processor, their versions and the
model. Where both run, they are timed in turns when they first start, and the times are kept for
later starts (`speed_files`).
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from .. import __version__, models, system
from ..config import PipelineConfig
from ..errors import BackendError, ConfigError, ModelError, StereoError
from .base import CPU_DEVICES, Backend
from .onnx_file import OnnxFile
from .ports import PortOptions
from .speed import SizeClass, Speeds, images_of, measure
from .speed_files import Evidence, SpeedFiles, SpeedKey
from .table import TABLE, Candidate, of_class

# In which `auto` takes them where times do not decide. SGBM is no model: it is never taken in
# place of one. TensorRT builds engines for minutes, and has not been run on a GPU by us: it is
# taken where it is asked for.
AUTO_ORDER = ('openvino', 'onnx', 'torch')
# Not measured beside the others, and loaded only where none of them runs: PyTorch takes seconds
# to import, and is the slowest on every processor that we measured.
_LAST = ('torch',)
# Packages of the others.
_PACKAGES = ('openvino', 'onnxruntime', 'onnxruntime-gpu')
# Those that make ONNX Runtime another backend where they are installed, see `onnx_plugins`.
_PLUGINS = (
    'onnxruntime-ep-nv-tensorrt-rtx', 'onnxruntime-ep-nv-tensorrt-rtx-cu12',
    'onnxruntime-ep-openvino', 'onnxruntime-ep-webgpu',
)  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Choice:
    """A backend, and why it was chosen.

    Attributes:
        backend: started.
        reason: one line: which, by which times, and why others were passed over.
        evidence: the times that decided; None where nothing was to be measured, or where the
            machine was too busy to tell.
    """

    backend: Backend
    reason: str
    evidence: Evidence | None = None


def chosen_name(reason: str) -> str:
    """Name of the backend in the reason of a `Choice`, '' where there is none."""
    found = re.match(r'(?:auto chose )?(\w+)', reason)
    return found[1] if found else ''


def create(config: PipelineConfig) -> Backend:
    """Build the backend that a config asks for; see `decide`."""
    return decide(config).backend


def choose(config: PipelineConfig) -> tuple[Backend, str]:
    """Build a backend and say in one line which, and why others were passed over.

    Raises:
        StereoError: as of `decide`.
    """
    choice = decide(config)
    return choice.backend, choice.reason


def decide(config: PipelineConfig) -> Choice:
    """Build the backend that a config asks for.

    A measurement takes about two seconds, once.

    Raises:
        ModelError: the model is missing, unreadable or of another kind.
        BackendError: the backend is unknown or cannot start; with 'auto', none can: all reasons.
        ConfigError: it is told of a model what the model tells itself.
    """
    choice = _Decision(config).made()
    spec, given = choice.backend.spec, PortOptions.of(config)
    if choice.backend.name != 'sgbm' and not spec.foreign and given != PortOptions():
        choice.backend.close()
        raise ConfigError(
            f'settings model_* are for models that say nothing about themselves; {spec.name} '
            'tells what it takes: leave them at their defaults'
        )
    return choice


@dataclass
class _Decision:
    """A decision under way.

    Attributes:
        config: that asks.
        built: backends that have started, by label.
        passed_over: why others have not, by label.
    """

    config: PipelineConfig
    built: dict[str, Backend] = field(default_factory=dict)
    passed_over: dict[str, StereoError] = field(default_factory=dict)

    def made(self) -> Choice:
        """The choice; backends that were started for it only are closed again."""
        config, candidates = self.config, self._candidates()
        if config.backend != 'auto' and len(candidates) == 1:
            backend = candidates[0].build(config)
            return Choice(backend, f'{config.backend} as asked: {_describe(backend)}')
        chosen = None
        try:
            choice = self._among(candidates)
            chosen = choice.backend
        finally:
            for backend in self.built.values():
                if backend is not chosen:
                    backend.close()
        _log.info(choice.reason)
        return choice

    def _candidates(self) -> list[Candidate]:
        """Ways to run the model, in the usual order."""
        config = self.config
        names: Sequence[str] = (config.backend,)
        if config.backend == 'auto':
            found = models.resolve(config.model, ('.onnx', '.pt'))
            named = models.is_path(config.model)
            # A .pt of the user is not passed over for a shipped .onnx of its name.
            only = named or not found.with_suffix('.onnx').is_file()
            names = [n for n in AUTO_ORDER if not only or TABLE[n][2] == found.suffix]
        candidates = []
        for name in names:
            candidates.append(Candidate(name))
            if name == 'onnx':
                with suppress(BackendError):  # not installed: whoever builds it says so
                    others = of_class(name, lambda found: found.other_providers())
                    candidates += [Candidate(name, provider) for provider in others]
        return candidates

    def _among(self, candidates: list[Candidate]) -> Choice:
        """The choice among several."""
        quick = {c.label: c for c in candidates if c.backend not in _LAST}
        if self._gpu_runs(quick.get('onnx')):
            return self._choice('onnx', 'a GPU is taken without measuring')
        choice = self._fastest(quick) if quick else None
        if choice:
            return choice
        for candidate in candidates:
            if candidate.label not in quick and self._build(candidate):
                return self._choice(candidate.label)
        if all(isinstance(error, ModelError) for error in self.passed_over.values()):
            raise next(iter(self.passed_over.values()))
        raise BackendError(
            f'no backend can run model {self.config.model!r}: {_list(self.passed_over)}'
        )

    def _gpu_runs(self, candidate: Candidate | None) -> bool:
        """Whether ONNX Runtime has started on a GPU."""
        try:
            if not candidate or not of_class('onnx', lambda found: found.may_use_gpu()):
                return False
        except BackendError:  # not installed: whoever builds it says so
            return False
        return self._build(candidate) and self.built[candidate.label].device not in CPU_DEVICES

    def _fastest(self, candidates: dict[str, Candidate]) -> Choice | None:
        """The fastest by the kept times, else by new ones; None where none runs."""
        size_class = SizeClass.of(self.config.input_scale)
        key = self._key(size_class)
        known = SpeedFiles(key).load() if key else None
        timed = known.speeds.median_ms | known.speeds.failed if known else {}
        # One that was missing when they were measured may have been installed since.
        added = [self._build(c) for label, c in candidates.items() if label not in timed]
        if known and not any(added):
            self._pass_over(known.speeds)
            for label in known.speeds.ranked(list(candidates)):
                if self._build(candidates[label]):
                    return self._choice(label, known.text(), known)
            return None
        for candidate in candidates.values():
            self._build(candidate)
        if key and len(self.built) > 1:
            return self._measured(key, size_class)
        return next((self._choice(label) for label in self.built), None)

    def _measured(self, key: SpeedKey, size_class: SizeClass) -> Choice | None:
        """The fastest of the built ones, timed now; None where none runs."""
        labels = list(self.built)
        size = size_class.size_for(next(iter(self.built.values())).spec)
        _log.info(
            'measures %s in turns at %dx%d, to take the fastest', ' and '.join(labels), *size[::-1]
        )
        images = images_of(size)
        runs = {label: partial(self.built[label].infer, *images) for label in labels}
        speeds = measure(runs, size)
        self._pass_over(speeds)
        running = speeds.ranked(labels)
        if len(running) < 2:
            return next((self._choice(label) for label in running), None)
        if not speeds.settled:
            why = f'{speeds.why_unsettled}; measured again at the next start'
            return self._choice(running[0], why)
        evidence = Evidence(key, speeds, datetime.date.today().isoformat())
        SpeedFiles(key).save(evidence)
        return self._choice(running[0], evidence.text(), evidence)

    def _key(self, size_class: SizeClass) -> SpeedKey | None:
        """The circumstances of times; None without a model that could be measured."""
        config = self.config
        try:
            spec = OnnxFile.find(config.model).spec
        except ModelError:
            return None
        versions = {name: system.version(name) for name in (*_PACKAGES, *_PLUGINS)}
        # Times that were kept without a plug-in still count.
        versions = {k: v for k, v in versions.items() if v or k in _PACKAGES}
        return SpeedKey(
            model=spec.name,
            model_sha256=spec.sha256,
            machine=system.machine(),
            versions={'dtp_stereo': __version__, **versions},
            precision=config.precision,
            threads=config.threads,
            size_class=size_class.name,
        )

    def _build(self, candidate: Candidate) -> bool:
        """Start one, unless that was tried; returns whether it has started."""
        label = candidate.label
        if label not in self.built and label not in self.passed_over:
            try:
                self.built[label] = candidate.build(self.config)
            except (BackendError, ModelError) as error:
                self.passed_over[label] = error
        return label in self.built

    def _pass_over(self, speeds: Speeds) -> None:
        """Those that failed when they were measured."""
        for label, reason in speeds.failed.items():
            self.passed_over[label] = BackendError(reason)

    def _choice(self, label: str, why: str = '', evidence: Evidence | None = None) -> Choice:
        backend, asked = self.built[label], self.config.backend
        first = f'auto chose {backend.name}' if asked == 'auto' else f'{asked} as asked'
        parts = [f'{first}: {_describe(backend)}', why]
        if self.passed_over:
            parts.append('passed over ' + _list(self.passed_over))
        return Choice(backend, '; '.join(filter(None, parts)), evidence)


def _describe(backend: Backend) -> str:
    spec = backend.spec
    return f'{spec.name} in {spec.precision} on {backend.device}'


def _list(reasons: dict[str, StereoError]) -> str:
    return '; '.join(f'{name} ({reason})' for name, reason in reasons.items())
