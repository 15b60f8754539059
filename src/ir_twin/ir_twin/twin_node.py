# SPDX-License-Identifier: Apache-2.0
"""The twin node: proposal in, verdict and command out, for all robots."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: a second thread costs more than one row is worth

import gc
import time
from array import array
from typing import Any, NamedTuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ir_common.ros_diagnosis_messages import diagnostics_message
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, drain, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_nanoseconds
from ir_common.verdict_kinds import Sent
from ir_interfaces.msg import NoiseFreeAction, TaskState, TwinStatus
from ir_interfaces.msg import Verdict as VerdictMessage
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command, command_to_action
from ir_sim.sdf.world import compose
from ir_sim.tasks import Task, read_tasks, robot_task
from ir_twin.learner_process import LearnerProcess
from ir_twin.ros_twin_messages import fill_verdict, twin_status_message
from ir_twin.twin_config import TwinConfig
from ir_twin.twin_engine import TwinEngine
from ir_twin.verdict import Array, Proposed, Verdict

COMMANDS = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
"""Only the newest commands matter."""
PROPOSALS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
STATES = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Best effort hears publishers of either kind."""
_WARN_PERIOD = 5.0


class TwinNode(LeanNode):
    """Twins of the configured robots; topics and parameters are in the package's README."""

    def __init__(self, **options: Any) -> None:
        super().__init__("twin", **options)
        self.parameters = declare(self, TwinConfig, self._on_change)
        config = self.parameters.config
        world = compose(config.world, config.robots) if config.world else None
        tasks = {n: robot_task(r, world) for n, r in world.robots.items()} if world else read_tasks(config.robots, None)
        log = self.get_logger()
        learner = LearnerProcess(config, log.warning)
        self.engine = TwinEngine(config, tasks, learner, log.warning, note=log.info, recorded=True)
        self.robots = [RobotPort(self, name, task) for name, task in tasks.items()]
        self._proposed: list[Proposal] = []
        assert self.engine.journal is not None
        self.journal = JournalPublisher(self, self.engine.journal)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self.add_on_set_parameters_callback(self._check_threshold)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(config.io_period, self.engine.exchange, clock=wall)
        self.create_timer(1.0, self._report, clock=wall)
        gc.collect()
        gc.freeze()  # what stands now lives on: later collections do not walk over it

    def close(self) -> None:
        """Ends the learner."""
        self.engine.close()

    def _on_change(self, config: TwinConfig) -> None:
        self.engine.configure(config)

    def _check_threshold(self, changes: list[Parameter]) -> SetParametersResult:
        for change in changes:
            if change.name == "threshold" and isinstance(change.value, int | float):
                objection = self.engine.threshold_objection(change.value)
                if objection:
                    return SetParametersResult(successful=False, reason=objection)
        return SetParametersResult(successful=True)

    def propose(self, proposal: Proposal) -> None:
        """Has a proposal judged, with those of other robots that have come by now."""
        self._proposed.append(proposal)
        executor = self.executor
        if not isinstance(executor, LeanExecutor):
            self._judge()
        elif len(self._proposed) == 1:
            executor.after_round(self._judge)

    def _judge(self) -> None:
        """Verdicts on what was proposed, in one batched pass for the robots of a task."""
        proposed, self._proposed = self._proposed, []
        now = self.get_clock().now()
        for task in self.engine.twins.tasks:  # one by one: no command waits for another task's verdicts
            some = [proposal for proposal in proposed if self.engine.task_of(proposal.port.name) == task]
            if some:
                given = [Proposed(each.port.name, each.action, each.noise_free) for each in some]
                verdicts = self.engine.judge(given, now.nanoseconds)
                stamp = now.to_msg()
                # every robot waits for its command, nobody for the verdict
                latencies = [each.port.send(each, verdict, stamp) for each, verdict in zip(some, verdicts, strict=True)]
                for each, verdict, latency in zip(some, verdicts, latencies, strict=True):
                    each.port.tell(verdict, each.action, stamp, latency)

    def _report(self) -> None:
        self.engine.reconsider()
        self.journal.flush()
        for port in self.robots:
            port.report()
        now = self.get_clock().now().nanoseconds
        if found := self.engine.diagnoses(now / 1e9):
            self._diagnostics.publish(diagnostics_message(found, now))


class Proposal(NamedTuple):
    """What a robot's controller proposes."""

    port: RobotPort
    message: Any
    action: Array | None
    """[num_action]; None: no valid command."""
    arrived: float
    """s of `time.perf_counter`."""
    noise_free: Array | None
    """As of `ir_twin.verdict.Proposed`."""


class RobotPort:
    """Topics of one robot."""

    def __init__(self, node: TwinNode, name: str, task: Task) -> None:
        self.node, self.engine, self.name, self.task = node, node.engine, name, task
        self.twin = node.engine.twins.robots[name]
        topic, kind = COMMAND_TYPES[task.command]
        prefix = f"{node.parameters.config.edge_namespace}/{name}/"
        self._command = node.create_publisher(kind, prefix + topic, COMMANDS)
        self._verdict = node.create_publisher(VerdictMessage, prefix + "verdict", RELIABLE)
        self._status = node.create_publisher(TwinStatus, prefix + "twin_status", LATCHED)
        self._expected = node.create_publisher(TaskState, prefix + "expected_state", STATES)
        self._states = node.create_subscription(TaskState, prefix + "state", self._on_state, STATES)
        self._proposals = node.create_subscription(kind, f"{prefix}{topic}_proposed", self._on_proposal, PROPOSALS)
        self._noise_free = node.create_subscription(
            NoiseFreeAction, prefix + "noise_free", self._on_noise_free, RELIABLE
        )
        self._told: NoiseFreeAction | None = None
        self._message = VerdictMessage()
        self._message.header.frame_id = name
        self._newest = TaskState()

    def _on_state(self, message: TaskState) -> None:
        self._take_state(message)
        drain(self._states, self._take_state)
        if self.engine.compensates(self.name):
            self._expect()

    def _expect(self) -> None:
        """Passes the newest state on as the next command will meet it, or as it is where that cannot be foreseen."""
        expected = self.engine.expected(self.name)
        if expected is not None:
            self._newest.observation = array("d", expected)
        self._expected.publish(self._newest)

    def _take_state(self, message: TaskState) -> None:
        self._newest = message
        self.engine.observe(
            self.name, to_nanoseconds(message.header.stamp), message.task, episode=message.episode, step=message.step,
            observation=message.observation, action=message.action, reward=message.reward,
            terminated=message.terminated, truncated=message.truncated,
        )  # fmt: skip

    def _on_noise_free(self, message: NoiseFreeAction) -> None:
        self._told = message

    def _noise_free_of(self, action: Array | None) -> Array | None:
        """What the controller said of this proposal; it says so before it proposes."""
        drain(self._noise_free, self._on_noise_free)
        told = self._told
        if told is None or action is None or len(told.proposed) != len(action):
            return None
        # a command is in the units of its message: there and back a number may change in its last digit
        return np.array(told.action) if np.allclose(told.proposed, action, rtol=1e-9, atol=1e-12) else None

    def _on_proposal(self, message: Any) -> None:
        arrived = time.perf_counter()
        try:
            action = command_to_action(self.task, message)
        except ValueError as error:
            self.node.get_logger().warning(
                f"{self.name}: command refused, the safe action is sent: {error}",
                throttle_duration_sec=_WARN_PERIOD,
            )
            action = None
        self.node.propose(Proposal(self, message, action, arrived, self._noise_free_of(action)))

    def send(self, proposal: Proposal, verdict: Verdict, stamp: Any) -> float:
        """Sends the command that follows from a verdict; returns how long that took from the proposal's arrival, s."""
        message = proposal.message  # what passes is the very message that came
        if verdict.sent_as is not Sent.PROPOSAL:
            message = action_to_command(self.task, verdict.sent, stamp)
        self._command.publish(message)
        latency = time.perf_counter() - proposal.arrived
        self.engine.took(self.name, latency)
        return latency

    def tell(self, verdict: Verdict, action: Array | None, stamp: Any, latency: float) -> None:
        """Publishes a verdict on an action, and the alarm where one is due."""
        message = self._message
        message.header.stamp = stamp
        fill_verdict(
            message, verdict, sequence=self.twin.proposals, mode=self.engine.config.mode, action=action, latency=latency
        )
        self._verdict.publish(message)
        alarm = self.engine.alarm(self.name)
        if alarm:
            self.node.get_logger().warning(alarm)

    def report(self) -> None:
        """Publishes the status."""
        now = self.node.get_clock().now().nanoseconds
        self._status.publish(twin_status_message(self.name, self.engine.status(self.name), now))


def main() -> None:
    """Entry point of the executable ``twin``."""
    run(TwinNode)


if __name__ == "__main__":
    main()
