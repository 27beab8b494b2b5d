"""`dtp-stereo setup-backend`: the package that runs the network, without harm to NumPy."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys

from .. import machine
from ..backends import TABLE
from ..errors import BackendError

HELP = 'install the package that runs the network, without breaking NumPy'

DESCRIPTION = """\
Install OpenVINO or ONNX Runtime with pip, then load the model with it. The installed NumPy stays
usable for OpenCV and the other modules that were installed by apt. OpenVINO is faster; it is the
default where it has packages, on x86-64 and 64-bit ARM.

exit code: 0 the backend works, 2 it could not be installed or does not work

examples:
  dtp-stereo setup-backend
  ros2 run dtp_stereo dtp-stereo setup-backend onnx
  dtp-stereo setup-backend --dry-run"""

_CHOICES = ('openvino', 'onnx')
_CHECK = (
    'from dtp_stereo_ros.backends import choose; '
    'from dtp_stereo_ros.config import PipelineConfig; '
    'print(choose(PipelineConfig(backend={!r}))[1])'
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        'backend', nargs='?', choices=_CHOICES,
        help='backend (default: openvino where it has packages, else onnx)',
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
    package = TABLE[backend][1]
    command = machine.pip_install(package)
    print(shlex.join(command), flush=True)
    if args.dry_run:
        return 0
    if subprocess.run(command).returncode:
        raise BackendError(
            f'pip could not install {package}, see above; are pip (apt install python3-pip) and '
            'the network there?'
        )
    check = [sys.executable, '-c', _CHECK.format(backend)]
    done = subprocess.run(check, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ['no output'])[-1]
        raise BackendError(f'{backend} is installed but does not start: {last}')
    print(done.stdout.strip())
    return 0
