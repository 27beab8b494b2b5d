"""Finding on 16-bit images that use a small part of their range."""

from __future__ import annotations

import numpy as np

from ..stereo import UInt8Array
from .finding import Finding

# 12-bit data in 16 bits: no pixel is above 4095 of 65535, which is 16 of 255, rounded.
_BITS_12 = 16


class BrightnessCheck:
    """Judges 16-bit images of one side: several in a row must be dark.

    Args:
        images: in a row; a scene may go dark for some.
    """

    def __init__(self, images: int = 10) -> None:
        self._images = images
        self._dark = 0

    def look(self, image: UInt8Array, encoding: str, topic: str) -> list[Finding]:
        """Look at one image and say what is wrong with it and those before.

        Args:
            image: as decoded from its full range, uint8 (H, W, 3).
            encoding: of an image of 16 bits, '' of one of 8 bits.
            topic: named in the finding.
        """
        if not encoding or int(np.max(image)) > _BITS_12:
            self._dark = 0
            return []
        self._dark += 1
        if self._dark < self._images:
            return []
        text = f'{topic}: no pixel of {encoding} is above 4095 of 65535, it may be 12-bit data'
        mend = 'let the driver send 8 bits, or shift its pixels to the full 16 bits'
        return [Finding('warn', 'brightness', text, mend)]
