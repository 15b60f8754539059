# SPDX-License-Identifier: Apache-2.0
"""A clumsy driver of a wheeled robot: sees late, shakes, looks away, heeds what is in his way every other time."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

PERIOD = 0.05  #: s between joystick positions, as of the page
REACTION = 0.3  #: s from what is on the screen to the hand


class ClumsyDriver:
    """Joystick positions from what was seen a while ago, by the state of the task `cart_navigation`.

    He steers for the goal with a shaky hand at full speed; when he notices that he stands, he backs off and goes round.

    Args:
        seed: of hand, glances and decisions.
        heeds: share of what comes in his way that he steers clear of, where he sees it in time.
    """

    def __init__(self, seed: int, heeds: float = 0.5) -> None:
        self._share = heeds
        self._rng = np.random.default_rng(seed)
        self._seen: deque[tuple[float, np.ndarray]] = deque(maxlen=20)
        self._shake, self._away, self._stick = 0.0, 0.0, (0.0, 0.0)
        self._stood, self._heeds = 0.0, True
        self._plan: deque[tuple[float, float, float]] = deque()  # until, forward, turn

    def see(self, observation: np.ndarray, now: float) -> None:
        """Takes what is on the screen from now on."""
        self._seen.append((now, observation))

    def stick(self, now: float) -> tuple[float, float]:
        """Where the hand is: forward and turn, each in [-1, 1]."""
        rng = self._rng
        self._shake += PERIOD / 0.6 * -self._shake + 0.35 * math.sqrt(2 * PERIOD / 0.6) * rng.normal()
        view = [observation for at, observation in self._seen if at <= now - REACTION]
        if not view:
            return 0.0, 0.0
        if now >= self._away and rng.random() < PERIOD / 5.0:
            self._away = now + rng.uniform(0.5, 1.5)
        if now >= self._away:
            self._stick = self._decide(view[-1], now)
        forward, turn = self._stick
        return forward, float(np.clip(turn + self._shake, -1.0, 1.0))

    def _decide(self, view: np.ndarray, now: float) -> tuple[float, float]:
        bearing, speed, ranges = view[1], view[2], view[4:]
        self._stood = self._stood + PERIOD if abs(speed) < 0.05 and not self._plan else 0.0
        if self._stood > 1.0:
            self._go_round(ranges, now)
        while self._plan and self._plan[0][0] <= now:
            self._plan.popleft()
        if self._plan:
            return self._plan[0][1:]
        ahead = min(ranges[0], ranges[1], ranges[-1])
        if ahead > 1.5:
            self._heeds = bool(self._rng.random() < self._share)  # of the next thing in the way
        elif ahead < 0.9 and self._heeds:
            return 0.5, 1.0 if ranges[1] + ranges[2] > ranges[-1] + ranges[-2] else -1.0
        return (1.0 if abs(bearing) < 1.0 else 0.2), float(np.clip(1.2 * bearing, -1.0, 1.0))

    def _go_round(self, ranges: np.ndarray, now: float) -> None:
        rng, self._stood = self._rng, 0.0
        side = 1.0 if ranges[2] + ranges[3] > ranges[-2] + ranges[-3] else -1.0
        for lasts, forward, turn in (
            (rng.uniform(0.6, 1.2), -0.8, 0.0),
            (0.9, 0.0, side),
            (rng.uniform(1, 2), 1.0, 0.0),
        ):
            now += lasts
            self._plan.append((now, forward, turn))
