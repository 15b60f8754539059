# SPDX-License-Identifier: Apache-2.0
"""The bus of a simulated run: topics by name, plain content, and what a message of it would be on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ir_lab.model_time.agenda import Agenda


class BusSample(Protocol):
    """One message's worth of content."""

    def message(self) -> Any:
        """The ROS message that the live stack would publish."""

    def size(self) -> int:
        """Bytes of that message on the wire, its encapsulation header included."""


Listener = Callable[[Any], None]
Tap = Callable[[str, BusSample, int], None]


class Bus:
    """Carries samples between the parts of one side of the radio in no time; the radio is a part like the others.

    A sample is handed to its listeners at the present instant, after what was published before it: a part is never
    entered while it works.

    Args:
        agenda: of the run.
    """

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._listeners: dict[str, list[Listener]] = {}
        self._taps: list[Tap] = []

    def listen(self, topic: str, listener: Listener) -> None:
        """Has every sample of a topic handed to ``listener``, in the order in which the listeners came."""
        self._listeners.setdefault(topic, []).append(listener)

    def leave(self, topic: str, listener: Listener) -> None:
        """Takes a listener off a topic."""
        self._listeners[topic].remove(listener)

    def tap(self, tap: Tap) -> None:
        """Has every sample of every topic told to ``tap`` (topic, sample, ns) as it is published."""
        self._taps.append(tap)

    def publish(self, topic: str, sample: BusSample) -> None:
        """Publishes a sample."""
        for tap in self._taps:
            tap(topic, sample, self._agenda.now)
        if listeners := self._listeners.get(topic):
            self._agenda.soon(self._hand, listeners, sample)

    @staticmethod
    def _hand(listeners: list[Listener], sample: BusSample) -> None:
        for listener in tuple(listeners):
            listener(sample)
