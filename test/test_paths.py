"""Folders that commands make."""

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.paths import make_folder, remove_empty


def test_a_failed_command_leaves_no_empty_folders(tmp_path, capsys):
    (tmp_path / 'there').mkdir()
    report = tmp_path / 'there' / 'reports' / 'first'
    assert main(['bag', str(tmp_path / 'absent.mcap'), '--report', str(report)]) == 2
    assert 'absent.mcap: no such bag' in capsys.readouterr().err
    assert list(tmp_path.rglob('*')) == [tmp_path / 'there']


def test_folders_that_hold_something_stay(tmp_path):
    make_folder(tmp_path / 'kept' / 'inner')
    (tmp_path / 'kept' / 'file').touch()
    make_folder(tmp_path / 'gone' / 'inner')
    remove_empty()
    assert sorted(tmp_path.rglob('*')) == [tmp_path / 'kept', tmp_path / 'kept' / 'file']
