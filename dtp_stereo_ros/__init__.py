"""Stereo depth with DTPnet, a distilled and pruned 2D-convolution network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'

__all__ = [
    'PipelineConfig',
    'StereoCalibration',
    'StereoFrame',
    'StereoPipeline',
    'read_image',
]

# Imported when they are first used: `import dtp_stereo_ros` loads neither NumPy nor OpenCV, which
# the help texts and the launch files do without.
_MODULES = {
    'PipelineConfig': 'config',
    'StereoCalibration': 'stereo',
    'StereoFrame': 'stereo',
    'StereoPipeline': 'pipeline',
    'read_image': 'image_io',
}

if TYPE_CHECKING:
    from .config import PipelineConfig
    from .image_io import read_image
    from .pipeline import StereoPipeline
    from .stereo import StereoCalibration, StereoFrame
else:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
        value = getattr(importlib.import_module(f'.{_MODULES[name]}', __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
