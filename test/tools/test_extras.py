"""The check of what pip installs for the extras of GPUs."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytest.importorskip('packaging')

from tools import extras


def report(*packages: str, **more: Any) -> dict[str, Any]:
    """A report of pip, of packages as 'name==version'."""
    items = []
    for package in packages:
        name, _, version = package.partition('==')
        items.append({'metadata': {'name': name, 'version': version, **more}})
    return {'install': items}


FITS = (
    'onnxruntime-gpu==1.26.0', 'nvidia-cuda-runtime-cu12==12.9.79', 'nvidia-cudnn-cu12==9.28.0',
    'tensorrt_cu12_bindings==10.16.1', 'cuda-bindings==12.9.10', 'numpy==2.5.5',
)  # fmt: skip


@pytest.mark.parametrize(
    ('replaced', 'by', 'problem'),
    [
        ('numpy==2.5.5', 'numpy==2.5.6', ''),
        ('cuda-bindings==12.9.10', 'cuda-bindings==13.0.1', 'CUDA .*13 .cuda-bindings'),
        (FITS[1], 'nvidia-cuda-runtime==13.0.1', 'CUDA .*13 .nvidia-cuda-runtime'),
        (FITS[3], 'tensorrt-cu13-bindings==10.16.1', 'CUDA .*13 .tensorrt-cu13'),
        (FITS[3], 'tensorrt-cu12-bindings==11.4.0', 'needs 10, not tensorrt-cu12-bindings 11'),
        (FITS[2], 'nvidia-cudnn-cu12==8.9.2', 'needs 9, not nvidia-cudnn-cu12 8.9.2'),
        ('numpy==2.5.5', 'onnxruntime==1.32.0', 'are the same module'),
    ],
)
def test_what_does_not_fit_is_named(replaced: str, by: str, problem: str) -> None:
    packages = [by if package == replaced else package for package in FITS]
    assert by in packages
    found = extras.judged(report(*packages), '3.12', 'x86_64')
    if problem:
        (text,) = found.problems
        assert re.search(problem, text), text
    else:
        assert not found.problems
    assert found.versions['onnxruntime-gpu'] == '1.26.0'


def test_another_tensorrt_is_no_matter_without_onnxruntime_gpu() -> None:
    packages = 'onnxruntime==1.32.0', 'tensorrt-cu12-bindings==11.4.0'
    assert not extras.judged(report(*packages), '3.12', 'aarch64').problems


def test_a_requirement_of_one_machine_is_told() -> None:
    """Pip judges it by the machine that it runs on."""
    needs = ["other; platform_machine == 'never'", "one; python_version < '3'", 'plain>=1']
    found = extras.judged(report('a==1', requires_dist=needs), '2.7', 'never')
    assert [text.split('"')[1] for text in found.problems] == needs[:2]


def test_requirements_of_each_machine() -> None:
    x86, arm = (extras.requirements('tensorrt', '3.12', m) for m in extras.MACHINES)
    assert any(text.startswith('onnxruntime-gpu[cuda,cudnn]') for text in x86)
    assert any(text.startswith('onnxruntime>') for text in arm)
    assert not any('gpu' in text for text in arm)
    for wanted in (x86, arm):
        assert not any(';' in text for text in wanted)
        assert any(text.startswith('tensorrt-cu12-bindings') for text in wanted)
        assert any(text.startswith('numpy') for text in wanted)


def test_section_tells_versions_and_problems() -> None:
    fits = extras.judged(report(*FITS), '3.12', 'x86_64')
    wrong = extras.Resolved(problems=('ERROR: no matching distribution',))
    found = {('gpu', '3.12', 'x86_64'): fits, ('gpu', '3.12', 'aarch64'): wrong}
    *_, row = extras.section(found).splitlines()
    _, extra, python, x86, arm, _ = (cell.strip() for cell in row.split('|'))
    assert (extra, python) == ('`gpu`', '3.12')
    assert 'onnxruntime-gpu 1.26.0' in x86 and 'cuda-bindings 12.9.10' in x86
    assert arm == '**ERROR: no matching distribution**'


def test_the_page_has_every_platform() -> None:
    text = extras.PAGE.read_text()
    for extra in extras.EXTRAS:
        for python in extras.PYTHONS:
            assert f'| `{extra}` | {python} |' in text, 'run python -m tools.extras'
