# SPDX-License-Identifier: Apache-2.0
"""How many control steps late a robot's commands are, and whether what is foreseen of that time may be relied on."""

from __future__ import annotations

from collections import OrderedDict, deque

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
WINDOW = 100
"""Recent states behind the delay: as many control steps as a change of it takes to be believed, twice over."""
KEPT = 32
"""Commands remembered: those of an episode's last steps."""
_SAME = 1e-6


class CommandDelay:
    r"""Matches the action in force on a robot with the command that it was.

    The command sent in answer to the state of step j that is in force at the end of the step from k - 1 to k is
    :math:`k - 1 - j` control steps late. Both ways over the radio, the wait for the next control step and lost
    commands, in whose place the one before stays in force, are all in it. Its median over `WINDOW` states is `steps`.

    Attributes:
        steps: whole control steps from a state until the command that answers it takes effect; 0 at first.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._sent: OrderedDict[int, Array] = OrderedDict()
        self._numbers: dict[int, list[float]] = {}  # of each of them: a few numbers are compared faster than arrays
        self._late: deque[int] = deque(maxlen=WINDOW)
        self._episode = -1

    def sent(self, step: int, action: Array) -> None:
        """Takes in what was sent last in answer to the state of ``step`` [num_action], clipped to its bounds."""
        self._sent[step], self._numbers[step] = action, action.tolist()
        self._sent.move_to_end(step)
        if len(self._sent) > KEPT:
            oldest, _ = self._sent.popitem(last=False)
            del self._numbers[oldest]

    def arrived(self, episode: int, step: int, action: Array) -> None:
        """Takes in the action [num_action] that a state reports; nothing is learnt from one that was sent twice."""
        if episode != self._episode:
            self._episode = episode
            self._sent.clear()
            self._numbers.clear()
        if step == 0:
            return
        numbers = action.tolist()
        first = numbers[0]
        matches = [j for j, sent in self._numbers.items() if abs(sent[0] - first) < _SAME and _same(sent, numbers)]
        if len(matches) == 1 and matches[0] < step:
            self._late.append(step - 1 - matches[0])
            if len(self._late) == WINDOW:
                ordered = sorted(self._late)
                self.steps = (ordered[WINDOW // 2 - 1] + ordered[WINDOW // 2]) // 2  # the median, rounded down

    def on_their_way(self, step: int) -> list[Array] | None:
        """The actions in force in the `steps` control steps after the state of ``step``, as far as can be known.

        A state that was not answered leaves the command before it in force. None: no command is known.
        """
        actions = []
        for asked in range(step - self.steps, step):
            earlier = [j for j in self._sent if j <= asked]
            if not earlier:
                return None
            actions.append(self._sent[max(earlier)])
        return actions


def _same(one: list[float], other: list[float]) -> bool:
    return all(abs(a - b) < _SAME for a, b in zip(one, other, strict=True))


class Trial:
    """Whether what is foreseen of a robot's states has come nearer to them than the states that were known.

    A network too young to be relied on is found out by that, and so is one that the world has left behind.
    """

    def __init__(self) -> None:
        self._open: dict[int, tuple[Array, Array]] = {}
        self._errors: deque[tuple[float, float]] = deque(maxlen=WINDOW)
        self._episode = -1

    def foresee(self, step: int, expected: Array, known: Array) -> None:
        """Takes in what is expected of ``step``, and the state that was known then: both [num_state]."""
        self._open[step] = expected, known

    def arrived(self, episode: int, step: int, state: Array, scale: NDArray[np.floating]) -> None:
        """Compares with what came [num_state], in units of ``scale`` [num_state]."""
        if episode != self._episode:
            self._episode = episode
            self._open.clear()
        if step in self._open:
            expected, known = (float((((one - state) / scale) ** 2).sum()) for one in self._open[step])
            self._errors.append((expected, known))
        self._open = {later: both for later, both in self._open.items() if later > step}

    @property
    def passes(self) -> bool:
        """Over at least half of `WINDOW` states, what was foreseen was nearer to them in the mean square."""
        if len(self._errors) < WINDOW // 2:
            return False
        expected, known = np.sum(self._errors, axis=0)
        return bool(expected < known)
