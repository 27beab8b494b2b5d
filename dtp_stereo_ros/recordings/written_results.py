"""Judged pairs of a recorded stereo camera with the outputs of the node, written as a bag."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..config import NodeConfig
from ..messages.outputs import Computed, output_messages
from ..messages.pictures import disparity_picture
from ..messages.results import confidence_image
from ..messages.stamps import stamp_ns
from ..stereo import SIDES, StereoResult
from ..topics import COMPRESSED_ENDING, OUTPUTS
from .bag_messages import KINDS
from .recorded_frames import RecordedCamera, RecordedFrame
from .recorded_pairs import RecordedPair
from .written_bag import WrittenBag, uninterrupted

# Of the cloud, unless the parameters thin it out otherwise: a full one is ten times the images.
DECIMATION = 4
# Where an output has the name of a recorded topic.
_ASIDE = 'dtp_stereo/'
_TRANSFORMS = '/tf_static'
_TRANSFORMS_KIND = 'tf2_msgs/msg/TFMessage'


class ResultWriter:
    """Writes the pairs of one camera, as they were recorded, and the outputs beside them.

    The time of recording of each message is its stamp, so that a player shows pair and outputs
    together. Without a camera info there are only `disparity/compressed` and `confidence`.

    Args:
        bag: open for writing.
        camera: that is read.
        config: of the node.
        max_depth_m: of the pipeline.
        several: whether there are other cameras, so that its name stands before the outputs.

    Attributes:
        pairs: number of pairs so far.
        prefix: of the outputs' topics.
    """

    def __init__(
        self,
        bag: WrittenBag,
        camera: RecordedCamera,
        config: NodeConfig,
        max_depth_m: float,
        several: bool = False,
    ) -> None:
        thinned = config.decimation > 1 or config.voxel_size > 0
        self._config = config if thinned else replace(config, decimation=DECIMATION)
        self._bag = bag
        self._camera = camera
        self._max_depth_m = max_depth_m
        self._last: dict[str, Any] = {}
        self.pairs = 0
        topics = camera.topics
        recorded = {*topics.by_part.values(), topics.truth}
        self.prefix = f'/{topics.name}/' if several and topics.name else '/'
        if recorded & {self.prefix + topic for topic in OUTPUTS}:
            self.prefix += _ASIDE

    def add(self, recorded: RecordedFrame, result: StereoResult) -> None:
        """Write a pair and the outputs of the node for its result.

        Raises:
            ConfigError: the depth limits leave no disparity range to publish.
        """
        if recorded.pair is None:
            return
        outputs = self._outputs(recorded, result)
        with uninterrupted():
            self._write(recorded.pair, outputs)

    def _write(self, pair: RecordedPair, outputs: list[tuple[str, Any]]) -> None:
        topics, time_ns = self._camera.topics, stamp_ns(pair.left)
        if not self.pairs:
            self._write_transforms(time_ns)
        self.pairs += 1
        for side in pair.infos:
            # One that was latched is written once, before the images. A left one that was made
            # of the right one has no topic.
            if topic := topics.by_part[f'{side}_info']:
                self._write_new(topic, time_ns, pair.infos[side])
        for side, message in zip(SIDES, (pair.left, pair.right), strict=True):
            self._write_new(topics.by_part[side], stamp_ns(message), message)
        if pair.truth is not None:
            self._write_new(topics.truth, stamp_ns(pair.truth), pair.truth)
        for topic, message in outputs:
            self._bag.write(self.prefix + topic, KINDS[OUTPUTS[topic]], time_ns, message)

    def _outputs(self, recorded: RecordedFrame, result: StereoResult) -> list[tuple[str, Any]]:
        pair, calibration = recorded.pair, recorded.frame.calibration
        assert pair is not None
        types, header = self._bag.messages.types, pair.left.header
        if calibration is None:
            picture = disparity_picture(types, result, None, header)
            found = [(f'disparity{COMPRESSED_ENDING}', picture)]
            if result.confidence is not None:
                found.append(('confidence', confidence_image(types, result.confidence, header)))
            return found
        computed = Computed(
            result,
            calibration,
            recorded.frame.left,
            pair.infos['left'],
            header,
            self._max_depth_m,
        )
        return list(output_messages(types, OUTPUTS, computed, self._config))

    def _write_new(self, topic: str, time_ns: int, message: Any) -> None:
        """Write a recorded message, unless it is the one that was written last."""
        if self._last.get(topic) is message:
            return
        self._last[topic] = message
        self._bag.write(topic, self._camera.recording.types[topic], time_ns, message)

    def _write_transforms(self, time_ns: int) -> None:
        """The static transforms: a LiDAR's points are judged, and clouds shown, by them."""
        recording = self._camera.recording
        if recording.types.get(_TRANSFORMS) != _TRANSFORMS_KIND:
            return
        if _TRANSFORMS in self._bag.counts:  # of another camera of the same bag
            return
        for _, _, message in recording.messages([_TRANSFORMS]):
            self._bag.write(_TRANSFORMS, _TRANSFORMS_KIND, time_ns, message)
