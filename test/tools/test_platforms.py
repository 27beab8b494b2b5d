"""The table of which backend ran where."""

from __future__ import annotations

from tools import platforms


def test_the_page_is_made_from_the_selftests_beside_it() -> None:
    made = platforms.platform_table(platforms.records(platforms.RECORDS))
    assert made in platforms.PAGE.read_text(), 'run python -m tools.platforms'


def test_where_a_backend_ran() -> None:
    machine = {'processor': 'Cortex-A78AE (aarch64), 12 threads', 'board': 'NVIDIA Jetson Orin'}
    row = {'backend': 'tensorrt', 'state': 'passed', 'device': 'Orin', 'precision': 'fp16'}
    on_cpu = {'backend': 'onnx', 'state': 'failed', 'device': 'CPUExecutionProvider'}
    webgpu = {**on_cpu, 'precision': 'fp32', 'device': 'WebGpuExecutionProvider'}
    rows = [
        row, {**on_cpu, 'precision': 'fp32'}, webgpu,
        {**row, 'backend': 'torch', 'state': 'not here'},
    ]  # fmt: skip
    found = platforms.platform_table(
        {'orin': {'machine': {**machine, 'tensorrt': '10.3.0'}, 'backends': rows}}
    )
    lines = {line.split('|')[1].strip(): line.split('|') for line in found.splitlines()[2:]}
    assert lines['tensorrt'][5].strip() == 'passed: fp16, 10.3.0 ([orin](selftests/orin.json))'
    assert lines['onnx'][3].strip() == 'failed: fp32, ([orin](selftests/orin.json))'
    assert lines['torch'][3].strip() == 'never run'
    assert 'stand-in' in lines['torch'][5]
    assert lines['onnx'][6].strip().startswith('failed: fp32')
    assert lines['tensorrt'][3].strip() == '-'
