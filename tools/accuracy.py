"""Accuracy in the documentation, from the report of an evaluation.

    dtp-stereo eval --shared DATA --backend openvino --precision fp32 \
        --model dtpnet,dtpnet-small,dtpnet-large -o REPORT
    python -m tools.accuracy REPORT

It fills the tables of README.md and docs/reports/accuracy.md and copies the pictures beside them.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.evaluation.anatomy import CLASSES
from dtp_stereo_ros.evaluation.columns import COLUMNS
from dtp_stereo_ros.evaluation.intervals import Interval
from dtp_stereo_ros.evaluation.result_file import read
from dtp_stereo_ros.markdown import table

from .doc_sections import write_section

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs' / 'reports' / 'accuracy.md'
BASELINE = 'sgbm'
DATA = {
    'middlebury_v3': 'Middlebury v3, quarter size',
    'middlebury_classic': 'Middlebury 2001-2006, third size',
    'kitti2015': 'KITTI 2015',
    'flyingthings': 'FlyingThings3D',
}
REGIONS = {'mixed': 'noc where known'}
README_KEYS = ('epe_px', 'bad_1', 'bad_2', 'bad_3', 'd1', 'bad_3_at_density', 'ause_px')
PAGE_KEYS = ('epe_px', 'bad_1', 'bad_2', 'bad_3', 'bad_3_at_density', 'ause_px')
DIFFERENCE_KEYS = ('epe_px', 'bad_1', 'bad_2', 'bad_3', 'bad_3_at_density')
# Files of the report, and where they go below docs/.
PICTURES = {
    'extremes.jpg': 'extremes.jpg',
    'sparsification.png': 'reports/sparsification.png',
    'calibration.png': 'reports/calibration.png',
    'thin_middlebury_v3.jpg': 'reports/thin_middlebury_v3.jpg',
}
# In the README the interval stands beside this alone.
_WITH_INTERVAL = 'bad_3'

Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the sections.

    Raises:
        InputError: the folder holds no report, or one of other methods than the shipped models and
            SGBM.
    """
    parser = argparse.ArgumentParser(
        prog='python -m tools.accuracy', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument('report', type=Path, metavar='REPORT', help='folder of dtp-stereo eval -o')
    folder = parser.parse_args(arguments).report
    document = read(folder / 'report.json')
    rows: list[Row] = document['accuracy']
    judged, wanted = {_method(row['method']) for row in rows}, {*shipped(), _method(BASELINE)}
    if judged != wanted:
        raise InputError(
            f'{folder}: judges {", ".join(sorted(judged))}, and not {", ".join(sorted(wanted))}, '
            'which is what the documents are about; make it by the command in -h'
        )
    write_section(ROOT / 'README.md', 'results', _readme(rows))
    write_section(PAGE, 'accuracy', _values(rows))
    write_section(PAGE, 'differences', _differences(rows))
    write_section(PAGE, 'anatomy', _anatomy(document['anatomy']))
    for name, place in PICTURES.items():
        if (folder / name).exists():
            shutil.copyfile(folder / name, ROOT / 'docs' / place)
    return 0


def shipped() -> list[str]:
    """Names of the models of the repository; int8 forms are in docs/reports/performance.md."""
    return sorted(file.stem for file in (ROOT / 'resource' / 'models').glob('*.pt'))


def _readme(rows: Sequence[Row]) -> str:
    """Means; the best of each group in bold."""
    lines = []
    for group in _groups(rows):
        for row in group:
            cells = []
            for key in README_KEYS:
                value = row['values'][key]
                if value['mean'] is None:
                    cells.append('-')
                    continue
                text = COLUMNS[key].text(value['mean'])
                if value['mean'] == min(_means(group, key)):
                    text = f'**{text}**'
                if key == _WITH_INTERVAL:
                    text += f' [{COLUMNS[key].text(value["low"])}, '
                    text += f'{COLUMNS[key].text(value["high"])}]'
                cells.append(text)
            lines.append([*_names(row, group), *cells])
    headings = [COLUMNS[key].heading for key in README_KEYS]
    return table(['data', 'images', 'pixels', 'method', *headings], lines)


def _values(rows: Sequence[Row]) -> str:
    def cell(row: Row, key: str) -> str:
        value = row['values'][key]
        return (
            '-' if value['mean'] is None else COLUMNS[key].interval_text(_interval(value), False)
        )

    return _lines(rows, PAGE_KEYS, cell)


def _differences(rows: Sequence[Row]) -> str:
    def cell(row: Row, key: str) -> str:
        value = _interval(row['differences'][key])
        text = COLUMNS[key].interval_text(value, True)
        return f'**{text}**' if value.excludes_zero else text

    return _lines([row for row in rows if row['differences']], DIFFERENCE_KEYS, cell)


def _lines(rows: Sequence[Row], keys: Sequence[str], cell: Callable[[Row, str], str]) -> str:
    return table(
        ['data', 'images', 'pixels', 'method', *(COLUMNS[key].heading for key in keys)],
        [
            [*_names(row, group), *(cell(row, key) for key in keys)]
            for group in _groups(rows)
            for row in group
        ],
    )


def _anatomy(scenes: Sequence[Row]) -> str:
    """bad-3 within each class, of all methods: the ratio of means over images."""
    methods = list(dict.fromkeys(scene['method'] for scene in scenes))
    lines = []
    for key, text in {**CLASSES, '': 'all'}.items():
        cells: list[str] = [text]
        for name in DATA:
            shares = []
            for method in methods:
                own = [s for s in scenes if (s['dataset'], s['method']) == (name, method)]
                shares.append(f'{100 * _share(own, key):.2f}')
            cells.append(' / '.join(shares))
        lines.append(cells)
    names = ' / '.join(_method(method) for method in methods)
    headings = [f'class: {names}', *(text.partition(',')[0] for text in DATA.values())]
    return table(headings, lines)


def _share(scenes: Sequence[Row], key: str) -> float:
    """Wrong pixels of a class over its pixels, each as a share of the image; '' is all."""
    wrong = pixels = 0.0
    for scene in scenes:
        total = sum(part['pixels'] for part in scene['classes'].values())
        parts = [scene['classes'][key]] if key else scene['classes'].values()
        wrong += sum(part['wrong'] for part in parts) / total
        pixels += sum(part['pixels'] for part in parts) / total
    return wrong / pixels if pixels else float('nan')


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows of one region of one set together, in the order of the sets."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row['dataset'] in DATA:
            groups.setdefault((row['dataset'], row['region']), []).append(row)
    return list(groups.values())


def _names(row: Row, group: Sequence[Row]) -> list[str]:
    if row is not group[0]:
        return ['', '', '', _method(row['method'])]
    region = str(row['region'])
    name = DATA[row['dataset']]
    return [name, str(row['images']), REGIONS.get(region, region), _method(row['method'])]


def _method(name: str) -> str:
    return 'SGBM' if name == BASELINE else name.partition(' ')[0]


def _means(group: Sequence[Row], key: str) -> list[float]:
    found = [row['values'][key]['mean'] for row in group]
    return [mean for mean in found if mean is not None]


def _interval(value: dict[str, Any]) -> Interval:
    return Interval(**value)


if __name__ == '__main__':
    raise SystemExit(main())
