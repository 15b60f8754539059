# SPDX-License-Identifier: Apache-2.0
"""Services across the radio: a request one way and its answer the other, each as a message of its slice."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

from rclpy.client import Client
from rclpy.serialization import serialize_message
from rclpy.service import Service

from ir_radio.ros.ros_pump import Port

MOST_OPEN = 10_000
"""Requests whose answers are waited for; the oldest is forgotten beyond that."""


@dataclass(eq=False)
class Call:
    """A service on one side that stands in for a server on the other.

    A request or an answer that the radio drops never comes: whoever asked waits until he gives up, as over any link.

    Attributes:
        service: serves the clients.
        client: asks the server.
        open: who asked, by the number under which the server was asked.
    """

    service: Service
    client: Client
    open: dict[int, Any] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class RequestPort(Port):
    """Where requests come in and go out."""

    call: Call
    subscription: Any = None
    publisher: Any = None
    kind = "service"

    @property
    def source(self) -> Any:
        """Handle of the service."""
        return self.call.service.handle

    def take(self) -> tuple[int, int, Any] | None:
        """One request that waits, and who asked, as `Port.take`."""
        request, header = self.call.service.handle.service_take_request(self.call.service.srv_type.Request)
        if header is None:
            return None
        return header.source_timestamp, len(serialize_message(request)), (request, header.request_id)

    def emit(self, message: Any) -> None:
        """Asks the server."""
        request, who = message
        if len(self.call.open) >= MOST_OPEN:
            del self.call.open[next(iter(self.call.open))]
        self.call.open[self.call.client.handle.send_request(request)] = who


@dataclass(eq=False, kw_only=True)
class AnswerPort(Port):
    """Where answers come in and go out."""

    call: Call
    subscription: Any = None
    publisher: Any = None
    kind = "client"

    @property
    def source(self) -> Any:
        """Handle of the client."""
        return self.call.client.handle

    def take(self) -> tuple[int, int, Any] | None:
        """One answer that waits, and who is to get it, as `Port.take`; those that nobody waits for are left out."""
        while True:
            header, answer = self.call.client.handle.take_response(self.call.client.srv_type.Response)
            if header is None:
                return None
            who = self.call.open.pop(header.request_id.sequence_number, None)
            if who is not None:
                return header.source_timestamp, len(serialize_message(answer)), (answer, who)

    def emit(self, message: Any) -> None:
        """Answers who asked; one who is gone gets nothing."""
        with warnings.catch_warnings():  # that is how rclpy says that he is gone
            warnings.simplefilter("ignore")
            self.call.service.handle.service_send_response(*message)
