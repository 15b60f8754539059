# SPDX-License-Identifier: Apache-2.0
"""One viewer's socket: pictures out, joystick in.

What the page says, one JSON object a message: first ``{"token": …}``; then ``{"take": robot, "over": bool}``,
``{"cmd": [robot, forward, turn]}`` with each axis in [-1, 1] and, where they are known, ``"age"`` of the picture on the
screen (s) and ``"at"``, when the hand was there (s of this side's clock); ``{"release": robot}``, ``{"ping": number}``,
and after every few texts ``{"seen": how many so far}``, without which no more are sent (`hub.WINDOW`).
What it hears: first ``you`` and the constants with the whole picture, then pictures (`LiveState.update`); after it fell
behind a whole one, with ``rows``;
``{"seats": …}``, ``{"pong": number, "at": s}`` (monotonic clock of this side), ``{"error": text}``; and pictures of
cameras as binary: one byte the robot's index, when it was taken (s of the same clock, float64, little end first; NaN:
not known), then the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import time
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from ir_dashboard.access import Access
from ir_dashboard.driving import Desk, DrivingRefused
from ir_dashboard.hub import Hub, Viewer
from ir_dashboard.stack import Pictures
from ir_dashboard.state import encode, number

NOT_ALLOWED = 1008
"""Close code of a socket that may not read."""
OVERLAP = 5.0
"""s of rows before a viewer fell behind that it is sent again: those were on their way."""
GREETING_TIMEOUT = 5.0
"""A socket that does not introduce itself is closed after this long, s."""


class Session:
    """A viewer from its connection to its end; the robots that it drove then stop and wait."""

    def __init__(
        self, socket: WebSocket, pictures: Pictures, hub: Hub, desk: Desk, access: Access, constants: dict[str, Any]
    ) -> None:
        self._socket, self._pictures, self._hub, self._desk = socket, pictures, hub, desk
        self._access, self._constants = access, constants
        self._name = secrets.token_hex(4)
        self._writes = False

    async def run(self) -> None:
        """Serves the viewer."""
        host = self._socket.headers.get("host", "")
        if not self._access.same_origin(self._socket.headers.get("origin", ""), host):
            await self._socket.close(NOT_ALLOWED, "this page is not mine")
            return
        await self._socket.accept()
        try:
            token = await asyncio.wait_for(self._greeting(), GREETING_TIMEOUT)
            client = self._socket.client.host if self._socket.client else ""
            self._writes = self._access.may_write(token)
            if not self._access.may_read(client, host, token):
                await self._socket.close(NOT_ALLOWED, "from another machine the token is needed")
                return
            with self._hub.viewer(self._everything) as viewer:
                await self._serve(viewer)
        except (WebSocketDisconnect, asyncio.TimeoutError, RuntimeError):
            pass  # it went away, or never said a word; RuntimeError is how a send into a closed socket ends
        finally:
            self._desk.lost(self._name, time.monotonic())

    async def _greeting(self) -> str:
        first = _parse(await self._socket.receive_text())
        token = first.get("token", "")
        return token if isinstance(token, str) else ""

    def _everything(self, since: float) -> list[str]:
        """What is so now, with the rows of the charts from a little before a time on."""
        rows = [row for row in self._pictures.rows() if row["at"] > since - OVERLAP]
        return [encode(self._pictures.picture() | {"rows": rows}), seats(self._desk)]

    async def _serve(self, viewer: Viewer) -> None:
        first = self._pictures.picture() | self._constants
        viewer.put(encode(first | {"you": self._name, "writes": self._writes, "rows": self._pictures.rows()}))
        viewer.put(seats(self._desk))
        pump = asyncio.create_task(viewer.pump(self._socket.send_text, self._socket.send_bytes))
        try:
            while True:
                message = _parse(await self._socket.receive_text())
                if type(message.get("seen")) is int:
                    viewer.seen(message["seen"])
                    continue
                answer = self._answer(message)
                if answer:
                    viewer.put(encode(answer))
        finally:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await pump

    def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        """Does what a message says; what to say back, if anything."""
        if "ping" in message:
            ping = message["ping"]
            given = isinstance(ping, int | float) and math.isfinite(ping)
            return {"pong": ping, "at": round(time.monotonic(), 4)} if given else None
        if not self._writes:
            return {"error": "driving needs the token that the dashboard printed at its start"}
        try:
            self._drive(message)
        except DrivingRefused as error:
            return {"error": str(error)}
        return None

    def _drive(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        match message:
            case {"cmd": [str(robot), int() | float() as forward, int() | float() as turn]}:
                age, at = (_finite(message.get(name)) for name in ("age", "at"))
                self._desk.command(robot, self._name, forward, turn, now, age, at)
            case {"take": str(robot)}:
                self._desk.take(robot, self._name, now, over=message.get("over") is True)
                self._hub.publish(seats(self._desk), {})
            case {"release": str(robot)}:
                self._desk.release(robot, self._name, now)
                self._hub.publish(seats(self._desk), {})
            case _:
                raise DrivingRefused("not understood; expected take, cmd, release or ping")


def seats(desk: Desk) -> str:
    """Who drives what, encoded: driver, held, moving, stops by the dead-man, round trip in s; why it is slower than
    wished, commands refused for their age, and where those on their way will have led: x, y (m), heading (rad).
    """
    now = time.monotonic()
    return encode(
        {
            "seats": {
                robot: {
                    "driver": seat.driver,
                    "held": seat.held,
                    "moving": seat.moving,
                    "stops": seat.stops,
                    "limited": seat.limited if seat.driver else "",
                    "refused": seat.refused,
                    "ahead": [number(value, 2) for value in seat.ahead(now)] if seat.driver else [0.0, 0.0, 0.0],
                    "guarded": seat.guard is not None and seat.guarded,
                    "trip": _rounded(seat.trip.last),
                    "p50": _rounded(seat.trip.quantile(0.5)),
                    "p99": _rounded(seat.trip.quantile(0.99)),
                }
                for robot, seat in desk.seats.items()
            }
        }
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else number(value, 4)


def _finite(value: Any) -> float | None:
    """A number that a page may have sent, or nothing."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _parse(text: str) -> dict[str, Any]:
    """The object in a text; an empty one where there is none."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}
