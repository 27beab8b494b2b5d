"""The process that sends for the benches, from its user's side."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator

import pytest

from dtp_stereo_ros.ros.harness.camera_process import CameraProcess

MANY = 1100
# Answers as the process does, a moment after the line.
ANSWERING = ['sh', '-c', 'while read count rate; do sleep 0.2; echo "done $rate"; done']


@pytest.fixture
def many_files() -> Iterator[None]:
    """More open files than select() knows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * MANY:
        pytest.skip(f'no more than {hard} files may be open')
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * MANY), hard))
    files = [os.open(os.devnull, os.O_RDONLY) for _ in range(MANY)]
    yield
    for file in files:
        os.close(file)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_tells_when_it_has_sent(many_files: None) -> None:
    with CameraProcess(ANSWERING) as camera:
        for rate_hz in (5.0, 7.5):
            camera.send(3, rate_hz)
            assert not camera.has_sent()
            deadline = time.monotonic() + 20
            while not camera.has_sent():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert camera.sent_hz() == rate_hz
