"""The page of two compared result files in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import layouts
import numpy as np
import pytest
from browser import chromium
from scene_bag import Pair, planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import comparison_page

FRAMES = 12
FAST = ['--backend', 'sgbm', '--disparity-range', '64']


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag and a data set, judged at two scales."""
    folder = tmp_path_factory.mktemp('compare')
    random = np.random.default_rng(0)
    pairs = []
    for index, pair in enumerate(planes(FRAMES)):
        right = pair.right.copy()
        right[: 4 * index] = random.integers(0, 255, right[: 4 * index].shape, np.uint8)
        pairs.append(Pair(pair.left, right, pair.truth_px))
    bag = write_scene_bag(folder / '<script>b', pairs)
    data = f'middlebury_v3:{layouts.middlebury_v3(folder / "set")}'
    files = []
    for name, scale in (('a', '1'), ('b', '0.5')):
        options = [*FAST, '--scale', scale]
        out = folder / name
        found = out / f'{name}.json'
        files_of = ['--json', str(found), '--report', str(out)]
        assert main(['bag', str(bag), *options, *files_of]) == 0
        assert main(['eval', '--data', data, *options, '-o', str(out)]) == 0
        # One file of both.
        document = json.loads(found.read_text())
        document['scenes'] += json.loads((out / 'report.json').read_text())['scenes']
        found.write_text(json.dumps(document))
        files.append(str(found))
    assert main(['compare', *files, '--report', str(folder / 'page')]) == 0
    return folder / 'page' / 'compare.html'


@pytest.fixture
def browse(page: Path) -> Iterator[Callable[..., Any]]:
    """Open the page in Chromium."""
    yield from chromium(page)


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text()
    assert len(text) < 1_000_000
    for mark in ('src="', "src='", '<link rel="stylesheet"', '@import', 'url('):
        assert mark not in text
    assert 'Permission is hereby granted' in text  # the licence of uPlot


def test_real_differences_are_told_first(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By

    driver = browse()
    assert driver.find_element(By.TAG_NAME, 'h1').text == 'Stereo comparison'
    real = driver.find_elements(By.CSS_SELECTOR, '#real li')
    found = [line.text for line in real]
    assert any(text.startswith('density % better: sgbm on <script>b cam: ') for text in found)
    assert any(text.startswith('depth RMSE m better: sgbm on <script>b cam: ') for text in found)
    assert 'their intervals hold zero' in found[-1]
    rows = driver.find_elements(By.CSS_SELECTOR, '#differences tbody tr')
    verdicts = [row.find_element(By.TAG_NAME, 'button').text for row in rows]
    known = [verdict in ('better', 'worse') for verdict in verdicts]
    assert known == sorted(known, reverse=True)
    assert known.count(True) == len(real) - 1


def test_few_frames_tell_no_difference(
    browse: Callable[..., Any], page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from selenium.webdriver.common.by import By

    monkeypatch.setattr(comparison_page, 'FEWEST_TOLD', 10**6)
    files = [str(page.parents[1] / name / f'{name}.json') for name in ('a', 'b')]
    assert main(['compare', *files, '--report', str(tmp_path)]) == 0
    driver = browse()
    driver.get((tmp_path / 'compare.html').as_uri())
    last = driver.find_elements(By.CSS_SELECTOR, '#real li')[-1].text
    assert 'of fewer than 1000000 frames, which tell no difference' in last


def test_the_table_is_sorted_by_its_headings(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver = browse()

    def measures() -> list[str]:
        cells = driver.find_elements(By.CSS_SELECTOR, '#differences tbody td:nth-child(3)')
        return [cell.text for cell in cells]

    heading = driver.find_elements(By.CSS_SELECTOR, '#differences th button')[2]
    heading.send_keys(Keys.ENTER)
    assert measures() == sorted(measures(), key=str.lower)
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert measures() == sorted(measures(), key=str.lower, reverse=True)
    assert driver.find_elements(By.CSS_SELECTOR, "th[aria-sort='descending']")


def test_frames_of_a_recording_and_scenes_of_a_set(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.select import Select

    driver = browse()
    picker = Select(driver.find_element(By.ID, 'measure'))
    names = [option.text for option in picker.options]
    for name, frames in (('EPE px, sgbm, <script>b cam', FRAMES), ('EPE px, sgbm, middleb', 2)):
        index = next(place for place, text in enumerate(names) if text.startswith(name))
        Select(driver.find_element(By.ID, 'measure')).select_by_index(index)
        assert len(driver.find_elements(By.CSS_SELECTOR, '#plot canvas')) == 1
        changed = driver.find_elements(By.CSS_SELECTOR, '#changed tbody tr')
        assert len(changed) == frames
        by = [abs(float(row.find_elements(By.TAG_NAME, 'td')[3].text)) for row in changed]
        assert by == sorted(by, reverse=True)
        # Something is drawn: pixels of the colour of the line.
        drawn = driver.execute_script(
            """const canvas = document.querySelector('#plot canvas');
            const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let i = 0; i < pixels.data.length; i += 4) {
              if (pixels.data[i] < 40 && pixels.data[i + 2] > 150) count += 1;
            }
            return count;"""
        )
        assert drawn > 100


def test_frames_stand_side_by_side(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.select import Select

    driver = browse()
    picker = Select(driver.find_element(By.ID, 'measure'))
    names = [option.text for option in picker.options]
    picker.select_by_index(next(i for i, n in enumerate(names) if n.startswith('EPE px, sgbm, <')))

    def captions() -> list[str]:
        return [c.text for c in driver.find_elements(By.CSS_SELECTOR, '#pictures figcaption')]

    def caption() -> str:
        return driver.find_element(By.ID, 'caption').text

    assert caption().startswith('Frame 0 at 0.00 s, sgbm')
    assert captions()[:3] == ['left image', 'A: disparity', 'B: disparity']
    assert [text[0] for text in captions()[3:5]] == ['A', 'B']
    assert driver.execute_script(
        'return [...document.images].every((i) => i.complete && i.naturalWidth === 200)'
    )
    driver.find_element(By.TAG_NAME, 'body').send_keys(Keys.ARROW_RIGHT)
    assert not caption().startswith('Frame 0 ')
    button = driver.find_element(By.CSS_SELECTOR, '#changed button')
    index = button.text.split()[1]
    button.click()
    assert caption().startswith(f'Frame {index} at ')
    assert ' EPE px ' in caption()
    # Scenes of a set have no pictures of frames.
    picker = Select(driver.find_element(By.ID, 'measure'))
    picker.select_by_index(next(i for i, n in enumerate(names) if 'sgbm, middleb' in n))
    assert not driver.find_elements(By.ID, 'viewer')


def test_the_page_of_another_result_lends_no_pictures(page: Path, tmp_path: Path) -> None:
    files = []
    for name in ('a', 'b'):
        source = page.parents[1] / name
        out = tmp_path / name
        out.mkdir()
        document = json.loads((source / f'{name}.json').read_text())
        (out / 'r.json').write_text(json.dumps({**document, 'command': 'another'}))
        (out / 'report.html').write_text((source / 'report.html').read_text())
        files.append(str(out / 'r.json'))
    assert main(['compare', *files, '--report', str(tmp_path)]) == 0
    assert 'data:image/jpeg' not in (tmp_path / 'compare.html').read_text()


def test_dark_mode(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By

    driver = browse(dark=True)

    def back() -> str:
        return driver.execute_script('return getComputedStyle(document.body).backgroundColor')

    assert back() == 'rgb(20, 24, 28)'
    driver.find_element(By.ID, 'theme').click()
    assert back() == 'rgb(255, 255, 255)'


@pytest.mark.parametrize('width', [360, 1280])
def test_nothing_is_wider_than_the_screen(browse: Callable[..., Any], width: int) -> None:
    driver = browse(width)
    assert driver.execute_script('return document.documentElement.scrollWidth') <= width


def test_points_are_bounded_and_the_most_changed_frames_are_not(
    page: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = [str(page.parents[1] / name / f'{name}.json') for name in ('a', 'b')]
    monkeypatch.setattr(comparison_page, '_MOST_POINTS', 5)
    assert main(['compare', *files, '--report', str(tmp_path)]) == 0
    text = (tmp_path / 'compare.html').read_text()
    data = text.partition('id="data">')[2].partition('</script>')[0]
    measures = json.loads(data)['measures']
    epe = next(m for m in measures if m['key'] == 'epe_px' and 'cam' in m['source'])
    assert (epe['stride'], len(epe['names'])) == (3, 4)
    assert len(epe['changed']) == FRAMES
