"""Versions and hardware of a machine."""

from __future__ import annotations

import pytest

from dtp_stereo_ros import system


@pytest.mark.parametrize(
    ('cpuinfo', 'name'),
    [
        ('processor\t: 0\nmodel\t\t: 17\nmodel name\t: AMD EPYC\n', 'AMD EPYC'),
        (
            'processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n\n'
            'Model\t\t: Raspberry Pi 5 Model B Rev 1.0\n',
            'Raspberry Pi 5 Model B Rev 1.0',
        ),
        (
            'processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n\n'
            'processor\t: 1\nCPU implementer\t: 0x42\nCPU part\t: 0xd0d\n',
            'ARM part 0xd0c of implementer 0x41',
        ),
        ('', ''),
    ],
)
def test_the_name_of_the_processor(cpuinfo: str, name: str) -> None:
    assert system.processor_name(cpuinfo) == name
