"""Copies of a message in another class: of a bag's message in the class of this ROS."""

from __future__ import annotations

import array
from typing import Any

import numpy as np


def copied(message_class: type, message: Any) -> Any:
    """A message of the given class with the fields of another, which has at least the same names.

    A message of ROS 1 differs by a field (`seq` of its header), which is left out.

    Args:
        message_class: of rclpy: its instances tell their fields by
            `get_fields_and_field_types()`.
        message: of any class, read by its fields.

    Raises:
        AttributeError: the message lacks a field.
    """
    made = message_class()
    for name in made.get_fields_and_field_types():
        field, value = getattr(made, name), getattr(message, name)
        if isinstance(field, array.array):
            # In place: a setter may copy element by element.
            field.frombytes(np.ascontiguousarray(value, field.typecode).tobytes())
        else:
            setattr(made, name, _value(field, value))
    return made


def _value(default: Any, value: Any) -> Any:
    """A value in the type that the field has in an empty message."""
    if hasattr(default, 'get_fields_and_field_types'):
        return copied(type(default), value)
    if isinstance(default, np.ndarray):
        return np.asarray(value, default.dtype)
    return type(default)(value)
