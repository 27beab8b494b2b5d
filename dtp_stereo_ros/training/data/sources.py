"""Sources of a run, mixed: the generator and any number of folders and bags."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import IterableDataset, get_worker_info

from dtp_stereo_ros.errors import ConfigError
from dtp_stereo_ros.evaluation.datasets import Scene

from ..settings import RAYCAST, SYNTHETIC, GeneratorConfig
from ..teachers import BinGrid, Taught, open_teacher
from .batches import Batch, SyntheticBatches, validation_batches
from .device_pool import AssetBatches, check_assets, is_assets
from .disk_pairs import PairBatches, held_out_batches
from .prefetch import Feed
from .raycast_source import Item, Renderer
from .readers import open_pairs
from .teacher_cache import TaughtCache

GENERATORS = (SYNTHETIC, RAYCAST)
# Bins of a distribution that nobody looks at.
_ANY_BINS = BinGrid(48, 4.0)
# Most pairs of a batch of validation that are rendered from assets, which takes long.
_RENDERED_BATCH = 16
# Of real scenes one part in so many is kept for validation: the last, in one piece, as frames of a
# drive are nearly the same as their neighbours, which would be trained on.
_HELD_OUT = 10


class Alternating(IterableDataset[Item]):
    """Endless streams in turn; one that is named twice has two turns."""

    def __init__(self, streams: Sequence[IterableDataset[Any]]) -> None:
        self.streams = list(streams)

    def __iter__(self) -> Iterator[Item]:
        worker = get_worker_info()
        running = {id(stream): iter(stream) for stream in self.streams}
        turn = worker.id if worker else 0
        while True:
            turn += 1
            yield next(running[id(self.streams[turn % len(self.streams)])])


@dataclass(frozen=True)
class Sources:
    """Training pairs of a run.

    Attributes:
        specs: as named, in turn.
        scenes: of each folder or bag, for training, by spec.
        held_out: scenes of the same places that are not trained on, unless there is but one.
    """

    specs: tuple[str, ...]
    scenes: dict[str, tuple[Scene, ...]]
    held_out: tuple[Scene, ...]

    @classmethod
    def open(cls, specs: Sequence[str], cache: Path) -> Sources:
        """Find the pairs of each ``NAME:PLACE``; a name given twice counts twice.

        Raises:
            InputError: see `readers.open_pairs`.
            ConfigError: nothing is named.
        """
        if not specs:
            raise ConfigError('no data; name synthetic, raycast or NAME:PATH')
        scenes: dict[str, tuple[Scene, ...]] = {}
        held_out: list[Scene] = []
        for spec in dict.fromkeys(specs):
            if spec in GENERATORS:
                continue
            if is_assets(spec):
                check_assets(spec)
                continue
            found = open_pairs(spec, cache)
            worlds = list(dict.fromkeys(scene.world or scene.name for scene in found))
            kept = set(worlds[-max(1, round(len(worlds) / _HELD_OUT)) :])
            held_out += [s for s in found if (s.world or s.name) in kept]
            scenes[spec] = tuple(s for s in found if (s.world or s.name) not in kept) or tuple(
                found
            )
        return cls(tuple(specs), scenes, tuple(held_out))

    @property
    def all_scenes(self) -> list[Scene]:
        """Every real scene that is trained on."""
        return [scene for group in self.scenes.values() for scene in group]

    @property
    def unlabelled(self) -> list[str]:
        """Names of the scenes that have no truth, those that are held out included."""
        scenes = dict.fromkeys([*self.all_scenes, *self.held_out])
        return [scene.name for scene in scenes if scene.load_truth is None]

    @property
    def alone(self) -> list[str]:
        """Folders and bags of one scene, which is trained on and held out."""
        kept = set(self.held_out)
        return [spec for spec, scenes in self.scenes.items() if kept.intersection(scenes)]

    def refuse_unlabelled(self) -> None:
        """Ask for a teacher, or for truth.

        Raises:
            ConfigError: scenes have no truth.
        """
        if names := self.unlabelled:
            count = len({*self.all_scenes, *self.held_out})
            more = ', ...' if len(names) > 3 else ''
            raise ConfigError(
                f'{len(names)} of {count} pairs have no truth ({", ".join(names[:3])}{more}), '
                'and data without truth teaches nothing by itself; give a teacher, name the '
                'files of the truth as in the help of --data, or take these pairs out'
            )

    def refuse_cache(self) -> None:
        """Refuse to keep what a teacher says where no pair comes again.

        Raises:
            ConfigError: all pairs are generated.
        """
        if not self.all_scenes:
            raise ConfigError(
                'a cache keeps what the teacher says of pairs on disk, and all of these are '
                'generated; leave the cache out'
            )

    def renderer(
        self, config: GeneratorConfig, device: torch.device, process: int = 0
    ) -> Renderer | None:
        """Renderer of the source ``raycast``; None where it is not named."""
        return Renderer(config, device, process) if RAYCAST in self.specs else None

    def stream(
        self,
        config: GeneratorConfig,
        skip: int,
        process: int,
        cache: TaughtCache | None,
        renderer: Renderer | None,
    ) -> IterableDataset[Item]:
        """Endless training batches; `skip` and `process` as in `SyntheticBatches`."""
        streams: dict[str, IterableDataset[Any]] = {
            spec: PairBatches(scenes, config, skip, process, cache)
            for spec, scenes in self.scenes.items()
        }
        streams[SYNTHETIC] = SyntheticBatches(config, skip, process)
        for spec in filter(is_assets, self.specs):
            streams[spec] = AssetBatches(spec, config, skip, process)
        if renderer:
            streams[RAYCAST] = renderer.stream(skip)
        return Alternating([streams[spec] for spec in self.specs])

    def validation(
        self,
        config: GeneratorConfig,
        count: int,
        ask: Callable[[Batch], Taught] | None = None,
        renderer: Renderer | None = None,
    ) -> list[Batch]:
        """Fixed batches for choosing between checkpoints: real ones where there are any.

        A run on real pairs is for the camera that took them; generated pairs beside them keep it
        from forgetting the rest, and would by their number and their larger errors decide alone.

        Args:
            config: of the generator.
            count: batches of each generator, and at most so many of real scenes.
            ask: a teacher, whose word stands for the truth of scenes that have none.
            renderer: of the source ``raycast``.
        """
        real = self.real_validation(config, count, ask)
        return real or self.generated_validation(config, count, renderer)

    def generated_validation(
        self, config: GeneratorConfig, count: int, renderer: Renderer | None
    ) -> list[Batch]:
        """The generated ones of `validation`."""
        batches = validation_batches(config, count) if SYNTHETIC in self.specs else []
        for spec in dict.fromkeys(filter(is_assets, self.specs)):
            few = replace(config, batch_size=min(config.batch_size, _RENDERED_BATCH))
            stream = iter(AssetBatches(spec, few, skip=2**31))
            batches += [next(stream) for _ in range(count)]
        return batches + (renderer.validation(count) if renderer else [])

    def real_validation(
        self, config: GeneratorConfig, count: int, ask: Callable[[Batch], Taught] | None = None
    ) -> list[Batch]:
        """The real ones of `validation`; none where no pixel of theirs is known."""
        batches = self._real(config, count, ask)
        return batches if any(batch['visible'].any() for batch in batches) else []

    def _real(
        self, config: GeneratorConfig, count: int, ask: Callable[[Batch], Taught] | None
    ) -> list[Batch]:
        labelled = [s for s in self.held_out if s.load_truth is not None]
        batches = held_out_batches(labelled, config, count)
        if ask is None:
            return batches
        for batch in held_out_batches(
            [s for s in self.held_out if not s.load_truth], config, count
        ):
            with torch.no_grad():
                taught = ask(batch)
            known = taught.valid.cpu() & (taught.disparity_px.cpu() <= config.max_disparity_px)
            batch.update(disparity=taught.disparity_px.cpu(), known=known, visible=known)
            batches.append(batch)
        return batches


def held_out(
    specs: tuple[str, ...],
    config: GeneratorConfig,
    count: int,
    cache: Path,
    accelerator: Accelerator,
    teacher: str = '',
) -> tuple[list[Batch], bool]:
    """Validation batches of a network that learns from some sources, see `Sources.validation`.

    Args:
        specs: sources of the training.
        config: of the generator; its seed decides which pairs they are.
        count: of batches.
        cache: folder for unpacked bags.
        accelerator: renders where the generator renders.
        teacher: whose word stands for the truth of real pairs that have none, see `open_teacher`;
            '' leaves them out.

    Returns:
        the pairs, and whether they are real ones.
    """
    sources = Sources.open(specs, cache)
    ask = _asking(teacher, accelerator) if teacher and sources.unlabelled else None
    real = sources.real_validation(config, count, ask)
    if real:
        return real, True
    renderer = sources.renderer(config, accelerator.device)
    return sources.generated_validation(config, count, renderer), False


def drawn(
    specs: tuple[str, ...],
    config: GeneratorConfig,
    count: int,
    cache: Path,
    accelerator: Accelerator,
) -> list[Batch]:
    """Batches as a training on some sources begins with, on the CPU.

    Args:
        specs, config, cache, accelerator: as of `held_out`.
        count: of batches.
    """
    sources = Sources.open(specs, cache)
    renderer = sources.renderer(config, accelerator.device)
    feed = Feed(sources.stream(config, 0, 0, None, renderer), 0, accelerator.device, renderer)
    return [{name: value.cpu() for name, value in next(feed).items()} for _ in range(count)]


def _asking(teacher: str, accelerator: Accelerator) -> Callable[[Batch], Taught]:
    known = open_teacher(teacher)
    known.to(accelerator.device)

    def ask(batch: Batch) -> Taught:
        left, right = (
            batch[name].to(accelerator.device).float() for name in ('clean_left', 'clean_right')
        )
        return known(left, right, _ANY_BINS)

    return ask
