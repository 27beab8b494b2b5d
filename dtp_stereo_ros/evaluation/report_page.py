"""One self-contained HTML page of judged recordings; it opens from a file, without network."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..image_io import write_text
from .page_pictures import FramePictures, PagePictures

# Of the whole page, with its pictures in base64.
LIMIT_BYTES = 25_000_000
_PICTURES_BYTES = int(0.66 * LIMIT_BYTES)
_PAGE = Path(__file__).with_name('page')
# Measures of a frame are shown to so many digits.
_DIGITS = 5
_DATA_MARK = '<script type="application/json" id="data">'


def write_page(path: Path, document: dict[str, Any], pictures: Sequence[PagePictures]) -> None:
    """Write the page.

    Args:
        path: of the HTML file.
        document: the result file, `result_file.as_document`.
        pictures: of its recordings, in the same order.

    Raises:
        InputError: it cannot be written.
    """
    write_text(path, page(document, pictures))


def pictures_limit_bytes(recordings: int) -> int:
    """Size of the pictures of each of so many recordings, before base64."""
    return _PICTURES_BYTES // max(1, recordings)


def page(document: dict[str, Any], pictures: Sequence[PagePictures]) -> str:
    """The page as text; see `write_page`.

    An asset that is missing is an error of this package, and raises FileNotFoundError.
    """
    recordings = document['recordings']
    for found in pictures:
        found.shrink(pictures_limit_bytes(len(recordings)))
    shown = {
        'version': __version__,
        'command': document['command'],
        'baseline': document['baseline'],
        'columns': document['columns'],
        'jobs': document['jobs'],
        'left_out': document['left_out'],
        'recordings': [
            {
                **{key: value for key, value in recording.items() if key != 'frames'},
                'series': _series(recording),
                'pictures': [_encoded(frame) for frame in found.frames()],
                'extremes': found.extremes(),
            }
            for recording, found in zip(recordings, pictures, strict=True)
        ],
    }
    return filled_page(shown, 'page.js', shows_clouds=True)


def filled_page(shown: dict[str, Any], script: str, shows_clouds: bool = False) -> str:
    """The text of a page.

    Args:
        shown: plain values that the script reads.
        script: name of its asset.
        shows_clouds: whether it has the 3D view.
    """
    # Nothing in a text may end the script that holds it.
    data = json.dumps(shown, allow_nan=False, separators=(',', ':')).replace('<', '\\u003c')
    parts = {
        'UPLOT_CSS': _asset('uplot-1.6.32.min.css'),
        'PAGE_CSS': _asset('page.css'),
        'UPLOT_JS': _asset('uplot-1.6.32.min.js'),
        'UPLOT_LICENSE': _asset('uplot-1.6.32.LICENSE').replace('--', '- -'),
        'REGL_LICENSE': _asset('regl-2.1.1.LICENSE').replace('--', '- -'),
        'REGL_JS': _asset('regl-2.1.1.min.js') if shows_clouds else '',
        'CLOUD_JS': _asset('cloud.js') if shows_clouds else '',
        'COMMON_JS': _asset('common.js'),
        'PAGE_JS': _asset(script),
        'DATA': data,
    }
    text = _asset('page.html')
    for name, content in parts.items():
        before, mark, after = text.partition(f'/*{name}*/')
        if not mark:
            raise ValueError(f'page.html has no place for {name}')
        text = before + content + after
    return text


def shown_on(path: Path) -> dict[str, Any]:
    """The values that a page shows.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such page.
    """
    _, mark, rest = path.read_text(encoding='utf-8').partition(_DATA_MARK)
    shown = json.loads(rest.partition('</script>')[0]) if mark else None
    if not isinstance(shown, dict):
        raise ValueError(f'{path}: no report of dtp-stereo')
    return shown


def _series(recording: dict[str, Any]) -> dict[str, Any]:
    """Values over time by method: columns instead of a dictionary for each frame."""
    series: dict[str, Any] = {}
    for frame in recording['frames']:
        own = series.setdefault(frame['method'], {'index': [], 'time_s': [], 'values': {}})
        for key in ('latency_ms', *frame['values']):
            own['values'].setdefault(key, [None] * len(own['index']))
        own['index'].append(frame['index'])
        own['time_s'].append(round(frame['time_s'], 4))
        for key, column in own['values'].items():
            value = frame['latency_ms'] if key == 'latency_ms' else frame['values'].get(key)
            column.append(None if value is None else float(f'{value:.{_DIGITS}g}'))
    return series


def _encoded(frame: FramePictures) -> dict[str, Any]:
    return {
        'index': frame.index,
        'time_s': frame.time_s,
        'left': _data_uri(frame.left),
        'cloud': {
            'width': frame.cloud.width,
            'height': frame.cloud.height,
            'step': frame.cloud.step,
            'methods': {
                method: base64.b64encode(stored).decode()
                for method, stored in frame.cloud.methods.items()
            },
        },
        'methods': {
            method: {kind: _data_uri(picture) for kind, picture in kinds.items()}
            for method, kinds in frame.methods.items()
        },
    }


def _data_uri(picture: bytes) -> str:
    return f'data:image/jpeg;base64,{base64.b64encode(picture).decode()}'


def _asset(name: str) -> str:
    return (_PAGE / name).read_text(encoding='utf-8')
