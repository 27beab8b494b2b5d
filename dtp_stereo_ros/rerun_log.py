"""Pairs and results in the viewer Rerun, or in a file for it. Needs `rerun-sdk` 0.23 or later."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from .cloud import decimated
from .errors import InputError, StereoError, one_line
from .messages.pictures import colored_disparity
from .paths import make_folder
from .stereo import MM_PER_M, Float32Array, StereoCalibration, StereoFrame, StereoResult, depth_mm

ENDING = '.rrd'
_JPEG_QUALITY = 90
# Of the known depths of the first pair, the colours of all depth images end at this percentile.
_FAR_PERCENTILE = 95.0


class RerunLog:
    """One recording of Rerun; a context manager.

    Of each camera there are the left image, the disparity in the colours of
    `disparity/compressed`, and with a calibration depth and points, in the left optical frame
    (x right, y down, z forward).

    Args:
        cameras: their names, '' for one without.
        file: to write, ending in .rrd; None opens the viewer.
        decimation: every n-th row and column becomes points.

    Raises:
        InputError: another ending.
        StereoError: `rerun-sdk` is not installed.
    """

    def __init__(
        self, cameras: Sequence[str], file: Path | None = None, decimation: int = 4
    ) -> None:
        if file is not None and (file.suffix != ENDING or file.is_dir()):
            raise InputError(f'{file}: a file of Rerun ends in {ENDING}; name one')
        try:
            import rerun
            import rerun.blueprint
        except ImportError as error:
            raise StereoError(
                f"the viewer cannot be imported ({error}); pip install 'dtp_stereo[view]'"
            ) from error
        self._rerun: Any = rerun
        self._file = file
        self._decimation = decimation
        self._far_m: dict[str, float] = {}
        self._stream: Any = rerun.RecordingStream('dtp_stereo')
        self._blueprint = _blueprint(rerun.blueprint, [entity(name) for name in cameras])
        for name in cameras:
            self._stream.log(entity(name), rerun.ViewCoordinates.RDF, static=True)

    def __enter__(self) -> RerunLog:
        if self._file is None:
            self._stream.spawn(default_blueprint=self._blueprint)
        else:
            make_folder(self._file.parent)
            try:
                self._stream.save(self._part(self._file), default_blueprint=self._blueprint)
            except RuntimeError as error:
                raise InputError(f'{self._file}: cannot be written ({one_line(error)})') from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush()
        self._stream.disconnect()
        if self._file is None:
            return
        if error is None:
            self._part(self._file).replace(self._file)
        else:
            self._part(self._file).unlink(missing_ok=True)

    def add(self, camera: str, index: int, frame: StereoFrame, result: StereoResult) -> None:
        """Log a pair and its result.

        Args:
            camera: its name.
            index: of the pair.
            frame: with a stamp where there is one.
            result: of it.
        """
        rerun, stream, root = self._rerun, self._stream, entity(camera)
        stream.set_time('pair', sequence=index)
        if frame.stamp_ns:
            stream.set_time('stamp', timestamp=np.datetime64(frame.stamp_ns, 'ns'))
        calibration = frame.calibration
        stream.log(f'{root}/left', self._image(frame.left))
        stream.log(f'{root}/disparity', self._image(colored_disparity(result, calibration)))
        if calibration is None:
            return
        if camera not in self._far_m:
            stream.log(f'{root}/left', self._pinhole(calibration), static=True)
        depth_m = calibration.depth_m(result.disparity_px)
        known = np.isfinite(depth_m)
        if known.any():
            self._far_m.setdefault(camera, float(np.percentile(depth_m[known], _FAR_PERCENTILE)))
        # 0 is unknown to Rerun too.
        stream.log(
            f'{root}/depth',
            rerun.DepthImage(
                depth_mm(depth_m),
                meter=MM_PER_M,
                depth_range=(0.0, MM_PER_M * self._far_m.get(camera, 1.0)),
                colormap='viridis',
            ),
        )
        stream.log(f'{root}/points', self._points(depth_m, calibration, frame))

    def _image(self, rgb: Any) -> Any:
        return self._rerun.Image(rgb).compress(jpeg_quality=_JPEG_QUALITY)

    def _pinhole(self, calibration: StereoCalibration) -> Any:
        return self._rerun.Pinhole(
            focal_length=(calibration.fx_px, calibration.fy_px),
            principal_point=(calibration.cx_left_px, calibration.cy_px),
            resolution=(calibration.width_px, calibration.height_px),
            image_plane_distance=5 * calibration.baseline_m,
        )

    def _points(
        self, depth_m: Float32Array, calibration: StereoCalibration, frame: StereoFrame
    ) -> Any:
        every = slice(None, None, self._decimation)
        points_m = decimated(calibration, self._decimation).points_m(depth_m[every, every])
        known = np.isfinite(points_m[..., 2])
        return self._rerun.Points3D(points_m[known], colors=frame.left[every, every][known])

    @staticmethod
    def _part(file: Path) -> Path:
        """The file while it is written."""
        return file.with_name(f'.{file.name}.part')


def entity(camera: str) -> str:
    """Path of a camera in the recording."""
    return camera.strip('/') or 'camera'


def _blueprint(blueprint: Any, roots: Sequence[str]) -> Any:
    """Images on the left, points on the right; a tab for each camera."""
    tabs = [
        blueprint.Horizontal(
            blueprint.Vertical(
                *(
                    blueprint.Spatial2DView(origin=f'{root}/{name}', name=name)
                    for name in ('left', 'disparity', 'depth')
                )
            ),
            blueprint.Spatial3DView(
                origin=root,
                contents=[f'+ {root}/points', f'+ {root}/left'],
                name='points',
            ),
            column_shares=[1, 2],
            name=root,
        )
        for root in roots
    ]
    return blueprint.Blueprint(
        blueprint.Tabs(*tabs) if len(tabs) > 1 else tabs[0], collapse_panels=True
    )
