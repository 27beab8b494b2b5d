"""What doctor says of the transports of Fast DDS."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtp_stereo_ros.ros import dds

VGA, HD = 640 * 480 * 3, 1280 * 720 * 3
TRANSPORTS = 'FASTDDS_BUILTIN_TRANSPORTS'
PROFILE = 'FASTDDS_DEFAULT_PROFILES_FILE'


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast DDS, and nothing set."""
    for name in (TRANSPORTS, PROFILE, 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(dds, 'get_rmw_implementation_identifier', lambda: 'rmw_fastrtps_cpp')


def said(largest_bytes: int) -> list[tuple[str, str]]:
    """Of transports: not of shared memory and sockets, which are those of this machine."""
    found = [f for f in dds.dds_findings(largest_bytes) if f.level != 'ok']
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


def test_other_middleware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dds, 'get_rmw_implementation_identifier', lambda: 'rmw_zenoh_cpp')
    assert said(HD) == []
