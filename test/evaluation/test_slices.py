"""Which files a slice depends on: one that changes makes it another task."""

from __future__ import annotations

import os
from pathlib import Path

import layouts
import pytest

from dtp_stereo_ros.evaluation.datasets import READERS, open_dataset
from dtp_stereo_ros.evaluation.slices import SliceWork, slices

# Truths of right views, which only training reads.
NOT_JUDGED = {'disp1GT.pfm', 'disp5.png', 'disp6.png', 'disp6.pgm'}


def names(spec: str) -> list[str]:
    return [task.name for task in slices([open_dataset(spec)], SliceWork(()))]


@pytest.mark.parametrize('name', list(READERS))
def test_each_file_that_is_judged_counts(tmp_path: Path, name: str) -> None:
    root = tmp_path / 'set'
    spec = f'{name}:{getattr(layouts, name)(root)}'
    files = sorted(path for path in tmp_path.rglob('*') if path.is_file())
    assert len(files) > 2
    before = names(spec)
    for path in files:
        if path.name in NOT_JUDGED or (path.parts[-2] == 'right' and path.suffix == '.pfm'):
            continue
        state = path.stat()
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
        assert names(spec) != before, path
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert names(spec) == before


def test_a_calibration_and_a_mask_count_when_they_come(tmp_path: Path) -> None:
    root = layouts.middlebury_v3(tmp_path / 'set')
    spec = f'middlebury_v3:{root}'
    scene = open_dataset(spec)[1][0].left.parent
    found = [names(spec)]
    (scene / 'calib.txt').write_text('cam0=[1 0 1; 0 1 1; 0 0 1]')
    found.append(names(spec))
    (scene / 'mask0nocc.png').unlink()
    found.append(names(spec))
    assert len({tuple(one) for one in found}) == 3
