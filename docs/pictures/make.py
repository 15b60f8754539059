# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the documentation from a running stack: ``./ir shell``, then ``python docs/pictures/make.py``.

Needs Chromium and its driver (Debian: chromium chromium-driver). Pictures of results are made by ``./ir bench``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import draw
import rclpy
import recorded
from ament_index_python.packages import get_package_prefix
from rich.console import Console
from rich.text import Text

from ir_common.testing_browser import BrowserPage, chromium

HERE = Path(__file__).parent
BY_HAND = ((30.0, "delete video"), (60.0, "create video"))
"""Simulated s, and what is done to the slices then with `./ir slice`."""
RUN_SECONDS = 120.0
"""Simulated time of the run that is recorded; then the page is photographed, with a history in its charts."""


def main() -> None:
    """Draws what needs no stack; then starts one, records it, photographs its page and its table, and ends it."""
    draw.robots(HERE / "ros_tools.png")
    draw.drives(HERE / "controllers.png")
    with tempfile.TemporaryDirectory() as folder:
        bag = Path(folder) / "bag"
        with stack(bag.parent) as (address, table):
            with recorder(bag):
                done = by_hand(address)
                found = graph()
            photograph(address, HERE / "live_page.png")
        run = recorded.Run(bag)
        recorded.bag(run, HERE / "bags.png")
        recorded.radio(run, HERE / "radio.png")
        recorded.slices(run, HERE / "slicing.png", [((stamp - run.begin) / 1e9, words) for stamp, words in done])
        recorded.twin(run, HERE / "twin.png")
        recorded.graph(run, found, HERE / "architecture.png")
    last = max(index for index, line in enumerate(table) if line.startswith("simulated"))
    terminal("".join(table[last:]), "./ir up", HERE / "bringup.svg")


@contextmanager
def recorder(folder: Path) -> Iterator[None]:
    """Records everything into a bag."""
    words = ["-m", "ir_bag.record", "-a", "-o", str(folder)]
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    if "recording into" not in process.stdout.readline():
        raise SystemExit("the recorder did not start")
    threading.Thread(target=process.stdout.read, daemon=True).start()
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


@contextmanager
def stack(logs: Path) -> Iterator[tuple[str, list[str]]]:
    """A running stack: address of its page, and the lines that it prints."""
    command = [sys.executable, "-m", "ir_twin.bringup.up", "headless:=true", "seed:=1", *sys.argv[1:]]
    environment = {**os.environ, "ROS_LOG_DIR": str(logs)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    table: list[str] = []
    try:
        assert process.stderr is not None and process.stdout is not None
        reader = threading.Thread(target=table.extend, args=(process.stdout,), daemon=True)
        reader.start()
        address = next((m[1] for m in (re.search(r"live page: (\S+)", line) for line in process.stderr) if m), None)
        if address is None:
            raise SystemExit("the stack ended before it told the address of its page")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield address, table
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        reader.join(5)


def by_hand(address: str) -> list[tuple[int, str]]:
    """Waits for the end of the run, does to the slices meanwhile what is to be done; when (ns, wall clock), what."""
    done = []
    program = Path(get_package_prefix("ros2slice")) / "lib" / "ros2slice" / "slice"
    for second, words in BY_HAND:
        wait(address, second)
        done.append((time.time_ns(), f"./ir slice {words}"))
        subprocess.run([program, *words.split()], check=True, stdout=subprocess.DEVNULL)
    wait(address, RUN_SECONDS)
    return done


def wait(address: str, second: float, patience: float = 300.0) -> None:
    """Until the dashboard is there and its clock shows that simulated second."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{address.split('/#')[0]}/api/v1/status") as answer:
            if json.load(answer)["time"] >= second:
                return
        time.sleep(0.2)
    raise SystemExit(f"the run did not come to {second:g} s within {patience:g} s")


def photograph(address: str, path: Path) -> None:
    """Opens the page, gives it time for everything it shows, and saves it."""
    browser = chromium(1440, 1500)
    try:
        page = BrowserPage(browser)
        page.open(address)
        shown = "document.getElementById('windscreen').width === 320 && !document.querySelector('#drive .screen.stale')"
        page.until(shown, "the camera's picture")
        browser.save_screenshot(str(path))
        draw.shrink(path)
    finally:
        browser.quit()


def graph() -> list[tuple[str, str, str]]:
    """The ROS graph of the running stack."""
    rclpy.init()
    node = rclpy.create_node("pictures")
    found: list[tuple[str, str, str]] = []
    deadline = time.monotonic() + 3.0  # discovery; the largest that was seen is the whole
    while time.monotonic() < deadline:
        found = max(found, recorded.edges(node), key=len)
    node.destroy_node()
    rclpy.shutdown()
    return found


def terminal(text: str, title: str, path: Path) -> None:
    """A terminal with a text in it."""
    console = Console(record=True, width=max(map(len, text.splitlines())) + 1, file=io.StringIO())
    console.print(Text(text.rstrip()))
    console.save_svg(str(path), title=title)


if __name__ == "__main__":
    main()
