# SPDX-License-Identifier: Apache-2.0
"""Versions of a policy that is learnt while it is used: what each returned, and which one is to be in force."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from ir_drl.live.live_config import VersionConfig

MOST_DOUBLINGS = 5
PATIENCE = 6
"""Trial periods that one without enough episodes to be compared with stays for them."""
ERRORS = 3.0
"""Standard errors of a difference that count as one, if both returned as the reference does: by its spread alone.

One that falls now and then spreads widely, and should not pass for it.
"""


class Choice(Enum):
    """What is to become of the version in force."""

    STAY = "stay"
    """It has not shown yet what it is."""
    NEXT = "next"
    """It has; a newer one may take its place."""
    TAKE_BACK = "take back"
    """It does worse than the one before it, which is in force again."""


@dataclass
class VersionRecord:
    """A version and the returns of its newest episodes."""

    number: int
    policy: Any
    """Whatever is handed over."""
    returns: deque[float] = field(default_factory=deque)
    since: float = 0.0
    """s, when it came into force."""
    episodes: int = 0
    """That ended since then."""

    @property
    def mean(self) -> float:
        """Of the returns; NaN without any."""
        return float(np.mean(self.returns)) if self.returns else math.nan


class PolicyVersions:
    """The version in force, and the reference: the version that all later ones are compared with.

    Versions follow each other soon, as an agent learns most from what its present policy does. They are judged
    together: a version inherits the newest returns of those before it, back to the reference.

    - It becomes the reference where it has ``held_episodes`` of them, and their mean is not under the reference's.
    - It is taken back, and the reference in force again, as soon as that mean is under the reference's by more than
      ``worse_by`` of that one's size, and by more than `ERRORS` standard errors of the difference: each further episode
      may be a fall. After k such times in a row the reference stays for 2^(k-1) ``trial_period`` (at most
      2^`MOST_DOUBLINGS`): who fails so often has more to learn before the next try.

    A decline in small steps is noticed, too: it moves away from one and the same reference.

    Args:
        config: when a version has shown what it is, and how much worse is too much.

    Attributes:
        in_force, reference: versions; None: there is none. Without a reference that in force is to become it.
        handed, taken_back: how many versions were handed over and taken back.
        failed: times in a row that versions were taken back.
    """

    def __init__(self, config: VersionConfig) -> None:
        self._config = config
        self.in_force: VersionRecord | None = None
        self.reference: VersionRecord | None = None
        self.handed = self.taken_back = self.failed = 0

    def hand(self, policy: Any, now: float) -> VersionRecord:
        """Puts a new version into force, at ``now``, s."""
        self.handed += 1
        current, inherited = self.in_force, deque[float](maxlen=self._config.last_episodes)
        if current is not None and self._holds(current):
            self.failed = 0 if self.reference is not None else self.failed
            self.reference = current
        elif current is not None:
            inherited.extend(current.returns)
        self.in_force = VersionRecord(self.handed, policy, inherited, now)
        return self.in_force

    def _holds(self, current: VersionRecord) -> bool:
        reference, config = self.reference, self._config
        if reference is None:
            return True
        if len(reference.returns) < config.judged_episodes:  # nothing can be compared with it
            return len(current.returns) >= config.judged_episodes
        return len(current.returns) >= config.held_episodes and current.mean >= reference.mean

    def returned(self, number: int, total: float) -> None:
        """Takes in the return of an episode of a version; of those that are not known any more it is let go."""
        for one in (self.in_force, self.reference):
            if one is not None and one.number == number:
                one.returns.append(total)
                one.episodes += one is self.in_force

    def choose(self, now: float) -> Choice:
        """What is to become of the version in force at ``now``, s; TAKE_BACK has been done when it is returned."""
        current, config = self.in_force, self._config
        if current is None:
            return Choice.NEXT
        if self.reference is None:
            periods = 2 ** min(self.failed - 1, MOST_DOUBLINGS) if self.failed else 0
            if len(current.returns) < config.judged_episodes:
                periods = max(periods, PATIENCE)
            return Choice.STAY if now - current.since < periods * config.trial_period else Choice.NEXT
        if self._worse(current, self.reference):
            self.in_force, self.reference = self.reference, None
            self.in_force.since, self.in_force.episodes = now, 0
            self.taken_back += 1
            self.failed += 1
            return Choice.TAKE_BACK
        tried = current.episodes >= config.trial_episodes or now - current.since >= config.trial_period
        return Choice.NEXT if tried else Choice.STAY

    def _worse(self, one: VersionRecord, than: VersionRecord) -> bool:
        if min(len(each.returns) for each in (one, than)) < self._config.judged_episodes:
            return False
        error = math.sqrt(np.var(than.returns, ddof=1) * (1 / len(one.returns) + 1 / len(than.returns)))
        return one.mean < than.mean - max(self._config.worse_by * abs(than.mean), ERRORS * error)

    def state(self) -> dict[str, Any]:
        """Plain values and policies for a checkpoint."""
        kept = {
            name: one and {"number": one.number, "policy": one.policy, "returns": list(one.returns)}
            for name, one in (("in_force", self.in_force), ("reference", self.reference))
        }
        return kept | {"handed": self.handed, "taken_back": self.taken_back, "failed": self.failed}

    def load(self, state: dict[str, Any], now: float) -> None:
        """Takes over what `state` gave; the version in force is so from ``now``, s."""
        self.handed, self.taken_back = int(state["handed"]), int(state["taken_back"])
        self.failed = int(state["failed"])
        for name in ("in_force", "reference"):
            if (one := state[name]) is not None:
                returns = deque(map(float, one["returns"]), maxlen=self._config.last_episodes)
                setattr(self, name, VersionRecord(int(one["number"]), one["policy"], returns, now))
