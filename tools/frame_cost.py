"""Cost of a frame around the network, on one core: decoding to messages, stage by stage.

    OMP_NUM_THREADS=1 python -m tools.frame_cost --write docs/reports/frame_cost.md

A backend that fills its inputs as `openvino` does and answers at once stands in for the network:
it gives slanted planes with steps, and confidence at a quarter of the size. All else is the code
that the node runs for a pair of `bgr8` images, with default settings and subscribers of
`disparity` and of a coloured `points2`. Times are those of the thread on a processor, so that
waiting for other work is not in them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
from std_msgs.msg import Header

from dtp_stereo_ros.backends.base import Image, size_of
from dtp_stereo_ros.config import NodeConfig, PipelineConfig
from dtp_stereo_ros.markdown import table
from dtp_stereo_ros.messages.images import to_image, to_rgb
from dtp_stereo_ros.messages.outputs import Computed, output_messages
from dtp_stereo_ros.models import ModelSpec
from dtp_stereo_ros.pipeline import StereoPipeline
from dtp_stereo_ros.preprocess import byte_planes
from dtp_stereo_ros.ros.message_types import ROS_TYPES
from dtp_stereo_ros.sizes import parse_size
from dtp_stereo_ros.stereo import Float32Array, StereoCalibration, StereoFrame, UInt8Array
from tools.doc_sections import check_section, write_section

_SECTION = 'frame cost'
_WARM_UP = 5
_STEP_PX = np.float32(40)


class Instant:
    """Backend without work: the same disparity and confidence for each pair of a size."""

    name = 'instant'
    device = 'none'
    compiling = False

    def __init__(self) -> None:
        self.spec = ModelSpec('instant', 32, 192)
        self._planes: dict[str, UInt8Array] = {}
        self._made: dict[tuple[int, ...], tuple[Float32Array, Float32Array]] = {}

    def infer(self, left: Image, right: Image) -> tuple[Float32Array, Float32Array]:
        """Disparity (H, W) and confidence (H / 4, W / 4)."""
        size = size_of(left)
        for side, image in (('left', left), ('right', right)):
            # As backend openvino fills the inputs of our networks.
            pixels = image.astype(np.uint8, copy=False)
            self._planes[side] = byte_planes(pixels, self._planes.get(side))
        if size not in self._made:
            height, width = size
            columns = np.arange(width, dtype=np.float32)
            row = 20 + columns / 40 + np.where(columns % 200 > 150, _STEP_PX, np.float32(0))
            confidence = np.full((height // 4, width // 4), 0.9, np.float32)
            self._made[size] = np.repeat(row[None], height, axis=0), confidence
        disparity, confidence = self._made[size]
        return disparity, confidence

    def close(self) -> None:
        """Nothing is held."""


def measure(height: int, width: int, frames: int, config: NodeConfig) -> dict[str, float]:
    """Median CPU time in milliseconds of each stage of a frame, by its name."""
    pipeline = StereoPipeline(PipelineConfig(backend='sgbm'))
    pipeline.reconfigure(PipelineConfig(backend='sgbm'), (Instant(), 'instant'))
    rng = np.random.default_rng(0)
    calibration = StereoCalibration(
        width, width, width / 2, width / 2, height / 2, 0.1, width, height
    )
    header = Header(frame_id='left')
    views = [
        to_image(ROS_TYPES, rng.integers(0, 255, (height, width, 3), np.uint8), 'bgr8', header)
        for _ in range(2)
    ]
    times_ms: dict[str, list[float]] = {}
    cloud = None
    for index in range(_WARM_UP + frames):
        marks = [time.thread_time()]
        left, right = (to_rgb(view, 'image') for view in views)
        marks.append(time.thread_time())
        result = pipeline.process(StereoFrame(left, right, 1, calibration), confidence=False)
        marks.append(time.thread_time())
        spent = {
            'decoding of both images': marks[1] - marks[0],
            'preprocessing and postprocessing': marks[2] - marks[1],
        }
        computed = Computed(result, calibration, left, ROS_TYPES.camera_info(), header, 100.0)
        for topic, title in (('disparity', 'DisparityImage'), ('points2', 'coloured cloud')):
            started = time.thread_time()
            ((_, message),) = output_messages(ROS_TYPES, [topic], computed, config, cloud)
            spent[title] = time.thread_time() - started
            cloud = message if topic == 'points2' else cloud
        if index >= _WARM_UP:
            for title, seconds in spent.items():
                times_ms.setdefault(title, []).append(1e3 * seconds)
    found = {title: float(np.median(values)) for title, values in times_ms.items()}
    return {**found, 'together': float(np.median(np.sum(list(times_ms.values()), axis=0)))}


def main() -> None:
    """Measure and print, or write the section of a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--size', action='append', metavar='WIDTHxHEIGHT')
    parser.add_argument('--frames', type=int, default=60)
    parser.add_argument('--write', type=Path, metavar='PAGE', help='its section is replaced')
    args = parser.parse_args()
    if args.write:
        check_section(args.write, _SECTION)
    cv2.setNumThreads(1)
    sizes = args.size or ['640x480', '1280x720']
    found = {}
    # Twice: the C library gives the memory of the first arrays of a size back to the system after
    # each frame, until larger ones have been freed; a network does that at its start.
    for frames in (_WARM_UP, args.frames):
        for size in sizes:
            width, height = parse_size(size, '--size', 'WIDTHxHEIGHT')
            found[size] = measure(height, width, frames, NodeConfig())
    titles = list(next(iter(found.values())))
    text = table(
        ['CPU time, ms', *sizes],
        [[title, *(f'{found[size][title]:.2f}' for size in sizes)] for title in titles],
    )
    print(text)
    if args.write:
        write_section(args.write, _SECTION, text)


if __name__ == '__main__':
    main()
