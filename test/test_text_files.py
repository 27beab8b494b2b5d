"""Text files of a user: what they hold, or one line that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtp_stereo_ros.errors import InputError
from dtp_stereo_ros.text_files import read_text, read_yaml


def test_values_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / 'a.yaml'
    path.write_text('a: [1, 2.5, é]', encoding='utf-8')
    assert read_text(path) == 'a: [1, 2.5, é]'
    assert read_yaml(path) == {'a': [1, 2.5, 'é']}


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'a: \xe9', 'is no text in UTF-8'),
        (b'a: [', 'is no YAML'),
        (b'!!python/object:os.system {}', 'is no YAML'),
    ],
)
def test_other_content_is_refused_in_one_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / 'a.yaml'
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf'a\.yaml: {message}') as caught:
        read_yaml(path)
    assert '\n' not in str(caught.value)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / 'none'):
        with pytest.raises(InputError, match='cannot be read'):
            read_text(path)
