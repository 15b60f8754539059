# SPDX-License-Identifier: Apache-2.0
"""States of a slice instance and the audit trail, in the words of 3GPP (TS 28.530, TS 28.531, TS 28.541 annex B.1).

| here | phase of TS 28.530, 4.3 | administrative and operational state of TS 28.541, B.1 |
| --- | --- | --- |
| PREPARATION | preparation: there is a template at most, no instance | none |
| INACTIVE | commissioned, not in operation | LOCKED, DISABLED |
| ACTIVE | operation | UNLOCKED, ENABLED |
| TERMINATED | decommissioned | none |
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from ir_common.slice_kinds import SliceKind
from ir_radio.model.slice_specs import SliceSpec

SST = {kind.key: int(kind) for kind in SliceKind}
"""Standardised slice/service types (3GPP TS 23.501, 5.15.2.2)."""

MANAGER = "manager"
"""Requester of what the manager does by itself."""


class State(str, Enum):
    """The state of a slice instance (3GPP TS 28.531)."""

    PREPARATION = "PREPARATION"
    INACTIVE = "INACTIVE"
    ACTIVE = "ACTIVE"
    TERMINATED = "TERMINATED"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class LifecycleEvent:
    """One line of the audit trail.

    Attributes:
        sequence: counts the lines of one trail, from 1.
        time: ns of ROS time.
        slice: name of the slice or template.
        sst: slice/service type, 0: unknown.
        sd: slice differentiator.
        action: create, activate, modify, …
        requester: who asked.
        accepted: False: refused, nothing changed.
        reason: why it was done or refused.
        before: state before.
        after: state after.
    """

    sequence: int
    time: int
    slice: str
    sst: int
    sd: int
    action: str
    requester: str
    accepted: bool
    reason: str
    before: State
    after: State


class AuditTrail:
    """Collects events until somebody takes them.

    Attributes:
        refused: action -> number of refusals since the start.
    """

    def __init__(self) -> None:
        self._events: list[LifecycleEvent] = []
        self._count = 0
        self.refused: Counter[str] = Counter()

    def add(
        self, time: int, action: str, name: str, spec: SliceSpec | None, requester: str, reason: str,
        before: State, after: State | None = None, accepted: bool = True,
    ) -> None:  # fmt: skip
        """Adds one; without ``after`` the state stayed what it was."""
        sst, sd = (SST[spec.type], spec.differentiator) if spec else (0, 0)
        self._count += 1
        state = before if after is None else after
        self._events.append(
            LifecycleEvent(self._count, time, name, sst, sd, action, requester, accepted, reason, before, state)
        )
        if not accepted:
            self.refused[action] += 1

    def peek(self) -> list[LifecycleEvent]:
        """The events since the last `take`, which stay."""
        return list(self._events)

    def take(self) -> list[LifecycleEvent]:
        """The events since the last call, which are gone then."""
        events, self._events = self._events, []
        return events
