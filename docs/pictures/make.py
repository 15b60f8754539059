# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the documentation from a running stack: ``./ir shell``, then ``python docs/pictures/make.py``.

Needs Chromium and its driver (Debian: chromium chromium-driver).
"""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import draw
from rich.console import Console
from rich.text import Text
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
RUN_SECONDS = 45.0
"""Simulated time after which the picture is taken: the charts have a history then."""
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--use-angle=swiftshader",
)  # fmt: skip


def main() -> None:
    """Draws what needs no stack; then starts one, photographs its page and its table, and ends it."""
    draw.robots(HERE / "ros_tools.png")
    draw.drives(HERE / "controllers.png")
    command = [sys.executable, "-m", "ir_twin.bringup.up", "headless:=true", "seed:=1", *sys.argv[1:]]
    stack = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    table: list[str] = []
    try:
        assert stack.stderr is not None and stack.stdout is not None
        threading.Thread(target=table.extend, args=(stack.stdout,), daemon=True).start()
        for line in stack.stderr:
            if found := re.search(r"live page: (\S+)", line):
                break
        else:
            raise SystemExit("the stack ended before it told the address of its page")
        threading.Thread(target=stack.stderr.read, daemon=True).start()
        photograph(found[1], HERE / "live_page.png", 1440, 1500)
    finally:
        stack.send_signal(signal.SIGINT)
        stack.wait(20)
    last = max(index for index, line in enumerate(table) if line.startswith("simulated"))
    terminal("".join(table[last:]), "./ir up", HERE / "bringup.svg")


def terminal(text: str, title: str, path: Path) -> None:
    """A terminal with a text in it."""
    console = Console(record=True, width=max(map(len, text.splitlines())) + 1, file=io.StringIO())
    console.print(Text(text.rstrip()))
    console.save_svg(str(path), title=title)


def photograph(address: str, path: Path, width: int, height: int) -> None:
    """Opens the page, waits until the run is RUN_SECONDS old, and saves what it shows."""
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                browser.get(address)
                break
            except webdriver.remote.errorhandler.WebDriverException:
                if time.monotonic() > deadline:
                    raise
        WebDriverWait(browser, 30).until(lambda b: "cart" in b.find_element("tag name", "body").text)
        shown = r"(\d+(?:\.\d+)?) s"
        WebDriverWait(browser, 300, 1.0).until(
            lambda b: float((re.search(shown, b.find_element("tag name", "header").text) or [0, "0"])[1]) > RUN_SECONDS
        )
        browser.save_screenshot(str(path))
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
