# SPDX-License-Identifier: Apache-2.0
"""n-step returns: transitions over several environment steps."""

from __future__ import annotations

from collections import deque

from ir_dynamics.transitions import Transition


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
        self._held: deque[Transition] = deque()

    def follow(self, step: Transition) -> list[Transition]:
        """Takes the next step of the episode in; returns the transitions of n steps that it completes."""
        self._held.append(step)
        made = []
        while self._held and (step.terminated or len(self._held) == self._steps):
            total = 0.0
            for one in reversed(self._held):
                total = float(one.reward) + self._discount * total
            lost = 1.0 if step.terminated else 1.0 - self._discount ** (self._steps - 1)
            first = self._held.popleft()
            made.append(first._replace(reward=total, next_state=step.next_state, terminated=lost))
        return made

    def cut(self) -> None:
        """The next step does not follow from the last one."""
        self._held.clear()
