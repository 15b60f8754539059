# SPDX-License-Identifier: Apache-2.0
"""The web server in a thread of its own."""

from __future__ import annotations

import socket
import threading
from typing import Any

import uvicorn

from ir_common.config import ConfigError


class WebServer:
    """Serves an application from a thread, beside the ROS executor.

    Args:
        application: ASGI application.
        host, port: where to listen; port 0: a free one.

    Raises:
        ConfigError: the address is taken or not one of this machine.
    """

    def __init__(self, application: Any, host: str, port: int) -> None:
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = socket.create_server((host, port), family=family, backlog=128)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ConfigError(
                f"host {host}, port {port}: cannot listen there ({reason}); choose another port"
            ) from None
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            application, log_level="warning", access_log=False, lifespan="on", ws_per_message_deflate=False,
            ws_max_size=65536, ws_ping_interval=5.0, ws_ping_timeout=20.0, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="web", daemon=True
        )

    def start(self) -> None:
        """Begins to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Ends within about a second."""
        self._server.should_exit = True
        self._thread.join(timeout=1.5)
        self._socket.close()
