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
    assert lines['onnx'][3].strip() == 'failed: fp32 ([orin](selftests/orin.json))'
    assert lines['torch'][3].strip() == 'never run'
    assert 'stand-in' in lines['torch'][5]
    assert lines['onnx'][6].strip().startswith('failed: fp32')
    assert lines['tensorrt'][3].strip() == '-'


def test_a_run_under_emulation_is_called_so() -> None:
    machine = {
        'processor': 'ARM part 0xd0b of implementer 0x41 (aarch64), 2 threads',
        'board': 'emulated by qemu-user 7.2.22, cortex-a76',
        'onnxruntime': '1.32.0',
    }
    passed = {'backend': 'onnx', 'state': 'passed', 'device': 'CPUExecutionProvider'}
    died = {'backend': 'openvino', 'state': 'failed', 'device': '', 'precision': ''}
    rows = [{**passed, 'precision': 'fp32'}, died]
    found = platforms.platform_table({'qemu': {'machine': machine, 'backends': rows}})
    lines = {line.split('|')[1].strip(): line.split('|') for line in found.splitlines()[2:]}
    emulator = 'emulated (qemu-user 7.2.22, cortex-a76)'
    record = '[qemu](selftests/qemu.json)'
    assert lines['onnx'][3].strip() == f'{emulator}: passed: fp32, 1.32.0 ({record})'
    assert lines['openvino'][3].strip().startswith(f'{emulator}: failed: ')
    assert lines['onnx'][2].strip() == 'never run'


def test_no_time_of_an_emulator_is_recorded() -> None:
    emulated = {
        name: selftest
        for name, selftest in platforms.records(platforms.RECORDS).items()
        if selftest['machine'].get('board', '').startswith('emulated by ')
    }
    assert emulated
    for name, selftest in emulated.items():
        assert name.startswith('qemu-aarch64') and '(aarch64)' in selftest['machine']['processor']
        for row in selftest['backends']:
            times = [row[key] for key in row if key.endswith(('_s', '_ms'))]
            assert len(times) == 4 and set(times) == {None}
