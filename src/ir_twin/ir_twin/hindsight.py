# SPDX-License-Identifier: Apache-2.0
"""How near a terminal state turned out to be, for every step that led to it or did not."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ir_twin.transitions import UNKNOWN, Transition

FAR = 0.05
"""What is left of a terminal state's weight a whole horizon ahead of it."""


class Hindsight:
    r"""Follows the transitions of one robot until it is known what they led to.

    .. math:: y_k = \gamma^{T-k},\quad \gamma = 0.05^{1/H}

    with T the step that ends in a terminal state: 1 for that step, 0.05 a horizon H before it. Where none came within
    the horizon y is 0, and `UNKNOWN` where the robot was not followed for that long: a message was lost, or the episode
    cut off.

    Args:
        horizon: H, s; 0: transitions pass as they are.
        control_period: of the robot's task, s.
    """

    def __init__(self, horizon: float, control_period: float) -> None:
        self._horizon = round(horizon / control_period)
        self._discount = FAR ** (1.0 / max(self._horizon, 1))
        self._pending: deque[Transition] = deque()

    def follow(self, transition: Transition | None, cut: bool) -> list[Transition]:
        """Takes in what a state of the robot completed; returns the transitions that are settled now, in order.

        Args:
            transition: None: none, as something was lost.
            cut: the next state does not follow from this one.
        """
        if not self._horizon:
            return [] if transition is None else [transition]
        settled = []
        if transition is not None:
            self._pending.append(transition)
            if transition.terminated:
                settled = self._settle(self._discount**k for k in reversed(range(len(self._pending))))
            elif len(self._pending) > self._horizon:
                settled = [self._pending.popleft()._replace(ahead=0.0)]
        if transition is None or cut:
            settled += self._settle(UNKNOWN for _ in range(len(self._pending)))
        return settled

    def _settle(self, values: Iterable[float]) -> list[Transition]:
        done = [step._replace(ahead=value) for step, value in zip(self._pending, values, strict=True)]
        self._pending.clear()
        return done
