"""Findings on the transports of Fast DDS."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtp_stereo_ros.health.dds_settings import dds_findings, loss_mend

VGA, HD = 640 * 480 * 3, 1280 * 720 * 3
TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast DDS, and nothing set."""
    for name in (TRANSPORTS, PROFILE, 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)


def said(largest_bytes: int, rmw: str = 'rmw_fastrtps_cpp') -> list[tuple[str, str]]:
    """Of transports: not of shared memory and sockets, which are those of this machine."""
    found = [f for f in dds_findings(rmw, largest_bytes) if f.level != 'ok']
    return [(f.level, f.text) for f in found if 'rmem' not in f.text and '/dev/shm' not in f.text]


def test_defaults_do_not_carry_images() -> None:
    assert said(100_000) == []
    assert said(VGA) == [('warn', 'images of 0.9 MB over the default transports of Fast DDS')]


def test_large_data_carries_small_images_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRANSPORTS, 'LARGE_DATA?max_msg_size=1MB')
    assert said(VGA) == []
    assert said(HD) == [
        ('warn', f'images of 2.8 MB over {TRANSPORTS}=LARGE_DATA?max_msg_size=1MB')
    ]
    monkeypatch.setenv(TRANSPORTS, 'UDPv4')
    assert said(VGA) == [('warn', f'images of 0.9 MB over {TRANSPORTS}=UDPv4')]


def test_a_profile_must_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / 'profile.xml'
    monkeypatch.setenv(PROFILE, str(path))
    assert said(HD) == [('error', f'{PROFILE}={path}: no such file, Fast DDS ignores it')]
    path.touch()
    assert said(HD) == []


def test_other_middleware() -> None:
    assert said(HD, 'rmw_zenoh_cpp') == []


def test_lost_images_get_the_mend_of_their_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    large = 'large_messages:=true'
    assert large in loss_mend('rmw_fastrtps_cpp', HD, '/left')
    assert 'ros2 topic hz /left' in loss_mend('rmw_fastrtps_cpp', 100_000, '/left')
    assert 'ros2 topic hz /left' in loss_mend('rmw_cyclonedds_cpp', HD, '/left')
    monkeypatch.setenv(TRANSPORTS, 'LARGE_DATA')
    assert 'ros2 topic hz /left' in loss_mend('rmw_fastrtps_cpp', VGA, '/left')
