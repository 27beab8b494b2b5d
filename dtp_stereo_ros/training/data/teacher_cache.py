"""Answers of a teacher on whole pairs, kept on disk, so that it runs once."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.datasets import Scene
from dtp_stereo_ros.image_io import atomic
from dtp_stereo_ros.paths import make_folder
from dtp_stereo_ros.stereo import StereoFrame

from ..teachers import BinGrid, Taught, Teacher

# Teachers pad to this; no member of the family needs more.
_MULTIPLE = 64
# Part of the file names; another one asks anew. Answers of version 1 had the bins of a bimodal
# teacher reversed, and lost what lies beyond the range of the student; pairs of version 2 were
# padded to 32 px.
_VERSION = 3


@dataclass(frozen=True)
class TaughtCache:
    """A folder with one .npz for each pair: disparity, mask, and distribution where there is one.

    Attributes:
        folder: of the files; made when the first is written.
        teacher: fingerprint of the teacher and of the student's bins; part of the file names.
    """

    folder: Path
    teacher: str

    @classmethod
    def of(cls, folder: Path, teacher: Teacher, grid: BinGrid) -> TaughtCache:
        """The cache of a teacher for students with these bins."""
        label = f'{_VERSION}|{teacher.fingerprint}|{grid.bins}|{grid.bin_px}'
        return cls(
            folder, hashlib.sha256(label.encode(errors='backslashreplace')).hexdigest()[:12]
        )

    def path(self, scene: Scene, frame: StereoFrame) -> Path:
        """Path of the entry of a pair; another picture under the same name is another entry."""
        digest = hashlib.sha256(frame.left.tobytes() + frame.right.tobytes()).hexdigest()[:12]
        return self.folder / f'{scene.name.replace("/", "_")}-{digest}-{self.teacher}.npz'

    def fill(
        self,
        scenes: Sequence[Scene],
        teacher: Teacher,
        grid: BinGrid,
        device: torch.device | None = None,
    ) -> int:
        """Ask the teacher about every pair that it was not asked about yet; returns how many."""
        make_folder(self.folder)
        asked = 0
        for scene in tqdm(scenes, unit='pair', desc=f'teacher {teacher.name}', mininterval=1):
            frame = scene.load_frame()
            path = self.path(scene, frame)
            if path.exists():
                continue
            entry = _entry(teacher, frame, grid, device or torch.device('cpu'))
            with atomic(path) as file:
                np.savez(file, **entry)  # type: ignore[arg-type]  # stub gap
            asked += 1
        return asked

    def read(self, scene: Scene, frame: StereoFrame) -> dict[str, np.ndarray]:
        """The entry of a pair, under the names that a batch uses.

        Raises:
            InputError: the teacher was not asked about it, or the file is broken.
        """
        path = self.path(scene, frame)
        try:
            with np.load(path, allow_pickle=False) as content:
                return {name: content[name] for name in content.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(
                f'{path}: no teacher output ({error}); delete it and rerun'
            ) from error


def _entry(
    teacher: Teacher, frame: StereoFrame, grid: BinGrid, device: torch.device
) -> dict[str, np.ndarray]:
    height, width = frame.left.shape[:2]
    pad = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
    left, right = (
        torch.from_numpy(np.pad(image, pad, mode='edge')).permute(2, 0, 1)[None].float().to(device)
        for image in (frame.left, frame.right)
    )
    taught = teacher(left, right, grid)
    entry = {
        'taught_disparity': taught.disparity_px[0, :height, :width].cpu().numpy(),
        'taught_valid': taught.valid[0, :height, :width].cpu().numpy(),
    }
    if taught.logits is not None:
        quarter = taught.logits[0, :, : height // 4, : width // 4]
        entry['taught_logits'] = quarter.cpu().numpy().astype(np.float16)
    return entry


def from_batch(batch: dict[str, torch.Tensor]) -> Taught | None:
    """Cached answer of a teacher on a batch, or None where the batch is not of cached pairs."""
    if 'taught_disparity' not in batch:
        return None
    logits = batch.get('taught_logits')
    return Taught(
        batch['taught_disparity'].float(),
        batch['taught_valid'],
        None if logits is None else logits.float(),
    )
