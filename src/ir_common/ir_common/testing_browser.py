# SPDX-License-Identifier: Apache-2.0
"""The live page in headless Chromium, for tests and for pictures. Needs selenium, chromium and chromedriver."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from typing import Any

FLAGS = """--headless=new --no-sandbox --no-first-run --disable-background-networking --disable-component-update
    --disable-sync --disable-quic --hide-scrollbars --use-angle=swiftshader --enable-unsafe-swiftshader"""
_POLL = 0.05  #: s between two looks at the page
_LIVE = "document.querySelectorAll('.slice').length >= 4 && document.querySelector('#live.good')"

Until = Callable[[Callable[[], object], float, str], object]
"""Waits until something holds: condition, s of wall time, what it is."""


def crowd() -> float:
    """How many times slower than an idle machine this one may be now: runnable processes per core, at least 1."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def chromium(width: int = 1000, height: int = 760) -> Any:
    """Starts a Chromium that draws in software; returns its selenium driver, to be ended with ``quit()``.

    Raises:
        ModuleNotFoundError: selenium, chromium or chromedriver is not installed.
    """
    from selenium import webdriver

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        raise ModuleNotFoundError("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS.split(), f"--window-size={width},{height}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.set_script_timeout(240)  # drawing in software on a crowded machine
    started.command_executor.client_config.timeout = 300  # s for an answer of the browser
    return started


def _look(condition: Callable[[], object], timeout: float, what: str) -> None:
    deadline = time.monotonic() + timeout * crowd()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not seen within {timeout * crowd():g} s: {what}")
        time.sleep(_POLL)


class BrowserPage:
    """A page in a browser.

    Args:
        driver: the browser.
        until: how to wait, where something else must go on meanwhile.
    """

    def __init__(self, driver: Any, until: Until = _look) -> None:
        self.driver, self._until = driver, until

    def open(self, address: str) -> None:
        """Opens the live page and waits until it shows a running stack."""
        self.driver.get(address)
        self.until(_LIVE, "live page")

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs JavaScript in the page."""
        return self.driver.execute_script(script, *arguments)

    def until(self, expression: str, what: str, timeout: float = 30.0) -> Any:
        """Waits until a JavaScript expression is true; returns its value.

        Raises:
            TimeoutError: it is not within `timeout`, s of an idle machine.
        """
        value: Any = None

        def holds() -> Any:
            nonlocal value
            value = self.run(f"return {expression}")
            return value

        self._until(holds, timeout, what)
        return value

    def text(self, css: str) -> str:
        """What an element says; empty where there is none."""
        return str(self.run("return document.querySelector(arguments[0])?.textContent ?? ''", css))

    def click(self, css: str) -> None:
        """Presses a button; without the mouse, whose way through a busy software renderer may take a minute."""
        self.run("document.querySelector(arguments[0]).click()", css)

    def find(self, css: str) -> Any:
        """An element."""
        return self.driver.find_element("css selector", css)

    def errors(self) -> list[Any]:
        """What the console has said."""
        return list(self.driver.get_log("browser"))


def label(name: str) -> str:
    """Where a robot's name stands in the page's picture of the world, in JavaScript."""
    return f"[...document.querySelectorAll('#labels span')].find(s => s.textContent === '{name}')?.style.transform"
