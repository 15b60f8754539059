# SPDX-License-Identifier: Apache-2.0
"""Agents that learn live, in a simulated run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ir_drl.live.live_agent import LiveAgent
from ir_drl.live.step_chain import ArrivedState
from ir_drl.policies.exploring import ExploringPolicy
from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.ros_samples import ActedSample, MessageSample, PolicySample, StateSample


class AgentPart:
    """The agent of one task: what it learns when depends on simulated time alone.

    Steps that there was nothing to learn from for are not saved up.

    Args:
        agenda, bus: of the run.
        agent: the engine of the live node.
        robots: that it learns from.
        side: namespace of the edge, empty without the radio.
        io_period: s between two instants at which it learns and hands over.
        rate: learning steps of a simulated second.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, agent: LiveAgent, robots: Sequence[str], side: str, io_period: float,
        rate: float,
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self._agent, self._side, self._robots = agenda, bus, agent, side, robots
        self._allowance, self._credit = rate * io_period, 0.0
        for robot in robots:
            bus.listen(f"{side}/{robot}/state", self._on_state)
            bus.listen(f"{side}/{robot}/acted", self._listener(robot))
            bus.listen(f"{side}/{robot}/verdict", self._on_verdict)
        agenda.soon(self._begin)
        agenda.every(round(io_period * NANOSECONDS), self._learn)

    def _listener(self, robot: str) -> Callable[[ActedSample], None]:
        def take(sample: ActedSample) -> None:
            self._agent.acted(robot, sample.acted)

        return take

    def _on_verdict(self, sample: MessageSample) -> None:
        verdict = sample.content
        self._agent.judged(verdict.header.frame_id, np.array(verdict.proposed), np.array(verdict.sent))

    def _on_state(self, sample: StateSample) -> None:
        step = sample.step
        self._agent.observed(
            sample.robot,
            ArrivedState(
                step.episode, step.step, step.observation, step.action, step.reward, step.terminated, step.truncated,
                step.cause,
            ),
        )  # fmt: skip

    def _learn(self) -> None:
        self._credit += self._allowance
        while self._credit >= 1.0 and self._agent.due():
            self._agent.step()
            self._credit -= 1.0
        self._credit = min(self._credit, 1.0)
        self._hand()

    def _begin(self) -> None:
        """Hands over what an earlier run has learnt; the first version, where there was none."""
        if (policy := self._agent.policy()) is not None:
            self._publish(policy)
        self._hand()

    def _hand(self) -> None:
        if (policy := self._agent.exchange(self._agenda.now / NANOSECONDS)) is not None:
            self._publish(policy)

    def _publish(self, policy: ExploringPolicy) -> None:
        for robot in self._robots:
            self._bus.publish(f"{self._side}/{robot}/policy", PolicySample(policy))
