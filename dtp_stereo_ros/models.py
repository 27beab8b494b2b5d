"""Finding model files, and reading what they say about themselves.

Shipped models live in the source tree as ``resource/models/NAME.onnx`` and ``NAME.pt``, and
`setup.py` installs that folder as data files under ``share/dtp_stereo/models``:
``('share/dtp_stereo/models', glob('resource/models/*'))``. A bare name is looked for in

1. every folder of ``DTP_STEREO_MODEL_PATH`` (separated like PATH),
2. ``resource/models`` beside this package: a source checkout or an editable install,
3. ``share/dtp_stereo/models`` below each folder above this package: the prefix of a pip or a
   colcon install,
4. the ament index, where it is importable: a colcon install with --symlink-install.
"""

from __future__ import annotations
