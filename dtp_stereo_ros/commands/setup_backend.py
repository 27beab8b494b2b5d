"""`dtp-stereo setup-backend`: packages that apt does not have, without harm to NumPy."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

from .. import machine
from ..backends import TABLE
from ..errors import BackendError

HELP = 'install what runs the network, or reads bags, without breaking NumPy'

DESCRIPTION = """\
Install OpenVINO or ONNX Runtime with pip, then load the model with it. The installed NumPy stays
usable for OpenCV and the other modules that were installed by apt. OpenVINO is faster; it is the
default where it has packages, on x86-64 and 64-bit ARM. `bag` installs what the commands bag,
replay and view read recordings with.

exit code: 0 what was installed works, 2 it could not be installed or does not work

examples:
  dtp-stereo setup-backend
  ros2 run dtp_stereo dtp-stereo setup-backend onnx
  ros2 run dtp_stereo dtp-stereo setup-backend bag
  dtp-stereo setup-backend --dry-run"""

_BAG = 'bag'
_CHOICES = ('openvino', 'onnx', _BAG)
# Those of the extra `bag` of setup.py.
BAG_PACKAGES = ('rosbags', 'mcap', 'tqdm')
_BAG_CHECK = f'import {", ".join(BAG_PACKAGES)}; print("bags can be read")'
_CHECK = (
    'from dtp_stereo_ros.backends import choose; '
    'from dtp_stereo_ros.config import PipelineConfig; '
    'print(choose(PipelineConfig(backend={!r}))[1])'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'backend', nargs='?', choices=_CHOICES,
        help='backend (default: openvino where it has packages, else onnx), or bag',
    )  # fmt: skip
    parser.add_argument(
        '--dry-run', action='store_true', help='print the pip command and do nothing'
    )


def run(args: argparse.Namespace) -> int:
    """Install and try out.

    Raises:
        BackendError: pip failed, or the backend does not start.
    """
    backend = args.backend or ('openvino' if machine.runs_openvino() else 'onnx')
    packages = BAG_PACKAGES if backend == _BAG else (TABLE[backend][1],)
    command = machine.pip_install(*packages)
    print(shlex.join(command), flush=True)
    if args.dry_run:
        return 0
    if subprocess.run(command).returncode:
        raise BackendError(
            f'pip could not install {", ".join(packages)}, see above; are pip (apt install '
            'python3-pip) and the network there?'
        )
    code = _BAG_CHECK if backend == _BAG else _CHECK.format(backend)
    check = [sys.executable, '-c', code]
    done = subprocess.run(check, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ['no output'])[-1]
        raise BackendError(f'{backend} is installed but does not start: {last}')
    print(done.stdout.strip())
    return 0
