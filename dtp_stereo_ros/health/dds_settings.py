"""Findings on the settings of the middleware: transports, shared memory, sockets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .finding import Finding

# Above this a message no longer goes through the default transports of Fast DDS without loss, and
# above the other not through LARGE_DATA: docs/large_messages.md.
_LARGE_BYTES = 500_000
_LARGER_BYTES = 1_500_000
_SHM_FREE_BYTES = 256 * 2**20
_SOCKET_BYTES = 4 * 2**20
_TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
LARGE_MESSAGES = (
    'before the camera and the node start: '
    'p=$(ros2 pkg prefix dtp_stereo)/share/dtp_stereo/config/dds/fastdds_large_data.xml && '
    'export FASTDDS_DEFAULT_PROFILES_FILE=$p FASTRTPS_DEFAULT_PROFILES_FILE=$p '
    '(for the node alone, its launch file does it: large_messages:=true)'
)
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


def dds_findings(rmw: str, largest_bytes: int, remote: bool = False) -> list[Finding]:
    """Transports, shared memory and sockets of this machine and this environment.

    Args:
        rmw: the middleware, as 'rmw_fastrtps_cpp'.
        largest_bytes: size of the images.
        remote: they come from another machine.
    """
    found = [Finding('ok', 'dds', f'{rmw}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}')]
    is_fast = 'fastrtps' in rmw
    if is_fast:
        found += _transport_findings(largest_bytes)
    shm = Path('/dev/shm')
    if is_fast and shm.is_dir() and shutil.disk_usage(shm).free < _SHM_FREE_BYTES:
        text = f'/dev/shm has {shutil.disk_usage(shm).free / 2**20:.0f} MiB left'
        mend = 'fastdds shm clean; of a container: docker run --shm-size=1g, or --ipc=host'
        found.append(Finding('warn', 'dds', text, mend))
    rmem = Path('/proc/sys/net/core/rmem_max')
    if remote and rmem.is_file() and int(rmem.read_text()) < _SOCKET_BYTES:
        text = (
            f'images come from another machine and net.core.rmem_max is {rmem.read_text().strip()}'
        )
        mend = f'sudo sysctl -w net.core.rmem_max={_SOCKET_BYTES}'
        found.append(Finding('warn', 'dds', text, mend))
    return found


def loss_mend(rmw: str, image_bytes: int, topic: str) -> str:
    """Mend of images that are sent and do not arrive.

    Args:
        rmw: the middleware.
        image_bytes: size of an image.
        topic: of the images.
    """
    if 'fastrtps' in rmw and _transport_findings(image_bytes):
        return LARGE_MESSAGES
    return (
        f'compare the rate at the camera: ros2 topic hz {topic}; where it is higher, the machine '
        'is too busy or the network too slow, so lower the rate or the resolution, or set '
        'image_transport:=compressed'
    )


def _transport_findings(largest_bytes: int) -> list[Finding]:
    """Whether what Fast DDS is told fits the images; it ignores a profile that is not there."""
    files = {name: value for name in _PROFILES if (value := os.environ.get(name))}
    missing = [f'{name}={value}' for name, value in files.items() if not Path(value).is_file()]
    if missing:
        text = f'{missing[0]}: no such file, Fast DDS ignores it'
        mend = (
            f'unset {missing[0].partition("=")[0]}, or correct the path (docs/large_messages.md)'
        )
        return [Finding('error', 'dds', text, mend)]
    transports = os.environ.get(_TRANSPORTS, '')
    is_large_data = transports.startswith('LARGE_DATA')
    if files or largest_bytes <= (_LARGER_BYTES if is_large_data else _LARGE_BYTES):
        return []
    name = f'{_TRANSPORTS}={transports}' if transports else 'the default transports of Fast DDS'
    text = f'images of {largest_bytes / 1e6:.1f} MB over {name}'
    return [Finding('warn', 'dds', text, LARGE_MESSAGES)]
