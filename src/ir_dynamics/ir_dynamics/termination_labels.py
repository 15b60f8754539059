# SPDX-License-Identifier: Apache-2.0
"""How near a terminal state turned out to be, for every step that led to it or did not."""

from __future__ import annotations

from collections import deque

from ir_dynamics.transitions import UNKNOWN, Transition, TransitionMaker

FAR = 0.05
"""What is left of a terminal state's weight a whole horizon ahead of it."""


class TerminationLabels:
    r"""Labels the transitions of one robot with how near a terminal state was, once it is known what they led to.

    .. math:: y_k = \gamma^{T-k},\quad \gamma = 0.05^{1/H}

    with T the step that ends in a terminal state: 1 for that step, 0.05 a horizon H before it. Where none came within
    the horizon y is 0. A lost message tells nothing, but a later state of the same episode that the robot goes on: were
    all that came before a loss unknown, of a lossy radio little but falls would be left. y is `UNKNOWN` where the
    episode was cut off within the horizon, or its end was not seen.

    Args:
        horizon: H, s; 0: transitions pass as they are.
        control_period: of the robot's task, s.
    """

    def __init__(self, horizon: float, control_period: float) -> None:
        self._horizon = round(horizon / control_period)
        self._discount = FAR ** (1.0 / max(self._horizon, 1))
        self._pending: deque[tuple[int, Transition]] = deque()  # with the step of the state that it ends in
        self._episode = self._step = -1

    def follow(self, transition: Transition | None, chain: TransitionMaker) -> list[Transition]:
        """Takes in what a state of the robot completed; returns the transitions whose labels are known now, in order.

        Args:
            transition: None: none, as something was lost.
            chain: what has just taken the state.
        """
        if not self._horizon:
            return [] if transition is None else [transition]
        labelled = []
        if chain.episode != self._episode or chain.step <= self._step:
            labelled = self.end()
        self._episode, self._step = chain.episode, chain.step
        if transition is not None:
            self._pending.append((chain.step, transition))
        while self._pending and (chain.terminated or chain.step - self._pending[0][0] >= self._horizon):
            began, before = self._pending.popleft()
            left = chain.step - began
            ahead = self._discount**left if chain.terminated and left <= self._horizon else 0.0
            labelled.append(before._replace(ahead=ahead))
        return labelled + (self.end() if chain.state is None else [])

    def end(self) -> list[Transition]:
        """Nothing more comes: the transitions that have no label yet, in order, marked `UNKNOWN`."""
        rest = [transition._replace(ahead=UNKNOWN) for _, transition in self._pending]
        self._pending.clear()
        return rest
