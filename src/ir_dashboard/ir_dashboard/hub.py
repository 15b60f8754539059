# SPDX-License-Identifier: Apache-2.0
"""Hands one encoded picture to many viewers; a slow viewer misses pictures and slows nobody.

A text says what has changed, so a viewer that missed one is not sent the next, but everything anew, when it can follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

T = TypeVar("T")
Send = Callable[[T], Awaitable[None]]

BACKLOG = 10
"""Texts that wait for a slow viewer; then they are dropped, and it gets everything anew when it can follow again."""
WINDOW = 20
"""So many texts may be on their way to a viewer before it says that it has seen some: a second, at the usual rate."""


class Viewer:
    """What waits to be sent to one viewer.

    Args:
        everything: texts that stand for all that was dropped since a time, s of `time.monotonic`.
    """

    def __init__(self, everything: Callable[[float], list[str]]) -> None:
        self._everything = everything
        self._texts: deque[str] = deque()
        self._behind: float | None = None  # since when
        self._images: dict[int, bytes] = {}
        self._something = asyncio.Event()
        self._sent = self._seen = 0

    def put(self, text: str) -> None:
        """A text for this viewer."""
        if self._behind is None:
            self._texts.append(text)
            if len(self._texts) > BACKLOG:
                self._texts.clear()
                self._behind = time.monotonic()
        self._something.set()

    def put_image(self, camera: int, frame: bytes) -> None:
        """A camera's newest picture; one that was not sent yet gives way."""
        self._images[camera] = frame
        self._something.set()

    def seen(self, texts: int) -> None:
        """The viewer has worked through so many texts since its start."""
        self._seen = min(max(self._seen, texts), self._sent)
        self._something.set()

    async def pump(
        self, send_text: Callable[[str], Awaitable[None]], send_bytes: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Sends what comes, until it is cancelled or sending fails."""
        while True:
            await self._something.wait()
            self._something.clear()
            while (self._texts or self._behind is not None) and self._sent - self._seen < WINDOW:
                if self._behind is not None:
                    since, self._behind = self._behind, None
                    self._texts.extend(self._everything(since))
                self._sent += 1
                await send_text(self._texts.popleft())
            while self._images and self._sent - self._seen < WINDOW:
                await send_bytes(self._images.pop(next(iter(self._images))))


class Hub:
    """All viewers; `publish` may be called from any thread, everything else from the event loop's."""

    def __init__(self) -> None:
        self._viewers: set[Viewer] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Takes the running event loop for `publish`."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """From now on `publish` does nothing."""
        self._loop = None

    @property
    def viewers(self) -> int:
        """How many there are."""
        return len(self._viewers)

    @contextlib.contextmanager
    def viewer(self, everything: Callable[[float], list[str]]) -> Iterator[Viewer]:
        """A viewer that receives everything while the context lasts; see `Viewer`."""
        viewer = Viewer(everything)
        self._viewers.add(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def publish(self, text: str, images: dict[int, bytes]) -> None:
        """Gives a text and the newest pictures, by camera, to all viewers."""
        self.call(self._fan_out, text, images)

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Has the event loop call a function, from any thread; dropped while there is no loop."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed a moment ago
                loop.call_soon_threadsafe(function, *arguments)

    def _fan_out(self, text: str, images: dict[int, bytes]) -> None:
        for viewer in self._viewers:
            viewer.put(text)
            for camera, frame in images.items():
                viewer.put_image(camera, frame)
