# SPDX-License-Identifier: Apache-2.0
"""The last actions that a policy proposed: over a radio the state alone is not enough to act on."""

from __future__ import annotations

import numpy as np

from ir_sim.tasks.base import Array, Task


class ActionMemory:
    """The last K proposed actions of an episode, which extend the observation together with the action in force.

    With a delay of d control steps the next d steps are settled by actions that are on their way. The observation
    extended by them makes the process Markovian again for a constant delay up to K (K. V. Katsikopoulos and S. E.
    Engelbrecht, "Markov decision processes with delays and asynchronous cost collection", IEEE TAC 2003, section III).
    For one that varies, the action in force says which of them has arrived.

    Args:
        task: gives the number of actions, and the safe action, which stands for what was not proposed yet.
        length: K; 0: nothing is remembered, and observations stay as they are.
    """

    def __init__(self, task: Task, length: int) -> None:
        if length < 0:
            raise ValueError(f"a memory of {length} actions: must not be negative")
        self.length, self._safe = length, task.safe_action
        self.begin()

    def begin(self) -> None:
        """Begins an episode: nothing was proposed yet."""
        self._actions = [self._safe] * self.length

    def take_over(self, other: ActionMemory) -> None:
        """Goes on with what another memory of the same length remembers; with one of another length, with nothing."""
        if other.length == self.length:
            self._actions = [*other._actions]

    def follow(self, extended: Array, action: Array, observation: Array, in_force: Array) -> Array:
        """The extended observation after one that was answered, as `extend` would give it; whatever is remembered here.

        Args:
            extended: [n_obs + width] that was answered.
            action: [n_act], the answer.
            observation: [n_obs], the next.
            in_force: [n_act], in the control step between them.
        """
        if not self.length:
            return observation
        count = len(action)
        known = extended[len(observation) + count : len(observation) + self.length * count]
        return np.concatenate([observation, known, action, in_force])

    @property
    def width(self) -> int:
        """Numbers by which an observation is extended."""
        return (self.length + 1) * len(self._safe) if self.length else 0

    def extend(self, observation: Array, in_force: Array | None = None) -> Array:
        """The observation [n_obs] followed by the last K proposed actions, oldest first, and the one in force.

        Args:
            in_force: [n_act], in the control step that ended with the observation. None: unknown, as where nothing is
                late; then the last one that was proposed.

        Returns:
            [n_obs + (K + 1) n_act]; the observation itself where K is 0.
        """
        if not self.length:
            return observation
        return np.concatenate([observation, *self._actions, self._actions[-1] if in_force is None else in_force])

    def propose(self, action: Array, times: int = 1) -> None:
        """Takes an action [n_act] that was proposed; ``times``: in so many control steps, one after the other."""
        for _ in range(min(times, self.length)):
            self._actions = [*self._actions[1:], np.array(action, np.float64)]

    def repeat(self, times: int) -> None:
        """Takes the newest action as proposed again, in control steps that nobody was told of."""
        if self.length:
            self.propose(self._actions[-1], times)

    def correct(self, action: Array) -> None:
        """Puts what was really proposed, such as with exploration, in the place of the newest action."""
        if self.length:
            self._actions[-1] = np.array(action, np.float64)
