"""The errors a user can cause or mend.

Every message is one line that names the file, topic or parameter and says what to do about it.
Anything that is not a :class:`StereoError` is a bug and crashes loudly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class StereoError(Exception):
    """Base of all errors that are reported to the user as one line, without a traceback."""


class InputError(StereoError):
    """An image, a pair of images or a data set cannot be used."""


class CalibrationError(StereoError):
    """The camera calibration is missing or describes no stereo pair."""


class ConfigError(StereoError):
    """A setting is unknown, out of range or contradicts another."""


class ModelError(StereoError):
    """A model file is missing, unreadable, of another kind, or disagrees with its reference."""


class BackendError(StereoError):
    """A backend is unknown, or cannot start on this machine, or failed while running."""


def one_line(error: BaseException) -> str:
    """Message of an exception, line breaks and runs of blanks as single blanks."""
    return ' '.join(str(error).split())


def refusal(error: Exception) -> StereoError:
    """An error that refuses a change: of a user it stays as it is, a bug gets its type in front.

    A node that works does not end because of a value that it is asked to take.
    """
    if isinstance(error, StereoError):
        return error
    return BackendError(f'{type(error).__name__}: {one_line(error)}')


@contextmanager
def of_place(place: Path | str) -> Iterator[None]:
    """Input errors of what is done within, each with the file or topic that it is of.

    Raises:
        InputError: with the place in front.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f'{place}: {error}') from None
