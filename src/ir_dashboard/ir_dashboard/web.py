# SPDX-License-Identifier: Apache-2.0
"""The web application: the page, its socket, and REST."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ir_dashboard.access import Access
from ir_dashboard.api import PREFIX, explain, router
from ir_dashboard.driving import Desk
from ir_dashboard.hub import Hub
from ir_dashboard.recording import Recording
from ir_dashboard.session import Session, seats
from ir_dashboard.stack import Pictures, Slices
from ir_dashboard.state import encode

TICK = 0.02
"""The dead-man looks after its robots so often while one is held, s."""
SEATS_PERIOD = 0.1
"""Viewers are told so often who drives, s."""
MAX_BODY = 1 << 20
"""Largest body of a request, B: 200 flows take about 30 kB."""
PAGE = Path(__file__).parent / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def application(
    pictures: Pictures, slices: Slices, hub: Hub, desk: Desk, access: Access, constants: dict[str, Any],
    recording: Recording,
) -> FastAPI:  # fmt: skip
    """The application.

    Args:
        pictures: what it shows.
        slices: what it changes.
        hub: what its viewers are sent.
        desk: who drives; from now on only the application's event loop may use it.
        access: who may do what.
        constants: what a page is told once: robots, limits, the scene, …
        recording: the recorder behind the page's button.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hub.open()
        watch = asyncio.create_task(_watch(desk, hub, recording))
        yield
        hub.close()
        watch.cancel()

    app = FastAPI(
        title="IR stack", version="1", openapi_url=f"{PREFIX}/openapi.json", docs_url=None, redoc_url=None,
        description="Robots driven from the edge through a sliced radio: their state, and the slices.",
        lifespan=lifespan,
    )  # fmt: skip
    app.include_router(router(pictures, slices, access, recording))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": explain(error.errors())}, 422)

    app.add_middleware(_Bounded)

    @app.middleware("http")
    async def headers(request: Request, answer: Any) -> Response:
        response: Response = await answer(request)
        response.headers.update(_HEADERS)
        return response

    @app.websocket("/live")
    async def live(socket: WebSocket) -> None:
        await Session(socket, pictures, hub, desk, access, constants).run()

    app.mount("/", StaticFiles(directory=PAGE, html=True), name="page")
    return app


class _Bounded:
    """Refuses a body over `MAX_BODY` as it comes, before more of it is held."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body") or b"")
            if size > MAX_BODY:
                raise HTTPException(413, f"the body is larger than {MAX_BODY} B")
            return message

        await self._app(scope, counted if scope["type"] == "http" else receive, send)


async def _watch(desk: Desk, hub: Hub, recording: Recording) -> None:
    """Ticks the dead-man, and tells viewers about the seats and the recording when they changed."""
    told, due, recorded = "", 0.0, ""
    while True:
        await asyncio.sleep(TICK if any(seat.held for seat in desk.seats.values()) else 2 * TICK)
        now = time.monotonic()
        desk.tick(now)
        if now >= due:
            due, text, state = now + SEATS_PERIOD, seats(desk), encode({"recording": recording.state(now)})
            if state != recorded:
                recorded = state
                hub.publish(state, {})
            if text != told:
                told = text
                hub.publish(text, {})
