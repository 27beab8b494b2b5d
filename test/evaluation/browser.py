"""A real browser, Debian's Chromium, in which pages are tested."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def chromium(page: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens a page at a width, in a theme; in the end nothing was logged."""
    webdriver = pytest.importorskip('selenium.webdriver')
    programs = [shutil.which(name) for name in ('chromium', 'chromedriver')]
    if None in programs:
        pytest.skip('no chromium and chromedriver; on Debian: apt install chromium-driver')
    from selenium.webdriver.chrome.service import Service

    drivers = []

    def start(width: int = 1280, dark: bool = False) -> Any:
        options = webdriver.ChromeOptions()
        options.binary_location = programs[0]
        for argument in ('--headless=new', '--no-sandbox', '--enable-unsafe-swiftshader'):
            options.add_argument(argument)
        options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
        driver = webdriver.Chrome(options=options, service=Service(programs[1]))
        drivers.append(driver)
        driver.execute_cdp_cmd(
            'Emulation.setDeviceMetricsOverride',
            {'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 600},
        )
        features = [{'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}]
        driver.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': features})
        driver.get(page.as_uri())
        return driver

    yield start
    for driver in drivers:
        # A driver without a GPU warns that reading pixels back is slow.
        log = [line for line in driver.get_log('browser') if line['source'] != 'rendering']
        assert log == []
        driver.quit()
