"""Versions and hardware of this machine, for bug reports."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from . import __version__

# Named where they are installed.
_PACKAGES = (
    'numpy', 'opencv-python-headless', 'opencv-python', 'openvino', 'onnxruntime',
    'onnxruntime-gpu', 'onnx', 'torch', 'tensorrt', 'tensorrt-cu12', 'tensorrt-cu13',
    'cuda-bindings', 'ros-rclpy',
)  # fmt: skip
_GPU_FIELDS = 'name,driver_version,compute_cap,memory.total'


def describe() -> dict[str, str]:
    """Name to value, in the order in which they are shown; what is not there is left out."""
    found = {
        'dtp_stereo': __version__,
        'system': f'{_system()}, {platform.release()}',
        'processor': f'{_processor()} ({platform.machine()}), {os.cpu_count()} threads',
        'board': _text('/proc/device-tree/model'),
        'GPU': gpu(),
        'ROS': os.environ.get('ROS_DISTRO', ''),
        'python': platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
    for module, name in (('numpy', 'numpy'), ('cv2', 'opencv')):
        if not any(found.get(key) for key in (name, f'{name}-python-headless', f'{name}-python')):
            found[name] = _module_version(module)  # by apt
    return {name: value for name, value in found.items() if value}


def machine() -> str:
    """Board, processor and usable threads in one line, as far as times depend on them."""
    usable = len(os.sched_getaffinity(0))
    named = [
        _text('/proc/device-tree/model'),
        f'{_processor()} ({platform.machine()}, {_instructions()})',
        f'{usable} of {os.cpu_count()} threads',
    ]
    return ', '.join(filter(None, named))


def physical_cores() -> int:
    """Cores that this process may use; two threads of one core count once."""
    usable = os.sched_getaffinity(0)
    cores = set()
    for number in usable:
        topology = Path(f'/sys/devices/system/cpu/cpu{number}/topology')
        try:
            cores.add((topology / 'thread_siblings_list').read_text())
        except OSError:  # a container may hide it
            return len(usable)
    return len(cores)


def gpu() -> str:
    """Name, driver, compute capability and memory of NVIDIA's GPUs; '' where there is none."""
    return _nvidia_smi(f'--query-gpu={_GPU_FIELDS}')


def gpu_clocks() -> str:
    """Clocks of NVIDIA's GPUs at this moment, of the cores and the memory, each with its highest.

    '' where there is none.
    """
    return _nvidia_smi('--query-gpu=clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem')


def gpu_memory_mib() -> int | None:
    """Memory that this process has on NVIDIA's GPUs; None where that is not told."""
    rows = _nvidia_smi('--query-compute-apps=pid,used_memory').split('; ')
    for row in rows:
        pid, _, used = row.partition(', ')
        if pid == str(os.getpid()) and used.split(' ')[0].isdecimal():
            return int(used.split(' ')[0])
    return None


def peak_memory_mib() -> int:
    """The most memory that this process has had, resident."""
    # Not getrusage: its peak is also that of the process which started this one.
    for line in _text('/proc/self/status').splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) // 1024
    return 0


def processor_name(cpuinfo: str) -> str:
    """Name of the first processor in the text of /proc/cpuinfo; '' where it has none."""
    told: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(':')
        told.setdefault(name.strip(), value.strip())
    model = told.get('model name') or told.get('Model')
    if model:
        return model
    # Linux names no model of most ARM processors.
    if 'CPU part' in told:
        return f'ARM part {told["CPU part"]} of implementer {told.get("CPU implementer", "?")}'
    return ''


def processor_flags(cpuinfo: str) -> frozenset[str]:
    """Instruction sets of the first processor in the text of /proc/cpuinfo, as 'avx2'."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(':')
        if name.strip() in ('flags', 'Features'):
            return frozenset(value.split())
    return frozenset()


def cpuinfo() -> str:
    """Text of /proc/cpuinfo; '' where there is none."""
    return _text('/proc/cpuinfo')


def _nvidia_smi(query: str) -> str:
    program = shutil.which('nvidia-smi')
    if not program:
        return ''
    try:
        done = subprocess.run(
            [program, query, '--format=csv,noheader'], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return '; '.join(done.stdout.strip().splitlines()) if done.returncode == 0 else ''


def _system() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get('PRETTY_NAME', platform.system())
    return platform.system()


def _processor() -> str:
    return processor_name(cpuinfo()) or platform.processor() or 'unknown'


def _instructions() -> str:
    """Digest of the kind of the cores and their instructions: virtual machines hide the name."""
    kinds = ('cpu family', 'model\t', 'flags', 'Features', 'CPU implementer', 'CPU part')
    lines = {line for line in cpuinfo().splitlines() if line.startswith(kinds)}
    return hashlib.sha256('\n'.join(sorted(lines)).encode()).hexdigest()[:8]


def _text(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text(errors='replace').strip('\0\n ')
    return ''


def version(package: str) -> str:
    """Version of an installed package; '' where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)
    return ''


def _module_version(module: str) -> str:
    with suppress(ImportError):
        return str(getattr(__import__(module), '__version__', ''))
    return ''
