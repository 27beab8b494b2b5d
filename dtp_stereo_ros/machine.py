"""The Python of this machine: whether NumPy and OpenCV fit each other, and pip without harm.

On a robot both come by apt, as do other modules compiled against that NumPy. A newer NumPy that
pip puts before it breaks them. Only the standard library is imported here until that is known.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import sys
import sysconfig
from pathlib import Path


def mismatch() -> str:
    """Why OpenCV cannot be imported here, in one line with the mend; '' where it can."""
    try:
        import numpy as np
    except ImportError as error:
        return (
            f'NumPy cannot be imported: {_last_line(error)}; install it: apt install python3-numpy'
        )
    # NumPy 2 writes a page to stderr when a module compiled against NumPy 1 is imported.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            import cv2  # noqa: F401
        except ModuleNotFoundError as error:
            if error.name == 'cv2':
                return 'OpenCV is missing; install it: apt install python3-opencv'
            return f'OpenCV cannot be imported: {error}'
        except Exception as error:  # a package may raise anything while it is imported
            # libGL and others of a screen, which opencv-python asks for.
            missing = 'cannot open shared object' in str(error)
            if missing or int(np.__version__.split('.')[0]) < 2:
                return (
                    f'OpenCV cannot be imported: {_last_line(error)}; install one that needs no '
                    f'screen: {_pip("install")} opencv-python-headless'
                )
            return (
                f'NumPy {np.__version__} of {Path(np.__file__).parent} hides the older one that '
                'OpenCV and other apt modules were compiled for; take it away: '
                f'{_pip("uninstall")} numpy'
            )
    return ''


def pip_install(*packages: str) -> list[str]:
    """The command that installs packages and leaves a NumPy that the apt modules can use.

    pip takes the NumPy that is there where it fits them: 1.21.5 fits OpenVINO.
    """
    import numpy as np

    user = not _in_virtual_environment() and os.geteuid() != 0
    numpy = f'numpy<{int(np.__version__.split(".")[0]) + 1}'
    return [*_pip('install').split(), *['--user'] * user, *packages, numpy]


def runs_openvino() -> bool:
    """Whether OpenVINO has packages for this processor: x86-64 and 64-bit ARM."""
    return platform.machine().lower() in ('x86_64', 'amd64', 'aarch64', 'arm64')


def our_command() -> str:
    """`dtp-stereo` as it is typed here: ROS 2 has its executables in no PATH."""
    return 'ros2 run dtp_stereo ' * ('AMENT_PREFIX_PATH' in os.environ) + 'dtp-stereo'


def setup_command(name: str) -> str:
    """The command that installs a backend, or by 'bag' what reads bags, beside apt's NumPy."""
    return f'{our_command()} setup-backend {name}'


def _pip(verb: str) -> str:
    # Ubuntu 24.04 and Debian 12 refuse without this flag (PEP 668); the pip of 22.04 has no such.
    marker = Path(sysconfig.get_path('stdlib'), 'EXTERNALLY-MANAGED')
    managed = marker.exists() and not _in_virtual_environment()
    return f'{sys.executable} -m pip {verb}' + ' --break-system-packages' * managed


def _in_virtual_environment() -> bool:
    return sys.prefix != sys.base_prefix


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
