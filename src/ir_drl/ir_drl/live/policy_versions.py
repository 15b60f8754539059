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
    """The version in force and the one before it.

    A version is taken back if, over the newest episodes of each, its mean return is under that of the version before
    it by more than ``worse_by`` of that one's size, and by more than one standard error of the difference: as soon as
    that is so, as each further episode may be a fall. After k such versions in a row, that which is in force again
    stays for 2^k times as long (k at most `MOST_DOUBLINGS`): who fails so often has more to learn before the next try.

    Args:
        config: when a version has shown what it is, and how much worse is too much.

    Attributes:
        in_force, before: versions; None: there is none.
        handed, taken_back: how many versions were handed over and taken back.
        failed: versions in a row that were taken back.
    """

    def __init__(self, config: VersionConfig) -> None:
        self._config = config
        self.in_force: VersionRecord | None = None
        self.before: VersionRecord | None = None
        self.handed = self.taken_back = self.failed = 0

    def hand(self, policy: Any, now: float) -> VersionRecord:
        """Puts a new version into force, at ``now``, s."""
        self.handed += 1
        if self.in_force is not None:
            self.before = self.in_force
        self.in_force = VersionRecord(self.handed, policy, deque(maxlen=self._config.last_episodes), now)
        return self.in_force

    def returned(self, number: int, total: float) -> None:
        """Takes in the return of an episode of a version; of those that are not known any more it is let go."""
        for one in (self.in_force, self.before):
            if one is not None and one.number == number:
                one.returns.append(total)
                one.episodes += one is self.in_force

    def choose(self, now: float) -> Choice:
        """What is to become of the version in force at ``now``, s; TAKE_BACK has been done when it is returned."""
        current = self.in_force
        if current is None:
            return Choice.NEXT
        if self.before is not None and self._worse(current, self.before):
            self.in_force, self.before = self.before, None
            self.in_force.since, self.in_force.episodes = now, 0
            self.taken_back += 1
            self.failed += 1
            return Choice.TAKE_BACK
        longer = 2 ** min(self.failed, MOST_DOUBLINGS) if self.before is None else 1
        few = current.episodes < longer * self._config.trial_episodes
        if few and now - current.since < longer * self._config.trial_period:
            return Choice.STAY
        if self.before is not None:
            self.failed = 0
        return Choice.NEXT

    def _worse(self, one: VersionRecord, than: VersionRecord) -> bool:
        few = self._config.judged_episodes
        if len(one.returns) < few or len(than.returns) < few:
            return False
        error = math.sqrt(sum(np.var(each.returns, ddof=1) / len(each.returns) for each in (one, than)))
        return one.mean < than.mean - max(self._config.worse_by * abs(than.mean), error)

    def state(self) -> dict[str, Any]:
        """Plain values and policies for a checkpoint."""
        kept = {
            name: one and {"number": one.number, "policy": one.policy, "returns": list(one.returns)}
            for name, one in (("in_force", self.in_force), ("before", self.before))
        }
        return kept | {"handed": self.handed, "taken_back": self.taken_back, "failed": self.failed}

    def load(self, state: dict[str, Any], now: float) -> None:
        """Takes over what `state` gave; the version in force is so from ``now``, s."""
        self.handed, self.taken_back = int(state["handed"]), int(state["taken_back"])
        self.failed = int(state["failed"])
        for name in ("in_force", "before"):
            if (one := state[name]) is not None:
                returns = deque(map(float, one["returns"]), maxlen=self._config.last_episodes)
                setattr(self, name, VersionRecord(int(one["number"]), one["policy"], returns, now))
