"""False alarms and hits of the findings on exchanged and raw views, over real pairs.

    python -m tools.health_views DATA --write docs/reports/health.md

Each pair is looked at as it is, with its views exchanged, and as two raw cameras would have seen
it; the first also at half size, dark with noise, and as JPEG. The raw views are made from the
rectified ones by the distortion of the EuRoC cameras and by a camera that is turned against the
other one by so many degrees about each axis.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from rosbags.highlevel import AnyReader

from dtp_stereo_ros import markdown
from dtp_stereo_ros.config import PipelineConfig
from dtp_stereo_ros.evaluation import motorcycle
from dtp_stereo_ros.evaluation.datasets import SHARED_LAYOUT, open_dataset
from dtp_stereo_ros.health.view_check import ViewSetting, rectification_findings
from dtp_stereo_ros.health.views import Matches, exchanged, rectification, sparse_matches
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.stereo import StereoFrame, UInt8Array
from tools.doc_sections import write_section

Matrix = npt.NDArray[np.float64]

_UNLABELLED = {'eth3d': 'unlabelled/eth3d', 'demo pairs': 'unlabelled/demo'}
_BAG = 'euroc/euroc_rect'
# Of EuRoC's two cameras (k1 k2 p1 p2), and the focal length as a share of the width.
_D = {
    'left': (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05),
    'right': (-0.28368365, 0.07451284, -0.00010473, -3.555907e-05),
}
_FOCAL = 0.61
_TURNED_DEG = (0.1, 0.3, 1.0)
# A bag of one scene is one scene: every so many frames of it are matched by the network.
_EVERY = 20
_SETTING = ViewSetting('/depth_node', '', False, {'left': '/l', 'right': '/r'} | {
    'left_info': '/left/camera_info', 'right_info': '/right/camera_info',
})  # fmt: skip


@dataclass(frozen=True)
class Camera:
    """A camera whose images are raw: K, D, and R and P of the rectified one."""

    k: Matrix
    d: Matrix
    r: Matrix
    p: Matrix

    def rectified(self, points_px: Matrix) -> Matrix:
        """Points of the raw image in the rectified one."""
        if not len(points_px):
            return points_px
        points = np.ascontiguousarray(points_px).reshape(-1, 1, 2)
        moved = cv2.undistortPoints(points, self.k, self.d, R=self.r, P=self.p)
        return np.asarray(moved, np.float64).reshape(-1, 2)

    def raw(self, image: UInt8Array) -> UInt8Array:
        """The raw image of a rectified one."""
        height, width = image.shape[:2]
        grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).reshape(-1, 2)
        places = self.rectified(grid.astype(np.float64)).reshape(height, width, 2)
        maps = places.astype(np.float32)
        return np.asarray(cv2.remap(image, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR), np.uint8)


def camera(side: str, size: tuple[int, int], turned_deg: float) -> Camera:
    """A camera of that image size, the right one turned against the left one."""
    width, height = size
    focal = _FOCAL * width
    k = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    turn = np.radians(turned_deg) * (side == 'right')
    rotation = cv2.Rodrigues(np.array([turn, -turn, turn]))[0]
    return Camera(k, np.array(_D[side]), np.asarray(rotation, np.float64), k)


@dataclass(frozen=True)
class RealPair:
    """A rectified pair.

    Attributes:
        data: name of the data set.
        index: in it.
        left, right: views.
        offset_px: cx of the left camera - cx of the right one.
    """

    data: str
    index: int
    left: UInt8Array
    right: UInt8Array
    offset_px: float = 0.0


def pairs(root: Path) -> Iterator[RealPair]:
    """Every pair below a folder, and the Motorcycle pair of scikit-image."""
    frame, _ = motorcycle.load()
    offset_px = motorcycle.CALIBRATION.disparity_offset_px
    yield RealPair('scikit-image', 0, frame.left, frame.right, offset_px)
    for name, place in {**SHARED_LAYOUT, **_UNLABELLED}.items():
        kind = 'pairs' if name in _UNLABELLED else name
        for index, scene in enumerate(open_dataset(f'{kind}:{root / place}')[1]):
            frame = scene.load_frame()
            calibration = scene.load_calibration(frame)
            offset_px = calibration.disparity_offset_px if calibration else 0.0
            yield RealPair(name, index, frame.left, frame.right, offset_px)
    with AnyReader([root / _BAG]) as reader:
        waiting: dict[tuple[int, int], UInt8Array] = {}
        images = [c for c in reader.connections if c.topic.endswith('image_rect')]
        index = 0
        for connection, _, raw in reader.messages(images):
            msg = reader.deserialize(raw, connection.msgtype)
            grey = np.asarray(msg.data, np.uint8).reshape(msg.height, msg.step)[:, : msg.width]
            image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
            key = (msg.header.stamp.sec, msg.header.stamp.nanosec)
            other = waiting.pop(key, None)
            if other is None:
                waiting[key] = image
                continue
            is_left = 'left' in connection.topic
            yield RealPair('euroc bag', index, *((image, other) if is_left else (other, image)))
            index += 1


def disturbed(image: UInt8Array, how: str, seed: int) -> UInt8Array:
    """An image as a worse camera would give it."""
    if how == 'half size':
        return np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    if how == 'dark, noisy':
        noise = np.random.default_rng(seed).normal(0, 2, image.shape)
        return np.clip(0.15 * image + noise, 0, 255).astype(np.uint8)
    if how == 'JPEG 40':
        data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return image


_DISTURBED = ('as it is', 'half size', 'dark, noisy', 'JPEG 40')


@dataclass
class Row:
    """The counts of one data set."""

    pairs: int = 0
    alarms: int = 0
    looks: int = 0
    found: int = 0
    raw: tuple[int, ...] = (0,) * len(_TURNED_DEG)
    rows_px: float = 0.0
    took_s: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    exchanged_confidence: tuple[float, ...] = ()

    def cells(self) -> list[str]:
        """The row of the table, without its name."""
        return [
            str(self.pairs),
            f'{self.alarms} of {self.looks}',
            f'{self.found} of {self.pairs}',
            *(f'{count} of {self.pairs}' for count in self.raw),
            f'{self.rows_px:.2f}',
            f'{min(self.confidence):.2f}',
            f'{max(self.exchanged_confidence):.2f}',
        ]


def look(row: Row, pair: RealPair) -> None:
    """Count what is found at one pair."""
    left, right, index = pair.left, pair.right, pair.index
    row.pairs += 1
    size = (left.shape[1], left.shape[0])
    for how in _DISTURBED:
        views = disturbed(left, how, 2 * index), disturbed(right, how, 2 * index + 1)
        started = time.perf_counter()
        given = sparse_matches(*views)
        row.took_s += (time.perf_counter() - started,)
        # As camera_info has it: that of the raw camera, also for images that are rectified.
        size_now = (views[0].shape[1], views[0].shape[0])
        moved = rectified(given, size_now, _TURNED_DEG[-1])
        rows = rectification(given, moved)
        row.looks += 1
        offset_px = pair.offset_px * (0.5 if how == 'half size' else 1.0)
        row.alarms += bool(exchanged(given, offset_px) or rectification_findings(rows, _SETTING))
        if how == 'as it is' and len(given):
            row.rows_px = max(row.rows_px, given.rows_px())
    row.found += bool(exchanged(sparse_matches(right, left), pair.offset_px))
    kinds = []
    for turned_deg in _TURNED_DEG:
        views = (
            camera('left', size, turned_deg).raw(left),
            camera('right', size, turned_deg).raw(right),
        )
        given = sparse_matches(*views)
        kinds.append(rectification(given, rectified(given, size, turned_deg)).kind == 'raw')
    row.raw = tuple(a + b for a, b in zip(row.raw, kinds, strict=True))


def rectified(given: Matches, size: tuple[int, int], turned_deg: float) -> Matches:
    """The points rectified by the calibration of `camera`."""
    left, right = (camera(side, size, turned_deg) for side in ('left', 'right'))
    return replace(
        given, left_px=left.rectified(given.left_px), right_px=right.rectified(given.right_px)
    )


def confidence(pipeline: StereoPipeline, left: UInt8Array, right: UInt8Array) -> float:
    """Median confidence of the network."""
    found = pipeline.process(StereoFrame(left, right)).confidence
    assert found is not None
    return float(np.nanmedian(found))


def main() -> None:
    """Look at all pairs, print the table and put it into a page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', type=Path)
    parser.add_argument('--write', type=Path, metavar='PAGE')
    args = parser.parse_args()
    cv2.setNumThreads(1)
    pipeline = StereoPipeline(PipelineConfig(backend='onnx', precision='fp32'))
    rows: dict[str, Row] = {}
    for pair in pairs(args.data):
        row = rows.setdefault(pair.data, Row())
        look(row, pair)
        if pair.data != 'euroc bag' or pair.index % _EVERY == 0:
            row.confidence += (confidence(pipeline, pair.left, pair.right),)
            row.exchanged_confidence += (confidence(pipeline, pair.right, pair.left),)
    turned = [f'raw, turned {deg:g}° found' for deg in _TURNED_DEG]
    head = [
        *('data', 'pairs', 'false alarms', 'exchanged found', *turned),
        *('rows differ by at most [px]', 'least confidence', 'most confidence exchanged'),
    ]
    lines = [markdown.table(head, [[name, *row.cells()] for name, row in rows.items()])]
    took_ms = 1e3 * np.median(np.concatenate([row.took_s for row in rows.values()]))
    lines += ['', f'A look takes {took_ms:.0f} ms on one core (median).']
    text = '\n'.join(lines)
    print(text)
    if args.write:
        write_section(args.write, 'views', text)


if __name__ == '__main__':
    main()
