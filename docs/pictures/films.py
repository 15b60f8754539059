# SPDX-License-Identifier: Apache-2.0
"""Films the stories of `./ir demo` from the live page: ``./ir shell``, then ``python docs/pictures/films.py``.

Words are names of stories (else it is all of them), and ``name:=value`` for the stack.
Needs Chromium and its driver (Debian: chromium chromium-driver).
What the page is told is recorded first, and shown to it again picture by picture, so that neither the pace of the stack
nor that of the browser is in the film, however busy the machine is.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path

from fastapi import FastAPI, WebSocket
from fastapi.staticfiles import StaticFiles
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ir_common.testing_browser import BrowserPage, chromium
from ir_dashboard.web import PAGE
from ir_dashboard.web_server import WebServer
from ir_lab.demo.stories import STORIES

HERE = Path(__file__).parent
WINDOW = (1120, 760)
WIDTH = 840
EVERY = 1.5
"""s of simulated time from one picture of the film to the next."""
SHOWN = 0.35
"""s for which each is shown."""
END = 5.0
"""s for which the last one is."""
COLOURS = 64
LOOKED_AT = {"twin": "header", "slices": "#slices", "link": "header"}
"""What of the page each film shows, from its upper edge on."""
SCROLLED = "scrollTo(0, document.querySelector(arguments[0]).offsetTop - document.querySelector('header').offsetHeight)"

MOVING = {"time", "poses"}
"""Keys of what says only how things move."""

Told = list[str | bytes]


def main() -> None:
    """Films all stories, or those that are named."""
    named = [word for word in sys.argv[1:] if ":=" not in word]
    words = [word for word in sys.argv[1:] if ":=" in word]
    for story in named or STORIES:
        pictures = film(record(story, words), LOOKED_AT[story])
        path = HERE / f"demo_{story}.gif"
        save(pictures, path)
        print(f"{path}: {len(pictures)} pictures, {path.stat().st_size / 1e6:.2f} MB")


def record(story: str, words: list[str]) -> Told:
    """Tells a story; what a page is told meanwhile."""
    told: Told = []
    with tempfile.TemporaryDirectory() as logs:
        command = [sys.executable, "-m", "ir_lab.demo.run_demo", story, *words]
        variables = {**os.environ, "ROS_LOG_DIR": logs}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables)
        try:
            assert process.stdout is not None
            address = next((m[1] for m in (re.search(r"live page: (\S+)", line) for line in process.stdout) if m), None)
            if address is None:
                raise SystemExit("the stack ended before it told the address of its page")
            threading.Thread(target=echo, args=(process,), daemon=True).start()
            while process.poll() is None:
                listen(address, told)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(20)
    return told


def echo(process: subprocess.Popen[str]) -> None:
    """Prints what a process says."""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)


def listen(address: str, told: Told) -> None:
    """Takes down what the page's socket says until it is closed; nothing while there is none."""
    base, _, token = address.partition("/#token=")
    try:
        with connect(base.replace("http", "ws", 1) + "/live", max_size=None, compression=None) as link:
            link.send(json.dumps({"token": token}))
            texts = 0
            for message in link:
                told.append(message)
                texts += isinstance(message, str)
                if texts % 5 == 0:
                    link.send(json.dumps({"seen": texts}))
    except (OSError, ConnectionClosed):
        threading.Event().wait(0.2)


async def heard(socket: WebSocket) -> None:
    """Takes what a page says until it is gone."""
    async for _ in socket.iter_text():
        pass


class Replay:
    """A page's server that says again what was recorded, as far as it is asked to.

    Args:
        told: as recorded; begins with the first message of a page.
    """

    def __init__(self, told: Told) -> None:
        self._left = deque(told)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: asyncio.Queue[list[str | bytes]] = asyncio.Queue()
        self.time, self.caption = 0.0, ""
        app = FastAPI()

        @app.websocket("/live")
        async def live(socket: WebSocket) -> None:
            await socket.accept()
            self._loop = asyncio.get_running_loop()
            reads = asyncio.create_task(heard(socket))  # its pings, too: a page that is not read from is given up
            while True:
                asked = asyncio.create_task(self._asked.get())
                await asyncio.wait((reads, asked), return_when=asyncio.FIRST_COMPLETED)
                if not asked.done():  # the page is gone; to wait on would be to be cancelled with the server
                    asked.cancel()
                    return
                for message in asked.result():
                    await (socket.send_text(message) if isinstance(message, str) else socket.send_bytes(message))

        app.mount("/", StaticFiles(directory=PAGE, html=True))
        self.server = WebServer(app, "127.0.0.1", 0)

    def until(self, time: float) -> bool:
        """Says what was said up to a simulated time, s; whether there is more."""
        batch: list[str | bytes] = []
        while self._left and self.time < time:
            message = self._left.popleft()
            if isinstance(message, str):
                content = json.loads(message)
                self.time, self.caption = content.get("time", self.time), content.get("caption", self.caption)
                if content.keys() <= MOVING and self.time < time and self._left:
                    continue  # positions between two pictures are not seen
            batch.append(message)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._asked.put_nowait, batch)
        return bool(self._left)

    @property
    def connected(self) -> bool:
        """Whether the page is there."""
        return self._loop is not None


def film(told: Told, css: str) -> list[Image.Image]:
    """What the page showed while there was a caption."""
    replay = Replay(told)
    replay.server.start()
    browser = chromium(*WINDOW)
    try:
        page = BrowserPage(browser)
        browser.get(f"http://127.0.0.1:{replay.server.port}/")
        page.until("!!document.querySelector('#caption')", "the page")
        while not replay.connected:
            threading.Event().wait(0.05)
        pictures, more = [], replay.until(1e-3)
        page.until("document.querySelector('#clock').textContent !== '– s'", "the first message", 120)
        while more:
            more = replay.until(replay.time + EVERY)
            if replay.caption:
                page.until(
                    f"parseFloat(document.querySelector('#clock').textContent) >= {replay.time:.2f} - .15", "it", 120
                )
                page.run(SCROLLED, css)
                shot = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                pictures.append(shot.resize((WIDTH, WIDTH * shot.height // shot.width), Image.Resampling.LANCZOS))
        return pictures
    finally:
        browser.quit()
        replay.server.stop()


def save(pictures: list[Image.Image], path: Path) -> None:
    """Makes the film, in few colours, which are those of the last picture."""
    palette = pictures[-1].quantize(COLOURS, Image.Quantize.MEDIANCUT)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    shown = [round(1e3 * SHOWN)] * (len(frames) - 1) + [round(1e3 * END)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=shown, loop=0, optimize=True)


if __name__ == "__main__":
    main()
