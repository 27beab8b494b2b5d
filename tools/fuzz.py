"""Mutated messages and parameters through the real node, in one process.

    python -m tools.fuzz --count 100000

Each case is made from its own seed, so that one which finds something is run again with
`--seed S --first N --count 1`. A case may end in a result or in a finding that names what is wrong
with the message; anything else (an exception, a finding 'frame failed', a hang, memory that grows)
is a bug. DDS is left out: the messages are handed to the node's own callbacks.
"""

from __future__ import annotations

import argparse
import array
import copy
import math
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dtp_stereo_ros.config import NodeConfig, PipelineConfig, tunables
from dtp_stereo_ros.messages.images import ENCODINGS
from dtp_stereo_ros.ros.harness.player import camera_messages
from dtp_stereo_ros.ros.node import DepthNode
from dtp_stereo_ros.ros.outputs import OUTPUT_TYPES
from dtp_stereo_ros.ros.processor import Pair
from dtp_stereo_ros.ros.statistics import resident_mib
from dtp_stereo_ros.stereo import SIDES, StereoCalibration, StereoFrame

_WIDTH, _HEIGHT = 96, 48
_CALIBRATION = StereoCalibration(100.0, 100.0, 48.0, 48.0, 24.0, 0.1, _WIDTH, _HEIGHT)
_SLOW_S = 20.0
# Settings that would make each case slow, or load a model.
_FIXED = ('backend', 'model', 'precision', 'threads', 'disparity_range', 'watchdog_timeout')

Generator = random.Random
_UINT32 = (0, 1, 2, 3, 7, 47, 48, 95, 96, 97, 255, 65535, 2**31 - 1, 2**31, 2**32 - 1)
_FLOATS = (
    0.0, -0.0, 1.0, -1.0, 1e-300, 1e-30, 1e30, 1e300, -1e300, math.nan, math.inf, -math.inf, 100.0,
    -10.0,
)  # fmt: skip
_TEXTS = ('', 'x', 'rgb8', 'mono16', 'größe', '8UC99', 'bayer_rggb16', '../../etc', '%s' * 9)
_LENSES = ('plumb_bob', 'rational_polynomial', 'equidistant', 'thin_prism', '')


@dataclass(frozen=True)
class Report:
    """Counts of a run.

    Attributes:
        cases: that were run.
        outcomes: how often each ending came: 'result', 'refused', or the subject of a finding.
        bugs: 'case N: what happened'.
        memory_mib: resident size after the first tenth, and at the end.
        slowest: seconds and number of the longest case.
    """

    cases: int
    outcomes: Counter[str]
    bugs: list[str]
    memory_mib: tuple[float, float]
    slowest: tuple[float, int]


class Fuzzer:
    """Feeds cases into a node whose worker is made to compute at once."""

    def __init__(self, node: DepthNode) -> None:
        self._node = node
        self._camera = node.cameras[0]
        self._good = _good_messages()
        self._ended: Counter[str] = Counter()

    def run(self, seed: int, first: int, count: int) -> Report:
        """Run the cases `first .. first + count - 1` of a seed."""
        outcomes: Counter[str] = Counter()
        bugs: list[str] = []
        slowest, early_mib = (0.0, first), 0.0
        for index in range(first, first + count):
            began = time.monotonic()
            try:
                outcomes[self.case(Generator(f'{seed}:{index}'))] += 1
                bugs += [f'case {index}: {bug}' for bug in self._unexpected()]
            except Exception:
                bugs.append(f'case {index}: {traceback.format_exc()}')
            took_s = time.monotonic() - began
            slowest = max(slowest, (took_s, index))
            if took_s > _SLOW_S:
                bugs.append(f'case {index}: took {took_s:.1f} s')
            if index - first == count // 10:
                early_mib = resident_mib()
        return Report(count, outcomes, bugs, (early_mib, resident_mib()), slowest)

    def case(self, generator: Generator) -> str:
        """One mutated input; returns how it ended."""
        if generator.random() < 0.1:
            return self._parameters(generator)
        messages = copy.deepcopy(self._good)
        _stamp(messages, generator)
        for _ in range(generator.randint(1, 3)):
            topic = generator.choice(list(messages))
            messages[topic] = mutated(messages[topic], generator)
        self._camera.findings.keep()
        return self._deliver(messages)

    def _deliver(self, messages: dict[str, Any]) -> str:
        before = self._camera.statistics.snapshot().results
        inputs = self._camera.inputs
        for side in SIDES:
            inputs.infos.add(side, messages[f'{side}/camera_info'])
        for side in SIDES:
            inputs.sync.add(side, messages[f'{side}/image_rect'])
        self._node._report()
        if self._camera.statistics.snapshot().results > before:
            return 'result'
        subjects = sorted(self._camera.findings.current())
        return subjects[0] if subjects else 'unpaired'

    def _parameters(self, generator: Generator) -> str:
        known = [n for n in (tunables(PipelineConfig) | tunables(NodeConfig)) if n not in _FIXED]
        name = generator.choice([*known, 'nothing', 'qos_overrides./disparity.publisher.depth'])
        value = _value(generator)
        if not self._node.has_parameter(name):
            return 'unknown parameter'
        result = self._node.set_parameters([Parameter(name, value=value)])[0]
        if not result.successful and not result.reason:
            raise AssertionError(f'{name} = {value!r} is refused without a reason')
        return 'set' if result.successful else 'refused'

    def _unexpected(self) -> list[str]:
        return [finding.text for finding in self._camera.findings.current().get('worker', ())]


def mutated(msg: Any, generator: Generator) -> Any:
    """A message with one thing changed."""
    if isinstance(msg, CameraInfo):
        return _mutated_info(msg, generator)
    if isinstance(msg, Image) and generator.random() < 0.15:
        return _mutated_compressed(msg, generator)
    if isinstance(msg, CompressedImage):
        return msg
    kind = generator.randrange(6)
    if kind == 0:
        name = generator.choice(('width', 'height', 'step'))
        setattr(msg, name, generator.choice(_UINT32))
    elif kind == 1:
        msg.encoding = generator.choice((*ENCODINGS, *_TEXTS))
    elif kind == 2:
        msg.data = _bytes(msg.data, generator)
    elif kind == 3:
        msg.is_bigendian = generator.choice((0, 1, 255))
    elif kind == 4:
        msg.header.frame_id = generator.choice(_TEXTS)
    else:  # a size that fits its data
        msg.encoding = generator.choice(ENCODINGS)
        msg.width, msg.height = generator.choice(((1, 1), (2, 1), (1, 300), (97, 31), (300, 2)))
        msg.step = msg.width * generator.choice((1, 2, 3, 4)) + generator.choice((0, 0, 5))
        msg.data = array.array('B', generator.randbytes(msg.step * msg.height))
    return msg


def _mutated_info(msg: CameraInfo, generator: Generator) -> CameraInfo:
    kind = generator.randrange(5)
    if kind == 0:
        values = getattr(msg, generator.choice(('p', 'k', 'r')))
        values[generator.randrange(len(values))] = generator.choice(_FLOATS)
    elif kind == 1:
        msg.d = [generator.choice(_FLOATS) for _ in range(generator.choice((0, 1, 4, 5, 8, 14)))]
        msg.distortion_model = generator.choice(_LENSES)
    elif kind == 2:
        setattr(msg, generator.choice(('width', 'height')), generator.choice(_UINT32))
    elif kind == 3:
        name = generator.choice(('binning_x', 'binning_y'))
        setattr(msg, name, generator.choice(_UINT32))
    else:
        name = generator.choice(('x_offset', 'y_offset', 'width', 'height'))
        setattr(msg.roi, name, generator.choice(_UINT32))
    return msg


def _mutated_compressed(msg: Image, generator: Generator) -> CompressedImage:
    pixels = np.zeros((_HEIGHT, _WIDTH, 3), np.uint8)
    ending = generator.choice(('.png', '.jpg'))
    data = array.array('B', cv2.imencode(ending, pixels)[1].tobytes())
    made = CompressedImage(header=msg.header, format=generator.choice(_TEXTS))
    made.data = data if generator.random() < 0.3 else _bytes(data, generator)
    return made


def _bytes(data: Any, generator: Generator) -> Any:
    """Cut, longer, flipped or empty."""
    values = array.array('B', bytes(data))
    kind = generator.randrange(4)
    if kind == 0:
        return values[: generator.randrange(len(values) + 1)]
    if kind == 1:
        return values + array.array('B', generator.randbytes(generator.randrange(64)))
    if kind == 2:
        return array.array('B')
    for _ in range(generator.randint(1, 8) if values else 0):
        # Mostly at the start, where the headers are.
        place = generator.randrange(min(len(values), 64)) if generator.random() < 0.8 else -1
        values[place] = generator.randrange(256)
    return values


def _stamp(messages: dict[str, Any], generator: Generator) -> None:
    """Mostly the present, so that frames pair and are not stale."""
    stamp = messages['left/image_rect'].header.stamp
    now = time.time_ns()
    stamp.sec, stamp.nanosec = now // 10**9, now % 10**9
    if generator.random() < 0.1:
        stamp.sec = generator.choice((0, 1, -1, -(2**31), 2**31 - 1))
        stamp.nanosec = generator.choice((0, 1, 999_999_999, 2**32 - 1))
    for msg in messages.values():
        msg.header = copy.deepcopy(messages['left/image_rect'].header)


def _value(generator: Generator) -> Any:
    return generator.choice(
        (True, False, generator.choice(_UINT32), generator.choice(_FLOATS),
         generator.uniform(-2, 200), generator.randint(-2, 64), generator.choice(_TEXTS),
         generator.choice(('32FC1', '16UC1')), [1.0, 2.0], [True], ['a'], [b'x'], None)
    )  # fmt: skip


def _good_messages() -> dict[str, Any]:
    noise = np.random.default_rng(0).integers(0, 255, (_HEIGHT, _WIDTH + 8, 3), np.uint8)
    left, right = (np.ascontiguousarray(noise[:, i : i + _WIDTH]) for i in (0, 8))
    return camera_messages(StereoFrame(left, right, 1, _CALIBRATION))


@contextmanager
def fuzzer() -> Iterator[Fuzzer]:
    """A node for fuzzing; rclpy must be initialised.

    Its worker computes in the caller's thread, and all outputs are wanted.
    """
    overrides = {'backend': 'sgbm', 'disparity_range': 16, 'watchdog_timeout': 0.0}
    parameters = [Parameter(name, value=value) for name, value in overrides.items()]
    node = DepthNode('fuzzed', parameter_overrides=parameters)
    node.begin()
    assert node.worker is not None
    process = node.worker._process

    def at_once(item: Pair, lane: object = None) -> bool:
        process(item)
        return False

    node.worker.offer = at_once  # type: ignore[method-assign]
    wanted = frozenset(OUTPUT_TYPES)
    node.cameras[0].outputs.wanted = lambda: wanted  # type: ignore[method-assign]
    try:
        yield Fuzzer(node)
    finally:
        node.close()


def main() -> int:
    """Run cases; exit code 1 when one found a bug."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else '')
    parser.add_argument('--count', type=int, default=100_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--first', type=int, default=0, help='case to begin with')
    args = parser.parse_args()
    rclpy.init(args=['--ros-args', '--log-level', 'fatal'])
    with fuzzer() as made:
        report = made.run(args.seed, args.first, args.count)
    rclpy.try_shutdown()
    for bug in report.bugs[:20]:
        print(bug)
    early, late = report.memory_mib
    print(f'{report.cases} cases, {len(report.bugs)} bugs')
    print(f'slowest {report.slowest[0]:.2f} s, case {report.slowest[1]}')
    print(f'memory {early:.0f} MiB after a tenth, {late:.0f} MiB at the end')
    print(', '.join(f'{name}: {n}' for name, n in report.outcomes.most_common()))
    return int(bool(report.bugs))


if __name__ == '__main__':
    sys.exit(main())
