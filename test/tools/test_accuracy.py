"""Accuracy in the documentation: of the shipped models, and of no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.result_file import FORMAT, VERSION
from tools import accuracy

ROOT = Path(__file__).parents[2]
MODELS = sorted(file.stem for file in (ROOT / 'resource' / 'models').glob('*.pt'))


def methods(page: Path, section: str, column: int) -> list[str]:
    """Distinct cells of a column in the table of a section, without its heading."""
    text = page.read_text().split(f'<!-- {section}: begin -->')[1]
    rows = [line for line in text.split(f'<!-- {section}: end -->')[0].splitlines() if line][2:]
    return list(dict.fromkeys(row.split('|')[1:-1][column].strip() for row in rows))


def test_the_documents_are_about_the_shipped_models() -> None:
    page = ROOT / 'docs/reports/accuracy.md'
    assert len(MODELS) == 3
    assert sorted(methods(ROOT / 'README.md', 'results', 3)) == sorted([*MODELS, 'SGBM'])
    assert sorted(methods(page, 'accuracy', 3)) == sorted([*MODELS, 'SGBM'])
    assert sorted(methods(page, 'differences', 3)) == MODELS
    heading = page.read_text().split('<!-- anatomy: begin -->')[1].splitlines()[1]
    order = heading.split('|')[1].partition(':')[2].split('/')
    assert sorted(name.strip() for name in order) == sorted([*MODELS, 'SGBM'])


@pytest.mark.parametrize(
    'judged',
    [['mine', 'dtpnet', 'sgbm'], MODELS, [*MODELS, 'mine', 'sgbm'], [*MODELS[:2], 'sgbm']],
    ids=['of another model', 'without SGBM', 'of one more', 'of one less'],
)
def test_a_report_of_other_methods_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: list[str]
) -> None:
    """Before a page is touched."""
    (tmp_path / 'README.md').write_text('<!-- results: begin -->\n<!-- results: end -->\n')
    models = ROOT / 'resource' / 'models'
    (tmp_path / 'resource').mkdir()
    (tmp_path / 'resource' / 'models').symlink_to(models)
    monkeypatch.setattr(accuracy, 'ROOT', tmp_path)
    before = (tmp_path / 'README.md').read_text()
    rows = [{'method': name if name == 'sgbm' else f'{name} openvino fp32'} for name in judged]
    document = {'format': FORMAT, 'version': VERSION, 'accuracy': rows}
    (tmp_path / 'report.json').write_text(json.dumps(document))
    with pytest.raises(
        InputError, match=r'judges .*, and not SGBM, dtpnet, .* make it by the command'
    ):
        accuracy.main([str(tmp_path)])
    assert (tmp_path / 'README.md').read_text() == before
