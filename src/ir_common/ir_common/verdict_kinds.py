# SPDX-License-Identifier: Apache-2.0
"""The numbers of ir_interfaces/msg/Verdict by name, and the kinds of verdicts that reports count; needs no ROS.

Whoever writes, reads or counts verdicts (robot twin, page, monitor, repeated bags, test doubles) takes them from here.
A test asserts that they are those of the message.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Reason(enum.IntEnum):
    """Why a verdict is what it is (``REASON_*`` of the message)."""

    ACCEPTED = 0
    LOW_REWARD = 1
    INVALID_COMMAND = 2
    NO_MODEL = 3
    STALE_STATE = 4
    NO_PREDICTION = 5
    UNTESTED = 6
    HIGH_RISK = 7


class Sent(enum.IntEnum):
    """What was sent (``SENT_*`` of the message)."""

    PROPOSAL = 0
    SCALED = 1
    """Between the proposal and the safe action."""
    PREVIOUS = 2
    """What was sent before."""
    SAMPLED = 3
    """Drawn around the proposal."""
    SAFE = 4
    NOISE_FREE = 5
    """What the controller would have proposed without its exploration."""


class VerdictMode(enum.IntEnum):
    """What is done with verdicts (``MODE_*`` of the message); a name in small letters is a value of ``mode``."""

    OFF = 0
    SHADOW = 1
    ENFORCE = 2


VETOES = (Reason.LOW_REWARD, Reason.HIGH_RISK)
"""The rule in use is against the proposal: the reward rule, or one of those about risk."""
KINDS = ("accepted", "vetoed", "invalid", "untested")
"""Of verdicts; each verdict is of one kind."""
COUNTS = ("proposals", *KINDS)
"""The five numbers of a report: all verdicts, then those of each kind."""
_KIND_OF: dict[int, str] = {
    Reason.ACCEPTED: "accepted",
    **dict.fromkeys(VETOES, "vetoed"),
    Reason.INVALID_COMMAND: "invalid",
    **dict.fromkeys((Reason.NO_MODEL, Reason.STALE_STATE, Reason.NO_PREDICTION, Reason.UNTESTED), "untested"),
}


def kind_of(reason: int) -> str:
    """The kind of a verdict, one of `KINDS`, by its reason; untested where it is not known here."""
    return _KIND_OF.get(reason, "untested")


def verdict_counts(by_reason: Mapping[int, int] | Mapping[Reason, int]) -> dict[str, int]:
    """The five numbers of a report (`COUNTS`) from the verdicts counted by reason."""
    counts = dict.fromkeys(COUNTS, 0)
    for reason, count in by_reason.items():
        counts["proposals"] += count
        counts[kind_of(reason)] += count
    return counts
