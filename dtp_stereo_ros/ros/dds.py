"""What `doctor` finds in the settings of the middleware, and what a finding is."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rclpy.utilities import get_rmw_implementation_identifier

# Above this a message no longer goes through the default transports of Fast DDS without loss, and
# above the other not through LARGE_DATA: docs/large_messages.md.
_LARGE_BYTES = 500_000
_LARGER_BYTES = 1_500_000
_SHM_FREE_BYTES = 256 * 2**20
_SOCKET_BYTES = 4 * 2**20
_TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
_PROFILES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: 'ok', 'warn' (may cost something) or 'error' (something does not work).
        subject: what was looked at.
        text: what was found.
        mend: what to do, '' where nothing is to be done.
    """

    level: str
    subject: str
    text: str
    mend: str = ''


def dds_findings(largest_bytes: int) -> list[Finding]:
    """Transports, shared memory and sockets of this machine and this environment.

    Args:
        largest_bytes: size of the images.
    """
    rmw = get_rmw_implementation_identifier()
    found = [Finding('ok', 'dds', f'{rmw}, domain {os.environ.get("ROS_DOMAIN_ID", "0")}')]
    is_fast = 'fastrtps' in rmw
    if is_fast:
        found += _transport_findings(largest_bytes)
    shm = Path('/dev/shm')
    if is_fast and shm.is_dir() and shutil.disk_usage(shm).free < _SHM_FREE_BYTES:
        text = f'/dev/shm has {shutil.disk_usage(shm).free / 2**20:.0f} MiB left'
        mend = 'containers: --shm-size=1g or --ipc=host; else: fastdds shm clean'
        found.append(Finding('warn', 'dds', text, mend))
    rmem = Path('/proc/sys/net/core/rmem_max')
    if rmem.is_file() and int(rmem.read_text()) < _SOCKET_BYTES:
        text = f'net.core.rmem_max is {int(rmem.read_text())} bytes'
        mend = f'for images from other machines: sysctl -w net.core.rmem_max={_SOCKET_BYTES}'
        found.append(Finding('warn', 'dds', text, mend))
    return found


def _transport_findings(largest_bytes: int) -> list[Finding]:
    """Whether what Fast DDS is told fits the images; it ignores a profile that is not there."""
    files = {name: value for name in _PROFILES if (value := os.environ.get(name))}
    missing = [f'{name}={value}' for name, value in files.items() if not Path(value).is_file()]
    if missing:
        text = f'{missing[0]}: no such file, Fast DDS ignores it'
        return [Finding('error', 'dds', text, 'correct the path: docs/large_messages.md')]
    transports = os.environ.get(_TRANSPORTS, '')
    is_large_data = transports.startswith('LARGE_DATA')
    if files or largest_bytes <= (_LARGER_BYTES if is_large_data else _LARGE_BYTES):
        return []
    name = f'{_TRANSPORTS}={transports}' if transports else 'the default transports of Fast DDS'
    text = f'images of {largest_bytes / 1e6:.1f} MB over {name}'
    mend = 'start all processes with our profile: docs/large_messages.md'
    return [Finding('warn', 'dds', text, mend)]
