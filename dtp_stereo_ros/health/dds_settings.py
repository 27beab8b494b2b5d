"""Findings on the settings of the middleware: transports, shared memory, sockets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from .finding import Finding

# Above this a message no longer goes through the default transports of Fast DDS without loss, and
# above the other not through LARGE_DATA: docs/reports/large_messages.md.
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
        found += transport_findings(os.environ, largest_bytes)
    shm = Path('/dev/shm')
    if is_fast and shm.is_dir():
        found += shared_memory_findings(shutil.disk_usage(shm).free)
    rmem = Path('/proc/sys/net/core/rmem_max')
    if remote and rmem.is_file():
        found += socket_findings(int(rmem.read_text()))
    return found


def shared_memory_findings(free_bytes: int) -> list[Finding]:
    """Finding on too little shared memory.

    Args:
        free_bytes: left in /dev/shm.
    """
    if free_bytes >= _SHM_FREE_BYTES:
        return []
    text = f'/dev/shm has {free_bytes / 2**20:.0f} MiB left'
    mend = 'fastdds shm clean; in a container: docker run --shm-size=1g, or --ipc=host'
    return [Finding('warn', 'dds', text, mend)]


def socket_findings(rmem_max: int) -> list[Finding]:
    """Finding on a small limit of socket buffers, for images of another machine.

    Args:
        rmem_max: net.core.rmem_max, bytes.
    """
    if rmem_max >= _SOCKET_BYTES:
        return []
    text = f'images come from another machine and net.core.rmem_max is {rmem_max}'
    mend = f'sudo sysctl -w net.core.rmem_max={_SOCKET_BYTES}'
    return [Finding('warn', 'dds', text, mend)]


def loss_mend(rmw: str, image_bytes: int, topic: str) -> str:
    """Mend of images that are sent and do not arrive.

    Args:
        rmw: the middleware.
        image_bytes: size of an image.
        topic: of the images.
    """
    if 'fastrtps' in rmw and transport_findings(os.environ, image_bytes):
        return LARGE_MESSAGES
    return (
        f'compare the rate at the camera: ros2 topic hz {topic}; where it is higher, the machine '
        'is too busy or the network too slow, so lower the rate or the resolution, or set '
        'image_transport:=compressed'
    )


def transport_findings(environment: Mapping[str, str], largest_bytes: int) -> list[Finding]:
    """Finding on transports of Fast DDS that are too small, or on a profile that is not there.

    Args:
        environment: variables of the process.
        largest_bytes: size of the images.
    """
    files = {name: value for name in _PROFILES if (value := environment.get(name))}
    missing = [f'{name}={value}' for name, value in files.items() if not Path(value).is_file()]
    if missing:
        text = f'{missing[0]}: no such file, Fast DDS ignores it'
        variable = missing[0].partition('=')[0]
        mend = f'unset {variable}, or correct the path (docs/guides/large_messages.md)'
        return [Finding('error', 'dds', text, mend)]
    transports = environment.get(_TRANSPORTS, '')
    is_large_data = transports.startswith('LARGE_DATA')
    if files or largest_bytes <= (_LARGER_BYTES if is_large_data else _LARGE_BYTES):
        return []
    name = f'{_TRANSPORTS}={transports}' if transports else 'the default transports of Fast DDS'
    text = f'images of {largest_bytes / 1e6:.1f} MB over {name}'
    return [Finding('warn', 'dds', text, LARGE_MESSAGES)]
