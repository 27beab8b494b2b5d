"""A recorded stereo camera sent to the real node, and all that the node answers."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dtp_stereo_ros.backends.choice import chosen_name
from dtp_stereo_ros.errors import BackendError, InputError
from dtp_stereo_ros.evaluation.replay_figures import (
    LOCKSTEP,
    Answer,
    DisparityHash,
    Load,
    ReplayFigures,
)
from dtp_stereo_ros.evaluation.runner import method_name
from dtp_stereo_ros.messages.copies import copied
from dtp_stereo_ros.messages.stamps import stamp_ns
from dtp_stereo_ros.recordings.recorded_pairs import RecordedPair
from dtp_stereo_ros.stereo import SIDES

from ..diagnostics import pid_here
from ..outputs import OUTPUT_TYPES
from .node_process import START_S, NodeProcess
from .player import time_of
from .probe import image_array
from .process_load import ProcessLoad
from .replay_node import DIAGNOSTICS_PERIOD_S

NS_PER_S = 1_000_000_000
# Camera infos first, so that no image waits for its own.
PARTS = ('left_info', 'right_info', 'left', 'right')

_RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
_EXTRAS = ('depth/image', 'confidence')

_LISTENER_S = 10.0
# Between the graph that knows of a subscriber and the first message that reaches it.
_SETTLE_S = 0.5
_DIAGNOSTICS_S = 4.0
# A first result may have to wait until the model is compiled for the size of the images.
_FIRST_S, _FIRST_AGAIN_S = 120.0, 2.0
_NEXT_S = 10.0
_TIMES_USUAL = 10
# A reliable message of megabytes takes seconds where the middleware has to repeat its parts.
_EXTRA_S = 20.0
_BEFORE_NS = 10 * NS_PER_S
_LOST_IN_A_ROW = 5
# Times that a pair is sent.
_TRIES = 3
_SPIN_S = 0.1


class NodeGoneError(BackendError):
    """The node has ended, or answers nothing any more."""


@dataclass(frozen=True)
class Answered:
    """The messages that the node made of one pair.

    Attributes:
        latency_s: from sending its last image to the disparity.
    """

    disparity: Any
    depth: Any
    confidence: Any
    latency_s: float


class Replayer:
    """Publishes a camera and /clock, and subscribes to the node's outputs and diagnostics.

    Args:
        context: of rclpy.
        inputs: 'left', 'right', 'left_info', 'right_info' to the topics that are sent.
        compressed: the images are CompressedImage.
        disparity: topic of the node's disparity; its other outputs lie beside it.
        figures: are filled.
        process: of the node, None where somebody else started it.

    Attributes:
        told: values of the node's newest diagnostics.
        on_disparity: called with stamp, message and time of arrival (monotonic) of each result.
    """

    def __init__(
        self,
        context: Context,
        inputs: Mapping[str, str],
        compressed: bool,
        disparity: str,
        figures: ReplayFigures,
        process: NodeProcess | None,
    ) -> None:
        self.figures = figures
        self.inputs = dict(inputs)
        self.told: dict[str, str] = {}
        self.on_disparity: Callable[[int, Any, float], None] = lambda *_: None
        self._process = process
        self._node = Node(
            'replay', context=context, start_parameter_services=False, enable_rosout=False
        )
        self._executor = SingleThreadedExecutor(context=context)
        self._executor.add_node(self._node)
        self._types: dict[str, type] = {
            part: CameraInfo if part.endswith('info') else CompressedImage if compressed else Image
            for part in PARTS
        }
        self._publishers = {
            part: self._node.create_publisher(self._types[part], inputs[part], _RELIABLE)
            for part in PARTS
        }
        self._clock = self._node.create_publisher(Clock, '/clock', _RELIABLE)
        folder = disparity.rpartition('/')[0]
        self._topics = {'disparity': disparity}
        for name in _EXTRAS:
            self._topics[name] = f'{folder}/{name}' if folder else name
        self._got: dict[str, dict[int, Any]] = {}
        self._ever: set[str] = set()
        self._subscriptions: dict[str, Any] = {}
        self._load = ProcessLoad(process.pid if process else None)
        self._before: dict[str, str] = {}
        self._reports = 0
        self._lost_in_a_row = 0
        self._asking = False
        self._started_s = time.monotonic()
        self._subscribe('disparity')
        self._node.create_subscription(
            DiagnosticArray, '/diagnostics', self._hear, QoSProfile(depth=10)
        )

    def close(self) -> None:
        """Take publishers and subscriptions down."""
        self._executor.shutdown()
        self._node.destroy_node()

    @property
    def elapsed_s(self) -> float:
        """Since `begin`."""
        return time.monotonic() - self._started_s

    def connect(self) -> None:
        """Wait until the node listens and publishes.

        Raises:
            InputError: nobody listens to a topic, or nobody publishes the disparity.
            NodeGoneError: the node could not start.
        """
        timeout_s = START_S if self._process else _LISTENER_S
        # To the images it listens once somebody wants the disparity.
        if not self.spin(self._connected, timeout_s):
            deaf = [p for p in PARTS if not self._publishers[p].get_subscription_count()]
            if deaf:
                topic, option = self.inputs[deaf[0]], f'--send-{deaf[0].replace("_", "-")}'
                raise InputError(
                    f'{topic}: nobody listens to it; start the node, or name its topic by {option}'
                )
            raise InputError(
                f'{self._name("disparity")}: nobody publishes it; start the node, or name its '
                'topic by --disparity'
            )
        self.spin(lambda: False, _SETTLE_S)
        self.spin(lambda: bool(self.told), _DIAGNOSTICS_S)
        if self._process is None:
            self._load = ProcessLoad(pid_here(self.told.get('process', '')))
        if self.figures.mode == LOCKSTEP:
            for name in _EXTRAS:
                wanted = name != 'confidence' or self.told.get('model') != 'sgbm'
                if wanted and self._node.count_publishers(self._name(name)):
                    self._subscribe(name)
            self.spin(lambda: False, _SETTLE_S)

    def warm_up(self, pair: RecordedPair) -> None:
        """Let the node compile and allocate what it needs for images of this size.

        The pair is sent with earlier stamps, and is in no figure.

        Raises:
            NodeGoneError: it brought no result.
        """
        figures, self.figures = self.figures, ReplayFigures(self.figures.mode)
        got, self._asking = self._got['disparity'], True
        deadline = time.monotonic() + _FIRST_S
        # In a simulation the time begins at 0, and there is none below.
        before_ns = min(_BEFORE_NS, stamp_ns(pair.left), stamp_ns(pair.right))
        shift_ns = -before_ns
        try:
            while not got:
                if time.monotonic() > deadline:
                    raise NodeGoneError(f'the first pair brings no result{self._why()}')
                # Images that are not sent reliably may be lost.
                shift_ns += before_ns // 100
                self._send_pair(pair, shift_ns)
                self.spin(lambda: bool(got), _FIRST_AGAIN_S)
            for _ in range(_TRIES):
                if self.spin(lambda: all(self._got[name] for name in self._extras()), _NEXT_S):
                    break
                shift_ns += before_ns // 100
                self._send_pair(pair, shift_ns)
            # Only a model without confidence does not publish all.
            if 'confidence' in self._extras() and not self._got['confidence']:
                self._node.destroy_subscription(self._subscriptions.pop('confidence'))
            self.spin(lambda: False, _SETTLE_S)
        finally:
            self._asking, self.figures = False, figures

    def begin(self) -> None:
        """Start the time, and take the state of the node's counters once it rests."""
        self._next_report()
        self.spin(lambda: _rests(self.told), _NEXT_S)
        self._before = dict(self.told)
        self.figures.loads.clear()
        self._started_s = time.monotonic()

    def method(self) -> str:
        """Name of the node's model, backend and precision, as other commands name them."""
        backend = chosen_name(self.told.get('backend', ''))
        if not backend:
            return 'node'
        model, precision = self.told.get('model', ''), self.told.get('precision', '')
        return method_name(backend, model, precision)

    def ask(self, pair: RecordedPair, digest: DisparityHash, shift_ns: int = 0) -> Answered | None:
        """Send a pair and wait for its result; None where none came.

        Args:
            pair: of the bag.
            digest: takes the disparity.
            shift_ns: is added to the stamps.

        Raises:
            NodeGoneError: the node has ended, or several pairs in a row brought nothing.
        """
        self._asking = True
        try:
            return self._ask(pair, digest, shift_ns)
        finally:
            self._asking = False

    def _ask(self, pair: RecordedPair, digest: DisparityHash, shift_ns: int) -> Answered | None:
        stamp = stamp_ns(pair.left) + shift_ns
        for found in self._got.values():
            found.clear()
        self.figures.sent += 1
        usual_s = np.median([a.arrival_ms for a in self.figures.answers[-64:]] or [0.0]) / 1e3
        patience_s = max(_NEXT_S, _TIMES_USUAL * float(usual_s))
        first_s = 0.0
        for _ in range(_TRIES):
            sent_s = self._send_pair(pair, shift_ns)
            first_s = first_s or sent_s
            if self.spin(lambda: stamp in self._got['disparity'], patience_s) and self.spin(
                lambda: all(stamp in self._got[name] for name in self._extras()), _EXTRA_S
            ):
                break
            patience_s = _NEXT_S
        else:
            self._lost_in_a_row += 1
            if self._lost_in_a_row >= _LOST_IN_A_ROW:
                raise NodeGoneError(
                    f'{_LOST_IN_A_ROW} pairs in a row brought no result{self._why()}'
                )
            return None
        self._lost_in_a_row = 0
        disparity, arrived_s = self._got['disparity'][stamp]
        latency_s = arrived_s - first_s
        time_s = arrived_s - self._started_s
        self.figures.answers.append(Answer(time_s, 1e3 * latency_s))
        digest.add(image_array(disparity.image))
        beside = {name: self._got[name][stamp][0] for name in self._extras()}
        return Answered(disparity, beside.get('depth/image'), beside.get('confidence'), latency_s)

    def _extras(self) -> list[str]:
        """The outputs beside the disparity that are subscribed to."""
        return [name for name in _EXTRAS if name in self._subscriptions]

    def finish(self) -> None:
        """Take what the node counted since `begin`."""
        self.figures.duration_s = self.figures.duration_s or self.elapsed_s
        before = self._before
        gone = self.gone()
        if not gone:
            self._next_report()
        for key, value in self.told.items():
            kind, _, cause = key.partition(' ')
            counts = {'dropped': self.figures.dropped, 'images': self.figures.images}.get(kind)
            if counts is None or not value.isdigit():
                continue
            number = int(value) - int(before.get(key, '0'))
            if cause == 'paired':
                # What the node told last is older than its end.
                self.figures.paired = None if gone else number
            else:
                counts[cause] = number
        # Those of the wait above are of an idle node.
        end_s = self.figures.duration_s + DIAGNOSTICS_PERIOD_S
        self.figures.loads = [load for load in self.figures.loads if load.time_s <= end_s]

    def _next_report(self) -> None:
        """Wait for diagnostics that were made from now on."""
        # The next one may be on its way already.
        reports = self._reports
        self.spin(lambda: self._reports >= reports + 2, _DIAGNOSTICS_S, watch=False)

    def gone(self) -> str:
        """Why the node answers nothing any more; '' while it is there."""
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return ''
            line = self._process.last_line()[-200:]
            return f'the node ended with code {code}' + f': {line}' * bool(line)
        if 'disparity' in self._ever and not self._node.count_publishers(self._name('disparity')):
            return f'{self._name("disparity")}: the node that published it is gone'
        return ''

    def spin(self, done: Callable[[], bool], timeout_s: float, watch: bool = True) -> bool:
        """Receive until something is done; returns whether it is.

        Raises:
            NodeGoneError: the node has ended, where it is watched.
        """
        deadline = time.monotonic() + timeout_s
        while not done():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            if watch and (reason := self.gone()):
                raise NodeGoneError(reason)
            self._executor.spin_once(timeout_sec=min(left_s, _SPIN_S))
        return True

    def _send_pair(self, pair: RecordedPair, shift_ns: int) -> float:
        """Send all messages of a pair; returns when the last one was sent (monotonic)."""
        given = {'left': pair.left, 'right': pair.right}
        given |= {f'{side}_info': pair.infos[side] for side in SIDES if side in pair.infos}
        made = {part: self.message(part, given[part], shift_ns) for part in PARTS if part in given}
        # They belong together already: the node need not find its tolerance first, and takes no
        # other info for them.
        for message in made.values():
            message.header.stamp = made['left'].header.stamp
        self.set_clock(stamp_ns(pair.left) + shift_ns)
        for part, message in made.items():
            self.send(part, message)
        return time.monotonic()

    def message(self, part: str, given: Any, shift_ns: int = 0) -> Any:
        """A message of the bag in the class of this ROS."""
        made = copied(self._types[part], given)
        if shift_ns:
            made.header.stamp = time_of(stamp_ns(given) + shift_ns)
        return made

    def send(self, part: str, message: Any) -> None:
        """Publish a message of a part."""
        self._publishers[part].publish(message)

    def set_clock(self, now_ns: int) -> None:
        """Publish the simulated time."""
        # No message has an earlier time than 0.
        self._clock.publish(Clock(clock=time_of(max(0, now_ns))))

    def _connected(self) -> bool:
        heard = all(p.get_subscription_count() > 0 for p in self._publishers.values())
        return heard and self._node.count_publishers(self._name('disparity')) > 0

    def _name(self, output: str) -> str:
        return str(self._node.resolve_topic_name(self._topics[output]))

    def _subscribe(self, output: str) -> None:
        got: dict[int, Any] = {}
        self._got[output] = got

        def keep(message: Any) -> None:
            arrived_s = time.monotonic()
            stamp = stamp_ns(message)
            self._ever.add(output)
            if self._asking:
                got[stamp] = message, arrived_s
            elif output == 'disparity':
                self.on_disparity(stamp, message, arrived_s)

        self._subscriptions[output] = self._node.create_subscription(
            OUTPUT_TYPES[output], self._topics[output], keep, _RELIABLE
        )

    def _hear(self, message: DiagnosticArray) -> None:
        """Keep the values of our camera, which the topic of its left image tells."""
        by_name = {s.name: {v.key: v.value for v in s.values} for s in message.status}
        for name, values in by_name.items():
            if name.endswith('input') and values.get('left topic') == self.inputs['left']:
                break
        else:
            return
        results = self.told.get('results', '0')
        self.told = {**values, **by_name.get(name.removesuffix('input') + 'matching', {})}
        self._reports += 1
        cpu, memory_mib = self._load.read()
        age = self.told.get('age of output [ms]', '')
        try:
            age_ms = float(age)
        except ValueError:
            age_ms = float('nan')
        # Without a new result it is that of an old one; in lockstep the time stands still.
        if self.told.get('results', '0') == results or self.figures.mode == LOCKSTEP:
            age_ms = float('nan')
        self.figures.loads.append(Load(self.elapsed_s, cpu, memory_mib, age_ms))

    def _why(self) -> str:
        """Messages of the node about itself."""
        said = [v for k, v in self.told.items() if re.match(r'(error|warn) \d', k)]
        return f'; the node says: {said[0]}' if said else '; see its log and diagnostics'


def _rests(told: Mapping[str, str]) -> bool:
    """Whether all pairs that a node counts have become results or drops."""
    done = int(told.get('results', '0'))
    done += sum(int(v) for key, v in told.items() if key.startswith('dropped '))
    return int(told.get('images paired', '0')) <= done
