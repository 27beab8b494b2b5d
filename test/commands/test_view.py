"""`dtp-stereo view`: what Rerun gets."""

from __future__ import annotations

import builtins
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml
from scene_bag import planes, write_scene_bag, write_two_cameras

from dtp_stereo_ros.cli import main

FAST = ['--backend', 'sgbm', '--disparity-range', '64']


def entities(file: Path) -> dict[str, int]:
    """Path in a file of Rerun to the number of its chunks, by Rerun's own tool."""
    pytest.importorskip('rerun')
    call = [sys.executable, '-m', 'rerun', 'rrd']
    subprocess.run([*call, 'verify', str(file)], check=True, capture_output=True)
    done = subprocess.run([*call, 'stats', str(file)], check=True, capture_output=True, text=True)
    rows = [line.split(': ') for line in done.stdout.splitlines() if line.startswith('/')]
    return {path: int(count) for path, count in rows}


def write_pair(folder: Path) -> list[str]:
    pair, files = planes(1)[0], []
    for name, pixels in (('left', pair.left), ('right', pair.right)):
        files.append(str(folder / f'{name}.png'))
        cv2.imwrite(files[-1], pixels)
    return files


def test_pairs_of_a_bag_are_saved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rerun')
    bag, file = write_scene_bag(tmp_path / 'b', planes(6)), tmp_path / 'new' / 'b.rrd'
    assert main(['view', str(bag), *FAST, '--every', '2', '--save', str(file)]) == 0
    assert f'{file}: 3 pairs; open it by: rerun {file}' in capsys.readouterr().out
    assert [path.name for path in file.parent.iterdir()] == ['b.rrd']
    found = entities(file)
    assert {f'/cam/{name}' for name in ('left', 'disparity', 'depth', 'points')} <= set(found)


def test_a_camera_that_cannot_be_used_costs_nothing_of_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('rerun')
    # Front comes before rear, and rear after front: the first or the last is unusable.
    for late in ('front', 'rear'):
        bag = write_two_cameras(tmp_path / late, 100 * 10**9, late)
        file = tmp_path / f'{late}.rrd'
        assert main(['view', str(bag), *FAST, '--save', str(file)]) == 1
        told = capsys.readouterr()
        (line,) = [line for line in told.err.splitlines() if line.startswith('error: ')]
        assert line.startswith(f'error: {bag}: ') and f'/{late}/left/image_rect' in line
        assert '4 pairs; open it by' in told.out
        other = {'front': 'rear', 'rear': 'front'}[late]
        assert f'/{other}/disparity' in entities(file)
        assert main(['view', str(bag), *FAST, '--camera', late, '--save', str(file)]) == 2


def test_one_pair_is_saved_with_its_calibration(tmp_path: Path) -> None:
    pytest.importorskip('rerun')
    files, file = write_pair(tmp_path), tmp_path / 'pair.rrd'
    assert main(['view', *files, *FAST, '--save', str(file)]) == 0
    assert {'/camera/left', '/camera/disparity'} <= set(entities(file))
    assert '/camera/points' not in entities(file)
    calibration = {'f': 200, 'cx': 100, 'cy': 48, 'baseline': 0.1, 'width': 200, 'height': 96}
    (tmp_path / 'c.yaml').write_text(yaml.safe_dump(calibration))
    options = ['--calib', str(tmp_path / 'c.yaml'), '--save', str(file)]
    assert main(['view', *files, *FAST, *options]) == 0
    assert {'/camera/depth', '/camera/points'} <= set(entities(file))


def test_a_failure_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('rerun')
    bag, file = write_scene_bag(tmp_path / 'b', planes(2)), tmp_path / 'b.rrd'
    assert main(['view', str(bag), *FAST, '--start', '100', '--save', str(file)]) == 2
    assert 'no image in this part of the bag' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['b']


@pytest.mark.parametrize('name', ['d.rrd', 'file/x.rrd'])
def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    pytest.importorskip('rerun')
    pair = write_pair(tmp_path)
    (tmp_path / 'd.rrd').mkdir()
    (tmp_path / 'file').touch()
    assert main(['view', *pair, *FAST, '--save', str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.count('\n') == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'd.rrd', 'file', 'left.png', 'right.png',
    ]  # fmt: skip


def test_without_rerun_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition('.')[0] == 'rerun':
            raise ModuleNotFoundError("No module named 'rerun'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, '__import__', refuse)
    assert main(['view', *write_pair(tmp_path), *FAST]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("(No module named 'rerun'); pip install 'dtp_stereo[view]'")


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['a', 'b', 'c'], '3 files: give one BAG, or LEFT and RIGHT'),
        (['a', '--calib', 'c.yaml'], '--calib is of a pair'),
        (['a', 'b', '--rectify'], '--rectify is of a bag'),
        (['a', 'b', '--every', '3'], '--every is of a bag'),
        (['a', 'b', '--left-info', '/x'], '--left-info is of a bag'),
        (['a', '--decimation', '0'], '--decimation must be at least 1'),
        (['a', 'b'], 'a: cannot be read'),
        (['a'], 'a: no such bag'),
        (['left.png', 'right.png', '--save', 'x.mcap'], 'x.mcap: a file of Rerun ends in .rrd'),
    ],
)
def test_wrong_calls_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pair(Path())
    assert main(['view', *arguments, *FAST]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
