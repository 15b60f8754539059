# SPDX-License-Identifier: Apache-2.0
"""Learns in a thread beside a node's callbacks, within a share of a core."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ir_common.cpu_budget import Budget
from ir_drl.live.live_agent import LiveAgent
from ir_drl.live.step_chain import Acted, ArrivedState, SentAction
from ir_drl.policies.exploring import ExploringPolicy

_IDLE = 0.02
"""s between two looks for something to learn from."""
ENDING = 5.0
"""s that a learning step may still take when the end is asked for."""


class LearningThread:
    """Owns an agent: takes what crosses the radio, has it learn, and has its policies ready to be handed over.

    Nothing but this thread touches the agent once it is started. The process's other threads are idle but for messages,
    so the processor time of the process is that of the learning.

    Args:
        agent: that learns.
        duty: share of a core.
        keep: writes a checkpoint; called every ``keep_period`` s of wall time, and at the end.
        keep_period: s.
    """

    def __init__(
        self, agent: LiveAgent, duty: float, keep: Callable[[], None] = lambda: None, keep_period: float = 60.0
    ) -> None:
        self._agent, self._budget, self._keep, self._keep_period = agent, Budget(duty), keep, keep_period
        self._inbox: deque[tuple[str, Acted | ArrivedState | SentAction]] = deque()
        self._made: deque[ExploringPolicy] = deque(maxlen=1)
        self._ended = threading.Event()
        self._now = 0.0
        self.status = agent.status()
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="learning", daemon=True)

    def start(self, now: float) -> None:
        """Begins, at ``now``, s of ROS time."""
        self._now = now
        self._thread.start()

    def add(self, robot: str, one: Acted | ArrivedState | SentAction) -> None:
        """Gives it what came of a robot."""
        self._inbox.append((robot, one))

    def poll(self, now: float) -> ExploringPolicy | None:
        """The newest policy to hand over at ``now`` (s of ROS time), where there is one since the last call.

        Raises:
            whatever ended the learning.
        """
        self._now = now
        if self.error is not None:
            raise self.error
        return self._made.popleft() if self._made else None

    def close(self) -> None:
        """Ends the learning after its present step, and writes the checkpoint; one that takes too long is left."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(ENDING)

    def _run(self) -> None:
        next_keep = time.monotonic() + self._keep_period
        try:
            while not self._ended.is_set():
                self._take_in()
                rest = self._budget.pause()
                worked = rest <= 0 and self._agent.due()
                if worked:
                    self._agent.step()
                if (policy := self._agent.exchange(self._now)) is not None:
                    self._made.append(policy)
                self.status = self._agent.status()
                if time.monotonic() >= next_keep:
                    self._keep()
                    next_keep = time.monotonic() + self._keep_period
                if not worked:
                    self._ended.wait(max(min(rest, 0.5), _IDLE))
            self._keep()
        except Exception as error:  # the node says what it was, and ends
            self.error = error

    def _take_in(self) -> None:
        while self._inbox:
            robot, one = self._inbox.popleft()
            if isinstance(one, Acted):
                self._agent.acted(robot, one)
            elif isinstance(one, SentAction):
                self._agent.judged(robot, one.proposed, one.sent)
            else:
                self._agent.observed(robot, one)
