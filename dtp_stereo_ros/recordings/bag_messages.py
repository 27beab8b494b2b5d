"""Message classes of a rosbag2 for the writers in `messages/`, and messages to their bytes.

The bytes are those of the types that rosbags knows by the name. Fields are read by their names, so
that messages of ROS 1, or with lists instead of arrays, are taken as well.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import InputError
from ..machine import setup_command
from ..messages.types import MessageTypes

# Field of `MessageTypes` to the type's name in a bag.
KINDS = {
    'image': 'sensor_msgs/msg/Image',
    'compressed_image': 'sensor_msgs/msg/CompressedImage',
    'camera_info': 'sensor_msgs/msg/CameraInfo',
    'disparity_image': 'stereo_msgs/msg/DisparityImage',
    'point_cloud': 'sensor_msgs/msg/PointCloud2',
    'point_field': 'sensor_msgs/msg/PointField',
}
# Of the kinds of a field in rosbags, as `Nodetype` numbers them.
_BASE, _NAME, _ARRAY = 1, 2, 3
_EMPTY = {'string': '', 'bool': False, 'float32': 0.0, 'float64': 0.0}
_DTYPES = {'bool': 'u1', 'byte': 'u1', 'char': 'u1', 'octet': 'u1'}


class BagMessages:
    """Makes and serialises the messages of a rosbag2.

    Attributes:
        types: make empty messages, for the writers in `messages/`.
        store: of rosbags, with its types.
    """

    def __init__(self) -> None:
        try:
            from rosbags.typesys import Stores, get_typestore
        except ImportError as error:
            raise InputError(f'{error}; {setup_command("bag")}') from error
        # Those of Humble are the types of all later distributions.
        self.store = get_typestore(Stores.ROS2_HUMBLE)
        self.types = MessageTypes(**{name: self._maker(kind) for name, kind in KINDS.items()})

    def serialised(self, message: Any, kind: str) -> bytes | memoryview:
        """The CDR bytes of a message that has the fields of that type."""
        return self.store.serialize_cdr(self._plain(message, kind), kind)

    def _maker(self, kind: str) -> Any:
        def make(**given: Any) -> Any:
            message = self._empty(kind)
            vars(message).update(given)
            return message

        return make

    def _empty(self, kind: str) -> SimpleNamespace:
        fields = self.store.fielddefs[kind][1]
        return SimpleNamespace(**{name: self._nothing(desc) for name, desc in fields})

    def _nothing(self, desc: Any) -> Any:
        """The value that a field has in an empty message."""
        node, inner = desc
        if node == _BASE:
            return _EMPTY.get(inner[0], 0)
        if node == _NAME:
            return self._empty(inner)
        (element, name), count = inner
        if element == _BASE and name[0] != 'string':
            return np.zeros(count if node == _ARRAY else 0, _dtype(name[0]))
        return [self._nothing((element, name)) for _ in range(count if node == _ARRAY else 0)]

    def _plain(self, message: Any, kind: str) -> SimpleNamespace:
        """The message with NumPy arrays, as the serialiser takes them."""
        fields = self.store.fielddefs[kind][1]
        return SimpleNamespace(
            **{name: self._value(_field(message, name), desc) for name, desc in fields}
        )

    def _value(self, value: Any, desc: Any) -> Any:
        node, inner = desc
        if node == _BASE:
            return value
        if node == _NAME:
            return self._plain(value, inner)
        element, name = inner[0]
        if element == _NAME:
            return [self._plain(item, name) for item in value]
        return value if name[0] == 'string' else np.asarray(value, _dtype(name[0]))


def _field(message: Any, name: str) -> Any:
    """A field by its name; ROS 1 writes some in capitals."""
    return getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())


def _dtype(name: str) -> np.dtype[Any]:
    return np.dtype(_DTYPES.get(name, name))
