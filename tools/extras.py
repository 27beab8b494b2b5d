"""What pip installs for the extras of GPUs, and whether it fits together, on each platform.

    python -m tools.extras [--python 3.12] [--machine aarch64]

pip resolves each extra of setup.py for CPython 3.10 to 3.12 on x86-64 and 64-bit ARM, from wheels
only, and installs nothing. The section of docs/reports/platforms.md is written when all platforms
were asked for; the exit code is 1 where something does not fit. Needs the package registry.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dtp_stereo_ros.markdown import table
from tools.doc_sections import write_section

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs/reports/platforms.md'
SECTION = 'extras'

EXTRAS = ('gpu', 'tensorrt')
PYTHONS = ('3.10', '3.11', '3.12')
MACHINES = {'x86_64': 'x86-64', 'aarch64': '64-bit ARM'}
# A source package, which fetches its libraries from elsewhere while it is built.
_IN_PLACE_OF = {'tensorrt-cu12': 'tensorrt-cu12-bindings'}
# glibc of Ubuntu 22.04, which Humble runs on, and older: pip does not add those by itself.
_GLIBC = range(35, 16, -1)
# Of these the version is told.
_TOLD = (
    'onnxruntime-gpu', 'onnxruntime', 'tensorrt-cu12-bindings', 'cuda-bindings',
    'nvidia-cuda-runtime-cu12', 'nvidia-cudnn-cu12', 'onnx', 'numpy',
)  # fmt: skip
# Linked by onnxruntime-gpu 1.21.1, 1.26.0 and 1.31.1: libnvinfer.so.10, libcudnn.so.9.
_TENSORRT_OF_ONNXRUNTIME, _CUDNN_OF_ONNXRUNTIME = 10, 9


@dataclass(frozen=True)
class Resolved:
    """The packages of an extra on a platform.

    Attributes:
        versions: by name.
        problems: why they do not fit together.
    """

    versions: dict[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Resolve, print what does not fit, and write the section."""
    assert __doc__
    parser = argparse.ArgumentParser(prog='python -m tools.extras', description=__doc__)
    parser.add_argument('--python', choices=PYTHONS, help='only this one; the page stays')
    parser.add_argument('--machine', choices=MACHINES, help='only this one; the page stays')
    options = parser.parse_args(arguments)
    found: dict[tuple[str, str, str], Resolved] = {}
    for extra in EXTRAS:
        for python in [options.python] if options.python else PYTHONS:
            for machine in [options.machine] if options.machine else MACHINES:
                place = extra, python, machine
                found[place] = resolved(requirements(extra, python, machine), python, machine)
                print(*place, '; '.join(found[place].problems) or 'fits', flush=True)
    if not (options.python or options.machine):
        write_section(PAGE, SECTION, section(found))
    return 1 if any(result.problems for result in found.values()) else 0


def requirements(extra: str, python: str, machine: str) -> list[str]:
    """Those of an extra of setup.py, and of the package itself, on a platform."""
    settings: dict[str, Any] = {}
    before = Path.cwd()
    os.chdir(ROOT)  # it lists files
    try:
        with mock.patch('setuptools.setup', lambda **named: settings.update(named)):
            runpy.run_path(str(ROOT / 'setup.py'))
    finally:
        os.chdir(before)
    wanted = []
    for text in (*settings['install_requires'], *settings['extras_require'][extra]):
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate(_environment(python, machine)):
            continue
        requirement.marker = None
        requirement.name = _IN_PLACE_OF.get(requirement.name, requirement.name)
        wanted.append(str(requirement))
    return wanted


def resolved(wanted: Iterable[str], python: str, machine: str) -> Resolved:
    """The packages that pip would install on a platform."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, 'report.json')
        command = [sys.executable, '-m', 'pip', 'install', '--quiet', '--dry-run']
        command += ['--ignore-installed', '--report', str(report), '--target', folder]
        command += ['--only-binary', ':all:', '--implementation', 'cp', '--python-version', python]
        for minor in _GLIBC:
            command += ['--platform', f'manylinux_2_{minor}_{machine}']
        command += ['--platform', f'manylinux2014_{machine}', '--platform', f'linux_{machine}']
        done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith('ERROR')]
            return Resolved(problems=(errors[-1] if errors else 'pip failed',))
        return judged(json.loads(report.read_text()), python, machine)


def judged(report: dict[str, Any], python: str, machine: str) -> Resolved:
    """Versions in a report of pip, and what does not fit."""
    items = {str(canonicalize_name(item['metadata']['name'])): item for item in report['install']}
    versions = {name: item['metadata']['version'] for name, item in sorted(items.items())}
    majors = {name: int(version.split('.')[0]) for name, version in versions.items()}
    problems = []
    cuda = {name: major for name in versions if (major := _cuda_of(name, majors)) is not None}
    if len(set(cuda.values())) > 1:
        problems.append('CUDA ' + ', '.join(f'{major} ({name})' for name, major in cuda.items()))
    if {'onnxruntime', 'onnxruntime-gpu'} <= set(versions):
        problems.append('onnxruntime and onnxruntime-gpu are the same module')
    if 'onnxruntime-gpu' in versions:
        for prefix, needed in (
            ('tensorrt', _TENSORRT_OF_ONNXRUNTIME), ('nvidia-cudnn', _CUDNN_OF_ONNXRUNTIME),
        ):  # fmt: skip
            problems += [
                f'onnxruntime-gpu needs {needed}, not {name} {versions[name]}'
                for name, major in majors.items()
                if name.startswith(prefix) and major != needed
            ]
    return Resolved(versions, (*problems, *_markers(items.values(), python, machine)))


def section(found: dict[tuple[str, str, str], Resolved]) -> str:
    """Markdown: a row for each extra and Python, a column for each machine."""
    rows = []
    for extra, python in dict.fromkeys(place[:2] for place in found):
        cells = [_cell(found[extra, python, machine]) for machine in MACHINES]
        rows.append((f'`{extra}`', python, *cells))
    return table(('extra', 'CPython', *MACHINES.values()), rows)


def _cell(result: Resolved) -> str:
    told = ', '.join(f'{n} {result.versions[n]}' for n in _TOLD if n in result.versions)
    if not result.problems:
        return told
    return '**' + '; '.join(result.problems) + '**' + (f' ({told})' if told else '')


def _cuda_of(name: str, majors: dict[str, int]) -> int | None:
    """The major release of CUDA that a package is for."""
    if found := re.search(r'-cu(\d+)(?:-|$)', name):
        return int(found[1])
    return majors[name] if name in ('cuda-bindings', 'nvidia-cuda-runtime') else None


def _markers(items: Iterable[dict[str, Any]], python: str, machine: str) -> list[str]:
    """Requirements that pip judged by the Python and machine it runs on: it does for all."""
    here = {key: str(value) for key, value in default_environment().items()}
    there, wrong = _environment(python, machine), []
    for item in items:
        name = item['metadata']['name']
        for text in item['metadata'].get('requires_dist', ()):
            marker = Requirement(text).marker
            for extra in (*item.get('requested_extras', ()), '') if marker else ():
                assert marker
                if marker.evaluate({**here, 'extra': extra}) != marker.evaluate(
                    {**there, 'extra': extra}
                ):
                    wrong.append(f'pip judged "{text}" of {name} for {here["python_version"]}')
    return wrong


def _environment(python: str, machine: str) -> dict[str, str]:
    """The variables of markers on a platform."""
    here = {key: str(value) for key, value in default_environment().items()}
    return {
        **here,
        'python_version': python,
        'python_full_version': f'{python}.0',
        'platform_machine': machine,
        'sys_platform': 'linux',
        'platform_system': 'Linux',
        'extra': '',
    }


if __name__ == '__main__':
    sys.exit(main())
