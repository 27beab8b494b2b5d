"""Batches drawn on the training device from pools of pairs that are renewed while it trains.

Rendering a pair costs more than a step on it. Here clean pairs stay on the device, and each draw
is cut out, flipped and distorted anew there: the ray caster adds a batch every few steps, and the
processes that render 3D assets add pairs as they finish them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from dtp_stereo_ros.errors import InputError, StereoError
from dtp_stereo_ros.paths import expanded

from ..settings import ASSETS, RAYCAST, GeneratorConfig
from ..synthetic.assets.library import Library
from ..synthetic.assets.pairs import Assets, render_pairs
from ..synthetic.photometric_batch import distort_batch, draw_distortion
from ..synthetic.planar.render import StereoPair
from ..synthetic.planar.textures import load_photos
from ..synthetic.visibility import visible
from .batches import Batch, MakePairs, PooledBatches, make_pair, scene_maker
from .prefetch import without_traceback
from .raycast_source import Renderer
from .workers import endless_loader

# Size of the pairs that are rendered from assets for a pool, where no crop is larger.
RENDERED_SIZE = (384, 640)
# Most pairs that a pool holds, and pairs that it holds before any is drawn.
CAPACITY = {'cuda': 8192, 'cpu': 64}
FEWEST = {'cuda': 32, 'cpu': 4}
# Share of the free memory of a GPU that all pools together take at most.
_MEMORY_SHARE = 0.5
# Share of draws that stand upside down.
UPSIDE_DOWN = 0.1
_PHOTOS = 200
# Items that each process makes in advance.
_AHEAD = 8
# Time between looks whether a feed, of which no pair is taken, is closed.
_LOOK_S = 0.5


def is_assets(spec: str) -> bool:
    """Whether a source is ``assets:PACK``."""
    return spec.partition(':')[0] == ASSETS


def check_assets(spec: str) -> None:
    """Refuse a pack that is not there, without reading it.

    Raises:
        InputError: there is no such file.
    """
    path = _pack(spec)
    if not path.is_file():
        raise InputError(f'{path}: no packed assets; write them by dtp-stereo render --pack')


def open_assets(spec: str, textures: Path | None) -> Assets:
    """Models of ``assets:PACK`` and photographs to cover them with.

    Raises:
        InputError: either is missing or unreadable.
    """
    photos = load_photos(textures, _PHOTOS) if textures else []
    return Assets(Library(_pack(spec)), photos)


def _pack(spec: str) -> Path:
    return expanded(spec.partition(':')[2])


class AssetBatches(PooledBatches):
    """Pairs that the CPU renders from assets in the process that asks for them."""

    upside_down = UPSIDE_DOWN

    def __init__(self, spec: str, config: GeneratorConfig, skip: int, process: int = 0) -> None:
        super().__init__(config, skip, process)
        self.spec = spec

    def maker(self, rng: np.random.Generator) -> MakePairs:
        """See `PooledBatches`."""
        assets = open_assets(self.spec, self.config.textures)
        streams: dict[tuple[int, int], Iterator[StereoPair]] = {}

        def make(size: tuple[int, int]) -> list[StereoPair]:
            return [next(streams.setdefault(size, render_pairs(rng, assets, size)))]

        return make


class CleanPairs(IterableDataset[tuple[Tensor, ...]]):
    """Endless pairs of a source that the CPU renders, as tensors for a pool.

    Args:
        spec: ``synthetic`` or ``assets:PACK``.
        config: of the generators.
        size: (height, width) px of the pairs.
        first: where a run that goes on starts, so that it sees other pairs.
        process: number of the training process, where several train together.
    """

    def __init__(
        self, spec: str, config: GeneratorConfig, size: tuple[int, int], first: int, process: int
    ) -> None:
        self.spec, self.config, self.size = spec, config, size
        self.seed = (config.seed, first, process)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        rng = np.random.default_rng((*self.seed, worker.id if worker else 0))
        for pair in self._pairs(rng):
            fields = (pair.left, pair.right, pair.disparity_left, pair.disparity_right)
            yield tuple(torch.from_numpy(np.ascontiguousarray(f))[None] for f in fields)

    def _pairs(self, rng: np.random.Generator) -> Iterator[StereoPair]:
        config = self.config
        if is_assets(self.spec):
            yield from render_pairs(rng, open_assets(self.spec, config.textures), self.size)
        maker = scene_maker(config)
        while True:
            yield make_pair(maker, rng, self.size)


class Pool:
    """Clean pairs on a device; the oldest are replaced first.

    Args:
        capacity: most pairs.
        size: (height, width) px.
        device: where they are.

    Attributes:
        count: pairs that are there.
        added: pairs that ever were.
    """

    def __init__(self, capacity: int, size: tuple[int, int], device: torch.device) -> None:
        height, width = size
        self.capacity, self.size = capacity, size
        self.count = self.added = 0
        shape = (capacity, height, width)
        self._images = [
            torch.empty((*shape, 3), dtype=torch.uint8, device=device) for _ in range(2)
        ]
        # Half precision would round 150 px to 0.125 px.
        self._disparities = [
            torch.empty(shape, dtype=torch.float32, device=device) for _ in range(2)
        ]

    def add(self, left: Tensor, right: Tensor, left_px: Tensor, right_px: Tensor) -> None:
        """Add n pairs: images uint8 (n, H, W, 3), disparities (n, H, W) of both views."""
        for row in range(len(left)):
            place = self.added % self.capacity
            for kept, new in zip(
                (*self._images, *self._disparities), (left, right, left_px, right_px), strict=True
            ):
                kept[place].copy_(new[row], non_blocking=True)
            self.added += 1
        self.count = min(self.added, self.capacity)

    def draw(
        self, rng: np.random.Generator, number: int, size: tuple[int, int]
    ) -> tuple[Tensor, ...]:
        """Crops of `number` pairs, some of them flipped.

        Args:
            rng: source of chance.
            number: of pairs.
            size: (height, width) px of the crops.

        Returns:
            left, right float32 (n, 3, h, w), 0..255; disparities (n, h, w) of both.
        """
        device = self._images[0].device
        choice = rng.integers(self.count, size=number)
        index = torch.from_numpy(choice).to(device, non_blocking=True)
        y, x = (
            int(rng.integers(whole - part + 1))
            for whole, part in zip(self.size, size, strict=True)
        )
        cut = (slice(None), slice(y, y + size[0]), slice(x, x + size[1]))
        left, right = (kept[cut][index].permute(0, 3, 1, 2).float() for kept in self._images)
        left_px, right_px = (kept[cut][index] for kept in self._disparities)
        mirrored = int(rng.binomial(number, 0.5))
        if mirrored:
            # Mirrored, the right camera is the left one.
            some = slice(0, mirrored)
            left[some], right[some] = right[some].flip(3), left[some].flip(3)
            left_px[some], right_px[some] = right_px[some].flip(2), left_px[some].flip(2)
        turned = int(rng.binomial(number, UPSIDE_DOWN))
        if turned:
            some = slice(number - turned, number)
            for images in (left, right):
                images[some] = images[some].flip(2)
            for disparities in (left_px, right_px):
                disparities[some] = disparities[some].flip(1)
        return left, right, left_px, right_px


class PooledFeed:
    """Endless batches from pools, one of each generator that a run names.

    Pairs are as large as the largest crop in both directions, and crops are cut out of them.

    Args:
        specs: sources: ``raycast``, ``synthetic`` and ``assets:PACK``. Each batch takes an
            equal share of each; one that is named twice has two.
        config: of the generators; `reuse` counts for the ray caster.
        device: of the training.
        renderer: of ``raycast``, or None.
        workers: processes; one in eight draws scenes for the ray caster, one in eight makes
            synthetic pairs, the others render.
        first: number of the first batch, so that a run that goes on sees other pairs.
        process: number of the training process, where several train together.
    """

    def __init__(
        self,
        specs: tuple[str, ...],
        config: GeneratorConfig,
        device: torch.device,
        renderer: Renderer | None,
        workers: int,
        first: int = 0,
        process: int = 0,
    ) -> None:
        self.specs, self.config, self.device = specs, config, device
        self.renderer = renderer
        self.number = self._first = first
        self._process = process
        self._noise = torch.Generator(device)
        kind = 'cuda' if device.type == 'cuda' else 'cpu'
        self._fewest = FEWEST[kind]
        height, width = map(max, zip(*config.sizes, strict=True))
        rendered = max(height, RENDERED_SIZE[0]), max(width, RENDERED_SIZE[1])
        sizes = {spec: rendered if is_assets(spec) else (height, width) for spec in specs}
        room = _room(device) // len(sizes)
        self.pools: dict[str, Pool] = {}
        for spec, size in sizes.items():
            most = min(CAPACITY[kind], room // _pair_bytes(size))
            self.pools[spec] = Pool(max(self._fewest, most), size, device)
        self._arrived: queue.Queue[tuple[str, tuple[Tensor, ...] | Exception]] = queue.Queue(256)
        self._kept: list[Any] = []
        self._closed = threading.Event()
        others = [spec for spec in dict.fromkeys(specs) if spec != RAYCAST]
        few = max(1, workers // 8)
        drawers = (few if others else workers) if renderer else 0
        self._scenes: Iterator[Any] | None = None
        if renderer:
            drawn = renderer.drawn(first, (sizes[RAYCAST],))
            self._scenes = iter(endless_loader(drawn, min(drawers, workers), device, _AHEAD))
        for spec in others:
            share = max(1, workers - drawers - few * (len(others) - 1))
            pairs = CleanPairs(spec, config, sizes[spec], first, process)
            loader = endless_loader(pairs, share if is_assets(spec) else few, device, _AHEAD)
            threading.Thread(
                target=self._deliver, name=f'pairs of {spec}', args=(spec, loader), daemon=True
            ).start()

    def _deliver(self, spec: str, loader: DataLoader[Any]) -> None:
        try:
            for pair in loader:
                # Each tensor of a worker holds an open file, of which a process may have 1024;
                # pinned ones are copies already.
                own = tuple(part if part.is_pinned() else part.clone() for part in pair)
                while not self._closed.is_set():
                    try:
                        self._arrived.put((spec, own), timeout=_LOOK_S)
                        break
                    except queue.Full:
                        continue
                else:
                    return
        except StereoError as error:
            self._arrived.put((spec, without_traceback(error)))
        except Exception as error:
            # Raised where the pairs are awaited: they would be awaited for ever.
            self._arrived.put((spec, error))

    def close(self) -> None:
        """End the processes that render, and give the pools' memory back."""
        self._closed.set()
        self.pools.clear()
        self._kept.clear()
        self._scenes = None

    def _receive(self) -> None:
        """Move what has been rendered to the device."""
        for _ in range(16):
            if self._arrived.empty():
                return
            self._add_next()

    def _add_next(self) -> None:
        """Add the pair that arrived first; waits for one.

        Raises:
            Exception: what ended a process that renders.
        """
        spec, pair = self._arrived.get()
        if isinstance(pair, Exception):
            raise pair
        self.pools[spec].add(*pair)
        # A copy that is still under way reads it.
        self._kept = [*self._kept[-64:], pair]

    def __next__(self) -> Batch:
        """The next batch, on the device."""
        rng = np.random.default_rng((self.config.seed, self.number, 5, self._process))
        self._receive()
        self._raycast()
        while not (ready := [s for s in self.specs if self.pools[s].count >= self._fewest]):
            self._add_next()
        size = self.config.sizes[self.number % len(self.config.sizes)]
        self.number += 1
        parts = np.array_split(np.arange(self.config.batch_size), len(ready))
        drawn = [
            self.pools[spec].draw(rng, len(part), size)
            for spec, part in zip(ready, parts, strict=True)
            if len(part)
        ]
        return self._distorted(rng, tuple(torch.cat(t) for t in zip(*drawn, strict=True)))

    def _raycast(self) -> None:
        """Add a ray-cast batch as often as `reuse` asks for."""
        if self.renderer is None or self._scenes is None:
            return
        pool, config = self.pools[RAYCAST], self.config
        share = self.specs.count(RAYCAST) / len(self.specs)
        draws = (self.number - self._first) * config.batch_size * share
        while pool.added <= draws / config.reuse or pool.count < min(32, pool.capacity):
            rendered = self.renderer.caster.render(next(self._scenes).scenes)
            left, right = (
                (image + 0.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
                for image in (rendered.left, rendered.right)
            )
            pool.add(left, right, rendered.disparity_left, rendered.disparity_right)

    @torch.no_grad()
    def _distorted(self, rng: np.random.Generator, drawn: tuple[Tensor, ...]) -> Batch:
        left, right, left_px, right_px = drawn
        change = draw_distortion(rng, len(left), tuple(left_px.shape[1:]))  # type: ignore[arg-type]
        self._noise.manual_seed(int(rng.integers(2**62)))
        seen_left, seen_right = distort_batch(change, left, right, self._noise)
        known = left_px <= self.config.max_disparity_px
        return {
            'left': seen_left,
            'right': seen_right,
            'clean_left': (left + 0.5).to(torch.uint8),
            'clean_right': (right + 0.5).to(torch.uint8),
            'disparity': left_px,
            'visible': visible(left_px, right_px, -1) & known,
            'known': known,
        }


def _pair_bytes(size: tuple[int, int]) -> int:
    """Memory of a pair of (height, width) px in a `Pool`: two images and two disparities."""
    return 2 * (3 + 4) * size[0] * size[1]


def _room(device: torch.device) -> int:
    """Bytes that all pools together may take."""
    if device.type != 'cuda':
        return 2**62
    free, _ = torch.cuda.mem_get_info(device)
    # What an earlier run of this process gave back is kept by PyTorch, for whoever asks next.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(_MEMORY_SHARE * (free + kept))
