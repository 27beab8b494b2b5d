"""Static transforms of a bag, from ``/tf_static``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .recording import Recording

Matrix = npt.NDArray[np.float64]

_TOPIC = '/tf_static'


class Transforms:
    """A tree of frames."""

    def __init__(self) -> None:
        self._to_parent: dict[str, tuple[str, Matrix]] = {}

    def add(self, stamped: Iterable[Any]) -> None:
        """Take `geometry_msgs/TransformStamped` messages."""
        for one in stamped:
            child, parent = _name(one.child_frame_id), _name(one.header.frame_id)
            self._to_parent[child] = parent, _matrix(one.transform)

    def between(self, target: str, source: str) -> Matrix | None:
        """Points of the source frame in the target frame, (4, 4); None where not joined."""
        up_source, up_target = self._upwards(_name(source)), self._upwards(_name(target))
        for frame, matrix in up_source.items():
            if frame in up_target:
                return np.linalg.inv(up_target[frame]) @ matrix
        return None

    def _upwards(self, frame: str) -> dict[str, Matrix]:
        """The frame and its ancestors, each with the transform to it."""
        found, matrix = {frame: np.eye(4)}, np.eye(4)
        while frame in self._to_parent:
            frame, step = self._to_parent[frame]
            if frame in found:  # a loop
                break
            matrix = step @ matrix
            found[frame] = matrix
        return found


def static_transforms(recording: Recording) -> Transforms:
    """All of the bag; none where the topic was not recorded."""
    transforms = Transforms()
    for _, _, message in recording.messages([_TOPIC]):
        transforms.add(message.transforms)
    return transforms


def _name(frame: str) -> str:
    """ROS 1 wrote some frames with a leading slash."""
    return frame.lstrip('/')


def _matrix(transform: Any) -> Matrix:
    """Rotation by the unit quaternion and translation, as (4, 4)."""
    q, t = transform.rotation, transform.translation
    x, y, z, w = np.array([q.x, q.y, q.z, q.w]) / (np.linalg.norm([q.x, q.y, q.z, q.w]) or 1.0)
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = t.x, t.y, t.z
    return matrix
