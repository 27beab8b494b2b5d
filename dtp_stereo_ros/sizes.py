"""Picture sizes as users write them."""

from __future__ import annotations

from .errors import ConfigError

_LARGEST_PX = 8192
# Of an image: more than any camera has; decoded, 200 MB.
MAX_PIXELS = 2**26


def parse_size(text: str, option: str, form: str, multiple: int = 1) -> tuple[int, int]:
    """Parse '640x480'; the numbers come in the order in which they are written.

    Args:
        text: what the user wrote.
        option: where, for errors.
        form: what it means, 'WIDTHxHEIGHT' or 'HEIGHTxWIDTH'.
        multiple: both must be multiples of it.

    Raises:
        ConfigError: not of that form, too large, or no multiples.
    """
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(p.isdecimal() and 0 < int(p) <= _LARGEST_PX for p in parts):
        example = '640x480' if form.startswith('WIDTH') else '160x512'
        raise ConfigError(f'{option}: {text!r} is not {form}, for example {example}')
    first, second = (int(part) for part in parts)
    if first % multiple or second % multiple:
        raise ConfigError(f'{option}: {text} must be multiples of {multiple}')
    return first, second
