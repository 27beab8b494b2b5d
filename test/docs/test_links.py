"""Links of all Markdown files, and paths of pages in code: each names something that is there."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r'^ {0,3}(```|~~~).*?^ {0,3}\1[^\n]*$', re.MULTILINE | re.DOTALL)
_CODE = re.compile(r'(`+)(?!`).*?(?<!`)\1(?!`)', re.DOTALL)
_LINK = re.compile(r'\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)')
_HTML_LINK = re.compile(r'\b(?:href|src)="([^"]+)"')
_HEADING = re.compile(r'^ {0,3}#{1,6}\s+(.+?)\s*#*$', re.MULTILINE)
_ELSEWHERE = re.compile(r'[a-z][a-z0-9+.-]*:', re.IGNORECASE)
# A page of docs/ that code, a help text or a comment names.
_PAGE = re.compile(r'(?<![\w/.-])docs/[\w./-]+\.(?:md|png|jpg)\b')
_TEXT = {'.md', '.py', '.yaml', '.yml', '.xml', '.sh', '.toml', '.cfg', '.cff', ''}


def _tracked() -> list[Path]:
    """Files of the repository, those that are not yet committed among them."""
    command = ['git', 'ls-files', '--cached', '--others', '--exclude-standard', '-z']
    try:
        listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip('no git here, or not a checkout: the files of the repository are unknown')
    paths = (REPOSITORY / name for name in listed.stdout.decode().split('\0') if name)
    return [path for path in paths if path.is_file()]


def _without_code(text: str) -> str:
    return _CODE.sub('', _FENCE.sub('', text))


def links(text: str) -> list[str]:
    """Targets of the links and images of a page, those in code left out."""
    prose = _without_code(text)
    return [*_LINK.findall(prose), *_HTML_LINK.findall(prose)]


def anchors(text: str) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub('', text)):
        plain = re.sub(r'!?\[([^\]]*)\]\([^)]*\)', r'\1', heading).replace('`', '')
        slug = re.sub(r'[^\w\- ]', '', plain.lower()).replace(' ', '-')
        name, count = slug, 0
        while name in found:
            count += 1
            name = f'{slug}-{count}'
        found.add(name)
    return found


@lru_cache
def _anchors_of(page: Path) -> set[str]:
    return anchors(page.read_text(encoding='utf-8'))


def _broken(page: Path) -> list[str]:
    """Links of a page that lead nowhere."""
    broken = []
    for target in links(page.read_text(encoding='utf-8')):
        if _ELSEWHERE.match(target):
            continue
        name, _, anchor = unquote(target).partition('#')
        path = (page.parent / name).resolve() if name else page
        inside = path.is_relative_to(REPOSITORY)
        if not (inside and path.exists()):
            broken.append(target)
        elif anchor and (path.suffix != '.md' or anchor not in _anchors_of(path)):
            broken.append(f'{target} (no such heading)')
    return broken


def test_every_relative_link_and_anchor_resolves() -> None:
    pages = [path for path in _tracked() if path.suffix == '.md']
    assert len(pages) > 10
    broken = {
        str(page.relative_to(REPOSITORY)): found for page in pages if (found := _broken(page))
    }
    assert {page: found for page, found in broken.items() if found} == {}


def test_every_page_that_a_file_names_is_there() -> None:
    missing = set()
    for path in _tracked():
        if path.suffix not in _TEXT or path.is_relative_to(REPOSITORY / 'test'):
            continue
        try:
            text = path.read_text(encoding='utf-8')
        except UnicodeDecodeError:
            continue
        for name in _PAGE.findall(text):
            if not (REPOSITORY / name).is_file():
                missing.add(f'{path.relative_to(REPOSITORY)}: {name}')
    assert missing == set()


def test_every_page_is_reached_from_the_index() -> None:
    index = REPOSITORY / 'docs' / 'README.md'
    reached, waiting = {index}, [index]
    while waiting:
        page = waiting.pop()
        for target in links(page.read_text(encoding='utf-8')):
            path = (page.parent / target.partition('#')[0]).resolve()
            if path.suffix == '.md' and path.is_file() and path not in reached:
                reached.add(path)
                waiting.append(path)
    pages = {path for path in _tracked() if path.suffix == '.md' and 'docs' in path.parts}
    assert {str(path.relative_to(REPOSITORY)) for path in pages - reached} == set()


def test_links_and_anchors_are_read_as_github_reads_them() -> None:
    page = """# A `code` title: 1, 2 & 3

[one](a.md) ![two](b.png "title") `[three](c.md)`

```
# No heading
[four](d.md)
```

## [Linked](e.md) heading

## Twice
## Twice
"""
    assert links(page) == ['a.md', 'b.png', 'e.md']
    assert anchors(page) == {'a-code-title-1-2--3', 'linked-heading', 'twice', 'twice-1'}
