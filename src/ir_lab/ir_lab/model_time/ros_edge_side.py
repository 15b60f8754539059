# SPDX-License-Identifier: Apache-2.0
"""The edge of a simulated run: controllers that propose, and the twin that judges what they propose."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import numpy as np

from ir_common.ros_time import to_stamp
from ir_common.verdict_kinds import Sent
from ir_drl.controller import ControlDecision, Controller, Input
from ir_interfaces.msg import Verdict as VerdictMessage
from ir_lab.model_time.agenda import NANOSECONDS, Agenda
from ir_lab.model_time.bus import Bus
from ir_lab.model_time.ros_samples import ActedSample, CommandSample, MessageSample, StateSample
from ir_sim.ros_task_messages import COMMAND_TYPES
from ir_sim.tasks import Task
from ir_twin.inline_learner import InlineLearner
from ir_twin.ros_twin_messages import fill_verdict
from ir_twin.twin_engine import TwinEngine
from ir_twin.verdict import Proposed, Verdict


class ControllerPart:
    """One robot's controller.

    Args:
        agenda, bus: of the run.
        controller: the engine of the live controller.
        task: of the robot.
        robot: name.
        side: namespace of the edge, empty without the radio.
        timeout: s without a good state after which the safe action is proposed.
        compute: ns that a decision takes.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, controller: Controller, task: Task, robot: str, side: str, timeout: float,
        compute: int,
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self._controller = agenda, bus, controller
        self._task, self._robot, self._compute = task, robot, compute
        self._timeout = round(timeout * NANOSECONDS)
        self._topic = f"{side}/{robot}/{COMMAND_TYPES[task.command][0]}_proposed"
        self._watched, self._waiting = 0, False  # when the last good state is too old; whether that is looked at
        bus.listen(f"{side}/{robot}/state", self._on_state)
        bus.listen(f"{side}/{robot}/expected_state", self._on_expected)
        bus.listen(f"{side}/{robot}/policy", lambda sample: controller.adopt(sample.policy))
        self._acted = f"{side}/{robot}/acted"

    def _on_state(self, sample: StateSample) -> None:
        self._act(self._controller.on_state(as_input(sample), sample.step.step, self._agenda.now / NANOSECONDS))

    def _on_expected(self, sample: StateSample) -> None:
        self._act(self._controller.on_expected(as_input(sample), sample.step.step, self._agenda.now / NANOSECONDS))

    def _act(self, decision: ControlDecision | None) -> None:
        if decision is None:
            return
        if not decision.fault:
            self._watched = self._agenda.now + self._timeout
            if not self._waiting:
                self._waiting = True
                self._agenda.at(self._watched, self._on_timeout)
        if decision.acted is not None:
            self._bus.publish(self._acted, ActedSample(decision.acted))
        self._agenda.at(self._agenda.now + self._compute, self._propose, decision)

    def _on_timeout(self) -> None:
        """Looks again when the last good state is so old that the safe action is due."""
        if self._agenda.now >= self._watched:
            self._watched = self._agenda.now + self._timeout
            if decision := self._controller.check(self._agenda.now / NANOSECONDS):
                self._propose(decision)
        self._agenda.at(self._watched, self._on_timeout)

    def _propose(self, decision: ControlDecision) -> None:
        now = self._agenda.now
        self._bus.publish(
            self._topic, CommandSample(self._robot, self._task, decision.action, now, decision.noise_free)
        )


def as_input(sample: StateSample) -> Input:
    """What a controller is told of a state."""
    step = sample.step
    return Input(
        sample.stamp / NANOSECONDS, sample.task.name, step.episode, step.observation, step.terminated, step.action
    )  # fmt: skip


class TwinPart:
    """The twins of all robots.

    Args:
        agenda, bus: of the run.
        engine: of the live twin.
        learner: that it learns with.
        tasks: by robot.
        side: namespace of the edge, empty without the radio.
        io_period: s between exchanges with the learner.
        compute: ns that a verdict takes.
        say: takes one line that is a warning.
        tells: robots whose verdicts are published, for a recorder or an agent.
    """

    def __init__(
        self, agenda: Agenda, bus: Bus, engine: TwinEngine, learner: InlineLearner, tasks: dict[str, Task], side: str,
        io_period: float, compute: int, say: Callable[[str], None], tells: Collection[str],
    ) -> None:  # fmt: skip
        self._agenda, self._bus, self._engine, self._learner = agenda, bus, engine, learner
        self._tasks, self._side, self._compute, self._say, self._tells = tasks, side, compute, say, tells
        self._proposed: list[CommandSample] = []
        for robot, task in tasks.items():
            bus.listen(f"{side}/{robot}/state", self._on_state)
            bus.listen(f"{side}/{robot}/{COMMAND_TYPES[task.command][0]}_proposed", self._on_proposal)
        agenda.every(round(io_period * NANOSECONDS), self._exchange)
        agenda.every(NANOSECONDS, engine.reconsider)

    def _exchange(self) -> None:
        self._learner.advance(self._agenda.now / NANOSECONDS)
        self._engine.exchange()

    def _on_state(self, sample: StateSample) -> None:
        step = sample.step
        self._engine.observe(
            sample.robot, sample.stamp, sample.task.name, episode=step.episode, step=step.step,
            observation=step.observation, action=step.action, reward=step.reward, terminated=step.terminated,
            truncated=step.truncated,
        )  # fmt: skip
        if self._engine.compensates(sample.robot):
            expected = self._engine.expected(sample.robot)
            shown = sample if expected is None else replace(sample, step=replace(step, observation=expected))
            self._bus.publish(f"{self._side}/{sample.robot}/expected_state", shown)

    def _on_proposal(self, sample: CommandSample) -> None:
        self._proposed.append(sample)
        if len(self._proposed) == 1:
            self._agenda.soon(self._judge)

    def _judge(self) -> None:
        """Verdicts on what was proposed at this instant, in one pass for as many robots as possible."""
        proposed = list({sample.robot: sample for sample in reversed(self._proposed)}.values())[::-1]
        self._proposed = [sample for sample in self._proposed if not any(sample is one for one in proposed)]
        if self._proposed:  # an episode that ends and the next one's begin are answered one after the other
            self._agenda.soon(self._judge)
        given = [Proposed(one.robot, np.asarray(one.action, np.float64), one.noise_free) for one in proposed]
        verdicts = self._engine.judge(given, self._agenda.now)
        commands = [
            sample if verdict.sent_as is Sent.PROPOSAL else replace(sample, action=verdict.sent, stamp=self._agenda.now)
            for sample, verdict in zip(proposed, verdicts, strict=True)
        ]
        numbers = [self._engine.twins.robots[sample.robot].proposals for sample in proposed]
        told = list(zip(proposed, verdicts, numbers, strict=True))
        self._agenda.at(self._agenda.now + self._compute, self._send, commands, told)

    def _send(self, commands: Sequence[CommandSample], told: Sequence[tuple[CommandSample, Verdict, int]]) -> None:
        for sample in commands:
            self._engine.took(sample.robot, self._compute / NANOSECONDS)
            topic = COMMAND_TYPES[self._tasks[sample.robot].command][0]
            self._bus.publish(f"{self._side}/{sample.robot}/{topic}", sample)
        for sample, verdict, number in told:
            if sample.robot in self._tells:
                self._tell(sample, verdict, number)
            if alarm := self._engine.alarm(sample.robot):
                self._say(alarm)

    def _tell(self, sample: CommandSample, verdict: Verdict, number: int) -> None:
        """Publishes a verdict."""
        message = VerdictMessage()
        message.header.stamp, message.header.frame_id = to_stamp(self._agenda.now), sample.robot
        fill_verdict(
            message, verdict, sequence=number, mode=self._engine.config.mode, action=sample.action,
            latency=self._compute / NANOSECONDS,
        )  # fmt: skip
        self._bus.publish(f"{self._side}/{sample.robot}/verdict", MessageSample(message))
