# SPDX-License-Identifier: Apache-2.0
"""Films the stories of `./ir demo` from the live page: ``./ir shell``, then ``python docs/pictures/films.py``.

Words are names of stories (else it is all of them), and ``name:=value`` for the stack.

Needs Chromium and its driver (Debian: chromium chromium-driver).
Pictures are taken as fast as the machine can; of them a film has one every `EVERY` of simulated time, so that its pace
is the same on any machine.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import make
from PIL import Image
from selenium.common.exceptions import WebDriverException

from ir_common.testing_browser import BrowserPage, chromium
from ir_lab.demo.stories import STORIES

HERE = Path(__file__).parent
WINDOW = (1120, 760)
SIZE = (840, 570)
EVERY = 1.0
"""s of simulated time from one picture of the film to the next."""
SHOWN = 0.22
"""s for which each is shown."""
END = 5.0
"""s for which the last one is."""
COLOURS = 64
PATIENCE = 400.0
"""s of wall time that a story may take."""
LOOKED_AT = {"twin": "header", "slices": "#slices", "link": "header"}
"""What of the page each film begins with."""

SCROLLED = "scrollTo(0, document.querySelector(arguments[0]).offsetTop - document.querySelector('header').offsetHeight)"
LOST = 10.0
"""s of wall time without a connection after which the stack has ended."""

Shot = tuple[float, Image.Image]


def main() -> None:
    """Films all stories, or those that are named."""
    named = [word for word in sys.argv[1:] if ":=" not in word]
    words = [word for word in sys.argv[1:] if ":=" in word]
    for story in named or STORIES:
        shots = film(story, words)
        path = HERE / f"demo_{story}.gif"
        save(shots, path)
        print(f"{path}: {len(shots)} pictures taken, {path.stat().st_size / 1e6:.2f} MB")


def film(story: str, words: list[str]) -> list[Shot]:
    """Tells a story with the page open; what the page showed, with simulated times, s."""
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, "-m", "ir_lab.demo.run_demo", story, *words]
        environment = {**os.environ, "ROS_LOG_DIR": logs}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        browser = chromium(*WINDOW)
        try:
            assert process.stdout is not None
            address = next((m[1] for m in (re.search(r"live page: (\S+)", line) for line in process.stdout) if m), None)
            if address is None:
                raise SystemExit("the stack ended before it told the address of its page")
            threading.Thread(target=echo, args=(process,), daemon=True).start()
            make.wait(address, 0.0)
            return shots_of(browser, address, LOOKED_AT[story], process)
        finally:
            browser.quit()
            process.send_signal(signal.SIGINT)
            process.wait(20)


def echo(process: subprocess.Popen[str]) -> None:
    """Prints what a process says."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)


def shots_of(browser: Any, address: str, css: str, process: subprocess.Popen[str]) -> list[Shot]:
    """Takes pictures while there is a caption."""
    page, shots = BrowserPage(browser), []
    browser.get(address)
    page.until("document.querySelector('#caption')?.hidden === false", "the first caption", PATIENCE)
    page.run(SCROLLED, css)
    deadline = heard = time.monotonic()
    while process.poll() is None and time.monotonic() < deadline + PATIENCE:
        now = time.monotonic()
        if now - heard > LOST:
            break
        with contextlib.suppress(WebDriverException):  # a crowded machine does not draw in time: the next one, then
            clock, live = page.run("return ['#clock', '#live'].map(id => document.querySelector(id).textContent)")
            heard = heard if live == "no connection" else now
            picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
            shots.append((float(clock.split()[0]), picture.resize(SIZE, Image.Resampling.LANCZOS)))
    return shots


def save(shots: list[Shot], path: Path) -> None:
    """Makes the film: the newest picture at each instant, in few colours, which are those of the last."""
    chosen, due = [], shots[0][0]
    for (_, picture), (after, _) in zip(shots, [*shots[1:], (float("inf"), None)], strict=True):
        if after > due:
            chosen.append(picture)
            due += EVERY if after < float("inf") else 0.0
            due = max(due, after) if after < float("inf") else due
    palette = chosen[-1].quantize(COLOURS, Image.Quantize.MEDIANCUT)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in chosen]
    shown = [round(1e3 * SHOWN)] * (len(frames) - 1) + [round(1e3 * END)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown, loop=0, optimize=True)


if __name__ == "__main__":
    main()
