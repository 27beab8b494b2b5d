"""The page of a recording in a real browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import chromium
from scene_bag import Pair, planes, write_scene_bag

from dtp_stereo_ros.cli import main
from dtp_stereo_ros.evaluation import page_pictures
from dtp_stereo_ros.evaluation.page_pictures import PagePictures
from dtp_stereo_ros.evaluation.recorded import FrameScore, JudgedFrame, RecordingResult
from dtp_stereo_ros.evaluation.replay_figures import REAL_TIME, Answer, Load, ReplayFigures
from dtp_stereo_ros.evaluation.report_page import LIMIT_BYTES
from dtp_stereo_ros.evaluation.result_file import as_document
from dtp_stereo_ros.evaluation.scene_score import Estimate
from dtp_stereo_ros.recordings.recorded_frames import RecordedFrame
from dtp_stereo_ros.stereo import StereoFrame

FRAMES = 9


@pytest.fixture(scope='module')
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two bags, the first with truth."""
    folder = tmp_path_factory.mktemp('page')
    pairs = planes(FRAMES)
    # Text that would end the script it stands in.
    first = write_scene_bag(folder / '<script>b', pairs)
    second = write_scene_bag(folder / 'c', [Pair(p.left, p.right) for p in pairs[:2]])
    options = ['--backend', 'sgbm', '--disparity-range', '64', '--consistency-every', '3']
    assert main(['bag', str(first), str(second), *options, '--report', str(folder)]) == 0
    return folder / 'report.html'


@pytest.fixture
def browse(page: Path) -> Iterator[Callable[..., Any]]:
    """Open the page in Chromium."""
    yield from chromium(page)


def test_the_page_needs_nothing_else(page: Path) -> None:
    text = page.read_text()
    assert len(text) < LIMIT_BYTES
    for mark in ('src="', "src='", '<link rel="stylesheet"', '@import', 'url('):
        assert mark not in text
    assert text.count('Permission is hereby granted') == 2  # licences of uPlot and regl


def test_the_scrubber_and_its_keys(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    driver = browse()

    def caption() -> str:
        return driver.find_element(By.ID, 'caption').text

    def source() -> str:
        return driver.find_element(By.CSS_SELECTOR, '#pictures img').get_attribute('src')

    assert caption().startswith('Frame 0 at 0.00 s. ')
    assert 'EPE px' in caption()
    assert len(driver.find_elements(By.CSS_SELECTOR, '#pictures img')) == 4
    assert driver.execute_script(
        'return [...document.images].every((i) => i.complete && i.naturalWidth === 200)'
    )
    first = source()
    assert first.startswith('data:image/jpeg;base64,')
    body = driver.find_element(By.TAG_NAME, 'body')
    body.send_keys(Keys.ARROW_RIGHT)
    assert not caption().startswith('Frame 0 ')
    body.send_keys(Keys.ARROW_LEFT)
    body.send_keys(Keys.ARROW_LEFT)
    assert caption().startswith('Frame 0 ')
    driver.find_element(By.ID, 'scrubber').send_keys(Keys.END)
    assert caption().startswith(f'Frame {FRAMES - 1} ') or caption().startswith('Frame 6 ')
    # One canvas for each measure over time; a click into a plot shows the nearest frame.
    assert len(driver.find_elements(By.CSS_SELECTOR, '.plot canvas')) >= 5
    driver.execute_script("document.querySelector('.plot .u-over').scrollIntoView()")
    rows = driver.find_elements(By.CSS_SELECTOR, '#summary tbody tr')
    assert [row.text.split()[0] for row in rows] == ['sgbm']


def test_dark_mode_and_the_second_recording(browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By

    driver = browse(dark=True)

    def back() -> str:
        return driver.execute_script('return getComputedStyle(document.body).backgroundColor')

    assert back() == 'rgb(20, 24, 28)'
    driver.find_element(By.ID, 'theme').click()
    assert back() == 'rgb(255, 255, 255)'
    tabs = driver.find_elements(By.CSS_SELECTOR, '#cameras button')
    assert [tab.text for tab in tabs] == ['<script>b cam', 'c cam']
    ranges = driver.find_elements(By.CSS_SELECTOR, '#ranges tbody tr')
    assert [r.find_element(By.TAG_NAME, 'td').text for r in ranges] == [
        'bad-3 %, sgbm', 'EPE px, sgbm', 'absRel %, sgbm', 'depth RMSE m, sgbm',
        'pixels with a truth %',
    ]  # fmt: skip
    assert len(driver.find_elements(By.CSS_SELECTOR, '.regions td')) == 12
    tabs[1].click()
    assert not driver.find_elements(By.ID, 'places')
    assert 'EPE' not in driver.find_element(By.ID, 'summary').text
    findings = driver.find_element(By.CSS_SELECTOR, '.findings').text
    assert 'left and right are equal, 2 pairs' in findings


def test_the_figures_of_a_replay(page: Path, browse: Callable[..., Any]) -> None:
    from selenium.webdriver.common.by import By

    assert not browse().find_elements(By.ID, 'replay')
    figures = ReplayFigures(
        REAL_TIME, 0.5, sent=9, paired=8, duration_s=1.0, dropped={'busy': 2},
        answers=[Answer(0.1 * i, 20.0 + i, 30.0) for i in range(5)],
        loads=[Load(0.5 * i, 90.0, 300.0, 40.0) for i in range(3)],
    )  # fmt: skip
    text = page.read_text()
    marked = text.replace('"replay":null', f'"replay":{json.dumps(figures.as_values())}', 1)
    assert marked != text
    page.write_text(marked)
    try:
        driver = browse(360)
        shown = driver.find_element(By.ID, 'replay').text
        assert '9 sent, 5 answered, 4 lost' in shown
        assert 'busy 2, images lost 1, no result 1' in shown
        assert '9.0 Hz in, 5.0 Hz out' in shown
        headings = [h.text for h in driver.find_elements(By.CSS_SELECTOR, '.plot h3')]
        assert 'last image sent to result ms' in headings
        assert 'memory of the node MiB' in headings
        assert driver.execute_script('return document.documentElement.scrollWidth') <= 360
    finally:
        page.write_text(text)


@pytest.mark.parametrize('width', [360, 1280])
def test_nothing_is_wider_than_the_screen(browse: Callable[..., Any], width: int) -> None:
    driver = browse(width)
    assert driver.execute_script('return document.documentElement.scrollWidth') <= width


def test_the_number_of_pictures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_pictures, '_MOST_FRAMES', 10)
    pictures = PagePictures()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    values = np.random.default_rng(1).permutation(200) / 200
    for index, value in enumerate(values):
        disparity = np.full((40, 60), 3, np.float32)
        score = FrameScore('m', index, index, index / 10, 1.0, {'photometric': float(value)})
        frame = RecordedFrame(index, StereoFrame(pixels, pixels))
        right = {'m': disparity}
        pictures.see(JudgedFrame(frame, [Estimate('m', disparity)], right, [score]))
    pictures.shrink(10**9)
    found = pictures.frames()
    ends = pictures.extremes()
    order = np.argsort(values)
    assert ends == {'worst': order[::-1][:4].tolist(), 'best': order[:4].tolist()}
    even = [f.index for f in found if f.index not in {*ends['worst'], *ends['best']}]
    assert 4 <= len(even) <= 10
    assert all(index % 32 == 0 for index in even)
    size = sum(f.size_bytes for f in found)
    pictures.shrink(size - 1)
    smaller = pictures.frames()
    assert len(smaller) < len(found)
    assert {*ends['worst'], *ends['best']} <= {f.index for f in smaller}
    # Of a page of very many recordings little is left, the most extreme last.
    pictures.shrink(3 * found[0].size_bytes)
    assert len(pictures.frames()) == 3
    assert ends['worst'][0] in pictures.extremes()['worst']
    pictures.shrink(0)
    assert len(pictures.frames()) == 1


@pytest.mark.parametrize('key', ['inconsistent', 'bad_3'])
@pytest.mark.parametrize('known_from', [0, 1, 5])
def test_frames_are_ordered_by_the_measure_that_is_named(key: str, known_from: int) -> None:
    """The first frames may lack it, and the second method may have better ones."""
    result, pictures = RecordingResult('r'), PagePictures()
    pixels = np.zeros((8, 12, 3), np.uint8)
    estimates = [Estimate(name, np.full((8, 12), 3, np.float32)) for name in 'ab']
    for index in range(20):
        values = {'photometric': (7 * index % 20) / 20, 'coverage': 1.0}
        if index >= known_from:
            values[key] = index / 20
        scores = [
            FrameScore(name, index, index, index / 10, 1.0, {**values, **more})
            for name, more in (('a', {}), ('b', {'bad_3': 0.5}))
        ]
        result.frames += scores
        frame = RecordedFrame(index, StereoFrame(pixels, pixels))
        pictures.see(JudgedFrame(frame, estimates, {}, scores))
    ordered_by = as_document([], recordings=[result])['recordings'][0]['ordered_by']
    assert (ordered_by, pictures.key) == (key, key)
    assert pictures.extremes() == {
        'worst': [19, 18, 17, 16],
        'best': [known_from + place for place in range(4)],
    }


def test_the_cloud_turns(browse: Callable[..., Any]) -> None:
    """Points of the frame; the keys that turn them do not change the frame."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    driver = browse()
    canvas = driver.find_element(By.ID, 'cloud')
    WebDriverWait(driver, 10).until(lambda _: canvas.get_attribute('data-points'))
    assert 1000 < int(canvas.get_attribute('data-points')) <= 200 * 100
    shown = "return document.getElementById('cloud').toDataURL()"
    first, view = driver.execute_script(shown), canvas.get_attribute('data-view')
    assert view == '0.000 0.000 1.000'
    caption = driver.find_element(By.ID, 'caption').text
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN, '+')
    assert canvas.get_attribute('data-view') == '0.100 0.100 0.900'
    assert driver.execute_script(shown) != first
    assert driver.find_element(By.ID, 'caption').text == caption
    canvas.send_keys('0')
    assert driver.execute_script(shown) == first
    assert canvas.get_attribute('data-frame') == '0'
    driver.find_element(By.TAG_NAME, 'body').send_keys(Keys.ARROW_RIGHT)
    WebDriverWait(driver, 10).until(lambda _: canvas.get_attribute('data-frame') != '0')


@pytest.mark.parametrize('frames', range(10))
def test_no_frame_is_among_the_best_and_the_worst(frames: int) -> None:
    pictures = PagePictures()
    pixels = np.zeros((8, 12, 3), np.uint8)
    for index in range(frames):
        score = FrameScore('m', index, index, index / 10, 1.0, {'photometric': index / 20})
        frame = RecordedFrame(index, StereoFrame(pixels, pixels))
        estimate = Estimate('m', np.full((8, 12), 3, np.float32))
        pictures.see(JudgedFrame(frame, [estimate], {}, [score]))
    number = min(4, frames // 2)
    assert pictures.extremes() == {
        'worst': [frames - 1 - place for place in range(number)],
        'best': list(range(number)),
    }
