"""A pair of a data set with its ground truth, read and checked when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..calibration_io import read_calibration
from ..errors import InputError
from ..image_io import read_pair
from ..stereo import BoolArray, Float32Array, StereoCalibration, StereoFrame
from .truth_files import pfm_px


@dataclass(frozen=True)
class Truth:
    """Ground truth of one left image, (H, W) each.

    Attributes:
        disparity_px: float32, NaN where unknown.
        non_occluded: where both cameras see the point, or None where the data set does not say.
        has_occluded: False when occluded pixels have no truth at all, so that there is no *all*.
        source: the file, named in errors.
    """

    disparity_px: Float32Array
    non_occluded: BoolArray | None = None
    has_occluded: bool = True
    source: Path | None = None

    def __post_init__(self) -> None:
        mask = self.non_occluded
        if mask is not None and mask.shape != self.disparity_px.shape:
            raise InputError(
                f'{self.source or "truth"}: is {_size(self.disparity_px)} but what says which '
                f'pixels are occluded is {_size(mask)}; both belong to one image'
            )

    def region(self, name: str) -> Float32Array | None:
        """The truth of one region, 'all' or 'noc', NaN elsewhere; None where it is not known."""
        if name == 'all':
            return self.disparity_px if self.has_occluded else None
        if self.non_occluded is None:
            return None
        return np.where(self.non_occluded, self.disparity_px, np.float32(np.nan))


@dataclass(frozen=True)
class Scene:
    """One pair of a data set.

    Attributes:
        name: unique in its data set.
        left, right: image files.
        load_truth: reads the ground truth, or None where there is none. `load` also compares its
            size with that of the images.
        load_right_px: reads the right view's disparity, (H, W) float32 px, NaN where unknown; only
            training asks for it. None where it is not published.
        world: scenes of one world are all trained on or all held out; empty where the scene is
            the only one of its world.
        calibration_file: as published with the pair, or None.
        truth_files: all that `load_truth` reads, and what it would read if it were there.
        broken: why nothing can be read, where its files are not as the layout has them.
    """

    name: str
    left: Path
    right: Path
    load_truth: Callable[[], Truth] | None = None
    load_right_px: Callable[[], Float32Array] | None = None
    world: str = ''
    calibration_file: Path | None = None
    truth_files: tuple[Path, ...] = ()
    broken: str = ''

    @classmethod
    def of(cls, name: str, make: Callable[[], Scene]) -> Scene:
        """A scene that a reader makes, or a broken one where its files are not there."""
        try:
            return make()
        except InputError as error:
            return cls(name, Path(name), Path(name), broken=str(error))

    def load_frame(self) -> StereoFrame:
        """Read both images.

        Raises:
            InputError: a file is missing or unreadable, or the sizes differ; names the files.
        """
        if self.broken:
            raise InputError(self.broken)
        return read_pair(self.left, self.right)

    def load(self) -> tuple[StereoFrame, Truth | None]:
        """Read both images and the ground truth, of one size.

        Raises:
            InputError: a file is missing or unreadable, or the sizes differ; names the files.
        """
        frame = self.load_frame()
        if self.load_truth is None:
            return frame, None
        truth = self.load_truth()
        self._check_size(truth.disparity_px, frame, truth.source, 'the truth')
        return frame, truth

    def load_right(self, frame: StereoFrame) -> Float32Array | None:
        """Read the right view's disparity, of the size of the frame; None without.

        Raises:
            InputError: the file is unreadable, or of another size.
        """
        if self.load_right_px is None:
            return None
        right_px = self.load_right_px()
        self._check_size(right_px, frame, None, "the right view's truth")
        return right_px

    def load_calibration(self, frame: StereoFrame) -> StereoCalibration | None:
        """Read the calibration that is published with the pair; None without.

        Raises:
            CalibrationError: it is no stereo pair of this size.
        """
        if self.calibration_file is None:
            return None
        size_px = frame.width_px, frame.height_px
        return read_calibration(str(self.calibration_file), size_px, self.left)

    def _check_size(
        self, values: Float32Array, frame: StereoFrame, source: Path | None, what: str
    ) -> None:
        if values.shape != frame.left.shape[:2]:
            raise InputError(
                f'{source or self.name}: {what} is {_size(values)} but {self.left} is '
                f'{frame.width_px}x{frame.height_px}; give truth of the size of the images'
            )


def _size(values: Float32Array | BoolArray) -> str:
    return f'{values.shape[1]}x{values.shape[0]}'


def pfm_truth(path: Path) -> Truth:
    """Truth of all pixels from a PFM."""
    return Truth(pfm_px(path), source=path)


def with_right(scene: Scene, path: Path | None, read: Callable[[Path], Float32Array]) -> Scene:
    """The scene with the right view's disparity, where its file is there."""
    if path is None or not path.exists():
        return scene
    return replace(scene, load_right_px=partial(read, path))
