# SPDX-License-Identifier: Apache-2.0
"""Transitions over several environment steps."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

from numpy.typing import NDArray

Array = NDArray[Any]


class NStepTransition(NamedTuple):
    """A transition of up to n steps, as the replay buffer takes it."""

    observation: Array
    action: Array
    reward: float
    next_observation: Array
    terminated: float


class NStepReturns:
    r"""Makes transitions of n steps from the steps of an episode (Sutton 1988; in deep RL, Mnih et al. 2016).

    .. math:: (s_k, a_k, \sum_{i<n} \gamma^i r_{k+i}, s_{k+n}), \quad 1 - d = \gamma^{n-1}

    so that an update that discounts the next value by gamma (1 - d) discounts it by gamma^n. Those that a terminal
    state ends sooner have d = 1. The last n - 1 of an episode that is cut off give none: what follows is not known.

    Args:
        steps: n.
        discount: gamma.
    """

    def __init__(self, steps: int, discount: float) -> None:
        self._steps, self._discount = steps, discount
        self._held: deque[tuple[Array, Array, float]] = deque()

    def follow(
        self, observation: Array, action: Array, reward: float, next_observation: Array, terminated: bool
    ) -> list[NStepTransition]:
        """Takes the next step of the episode in; returns the transitions that it completes."""
        self._held.append((observation, action, reward))
        made = []
        while self._held and (terminated or len(self._held) == self._steps):
            total = 0.0
            for _, _, one in reversed(self._held):
                total = one + self._discount * total
            first, done, _ = self._held.popleft()
            lost = 1.0 if terminated else 1.0 - self._discount ** (self._steps - 1)
            made.append(NStepTransition(first, done, total, next_observation, lost))
        return made

    def cut(self) -> None:
        """The next step does not follow from the last one."""
        self._held.clear()
