"""The table of docs/reports/platforms.md, made from the selftests beside it.

    python -m tools.platforms

A selftest is what `dtp-stereo selftest --json docs/reports/selftests/NAME.json` wrote on a
machine, or under emulation by tools/emulate_arm.sh. A backend that no selftest has run on a
platform is tested with a stand-in or never run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dtp_stereo_ros.backends import TABLE
from dtp_stereo_ros.markdown import table
from tools.doc_sections import write_section

PAGE = Path(__file__).resolve().parents[1] / 'docs/reports/platforms.md'
RECORDS = PAGE.with_name('selftests')
SECTION = 'platforms'

_PLATFORMS = ('x86-64 processor', 'ARM processor', 'NVIDIA GPU', 'Jetson GPU', 'other GPU')
# The stand-ins are in test/backends.
_CUDA = {
    'tensorrt': 'stand-in for 10.3, 10.13 and 11.4 (`test_tensorrt.py`)',
    'torch': 'stand-in for graphs, copies, memory and precision (`test_torch_cuda.py`)',
    'onnx': 'stand-in for the choice of a provider, its memory and engine cache '
    '(`test_onnx_files.py`, `test_onnx_gpu.py`, `test_engine_cache.py`)',
}
_STAND_IN = {
    **{(name, place): text for name, text in _CUDA.items() for place in _PLATFORMS[2:4]},
    ('onnx', 'other GPU'): 'stand-in for plug-in providers (`test_onnx_gpu.py`)',
}
# `board` of a machine that tools/emulate_arm.sh makes begins so.
_EMULATED = 'emulated by '
# Only these run on the platform at all.
_BACKENDS = {
    'NVIDIA GPU': ('onnx', 'torch', 'tensorrt'),
    'Jetson GPU': ('onnx', 'torch', 'tensorrt'),
    'other GPU': ('onnx',),
    'x86-64 processor': ('openvino', 'onnx', 'torch', 'sgbm'),
    'ARM processor': ('openvino', 'onnx', 'torch', 'sgbm'),
}
# Of plug-in packages that know other GPUs than NVIDIA's.
_OTHER = ('OpenVINOExecutionProvider', 'WebGpuExecutionProvider')
_PACKAGES = {
    'openvino': ('openvino',),
    'onnx': ('onnxruntime', 'onnxruntime-gpu'),
    'torch': ('torch',),
    'tensorrt': ('tensorrt', 'tensorrt-cu12', 'tensorrt-cu13'),
    'sgbm': ('opencv-python-headless', 'opencv-python', 'opencv'),
}


def main() -> None:
    """Write the table into the page."""
    write_section(PAGE, SECTION, platform_table(records(RECORDS)))


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """The selftests in a folder, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob('*.json'))}


def platform_table(selftests: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for each backend, a column for each platform."""
    ran: dict[tuple[str, str], list[str]] = {}
    for name, selftest in selftests.items():
        for row in selftest['backends']:
            if row['state'] != 'not here':
                place = row['backend'], _platform(selftest['machine'], row['device'])
                ran.setdefault(place, []).append(_cell(name, selftest['machine'], row))
    rows = [[backend, *(_text(backend, p, ran) for p in _PLATFORMS)] for backend in TABLE]
    return table(('backend', *_PLATFORMS), rows)


def _text(backend: str, platform: str, ran: dict[tuple[str, str], list[str]]) -> str:
    if (backend, platform) in ran:
        return '; '.join(ran[backend, platform])
    if backend not in _BACKENDS[platform]:
        return '-'
    return _STAND_IN.get((backend, platform), 'never run')


def _platform(machine: dict[str, str], device: str) -> str:
    if device in _OTHER:
        return 'other GPU'
    # A backend whose process died named no device.
    on_processor = device.lower() in ('cpu', 'cpuexecutionprovider')
    if on_processor or not (device or 'GPU' in machine or 'Jetson' in machine.get('board', '')):
        x86 = '(x86_64)' in machine.get('processor', '')
        return 'x86-64 processor' if x86 else 'ARM processor'
    return 'Jetson GPU' if 'Jetson' in machine.get('board', '') else 'NVIDIA GPU'


def _cell(name: str, machine: dict[str, str], row: dict[str, Any]) -> str:
    versions = [machine[p] for p in _PACKAGES[row['backend']] if p in machine]
    details = ', '.join(part for part in (row['precision'], *versions[:1]) if part)
    said = f'{row["state"]}: {details} ([{name}](selftests/{name}.json))'
    board = machine.get('board', '')
    if board.startswith(_EMULATED):
        return f'emulated ({board.removeprefix(_EMULATED)}): {said}'
    return said


if __name__ == '__main__':
    main()
