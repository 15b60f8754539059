# SPDX-License-Identifier: Apache-2.0
"""The agent of a task as a node: states and answers in, versions of the policy out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray, UInt8MultiArray

from ir_common.config import ConfigError
from ir_common.ros_diagnosis_messages import diagnostics_message
from ir_common.ros_node import LATCHED, RELIABLE, Finished, LeanNode, drain, run
from ir_common.ros_params import declare
from ir_drl.live.learning_thread import LearningThread
from ir_drl.live.live_agent import LiveAgent, agent_file
from ir_drl.live.live_config import LiveNodeConfig
from ir_drl.live.live_diagnosis import diagnosis
from ir_drl.live.step_chain import ArrivedState, SentAction
from ir_drl.ros_live_messages import acted_of, policy_message
from ir_interfaces.msg import TaskState, Verdict
from ir_sim.tasks import Task, read_tasks

STATES = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Each one is experience, and none is worth a wait; best effort hears publishers of either kind."""


class LiveAgentNode(LeanNode):
    """Learns from the robots of one task; topics and parameters are in the package's README."""

    def __init__(self, **options: Any) -> None:
        super().__init__("agent", **options)
        config = declare(self, LiveNodeConfig).config
        task = agents_task(config, read_tasks(list(config.robots), Path(config.world) if config.world else None))
        self._robots, self._task = [robot.partition(":")[0] for robot in config.robots], task.name
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        agent, now = LiveAgent(config, task, self._robots, self.get_logger().info), self._now()
        self._file = agent_file(config.folder, task.name) if config.folder else None
        if self._file and self._file.exists():
            agent.load(self._file, now)
            self.get_logger().info(f"{task.name}: goes on from {agent.transitions} transitions of {self._file}")
        self._agent = agent
        self.learning = LearningThread(agent, config.duty, self._keep)
        self._policies = []
        for robot in self._robots:
            side = f"{config.edge_namespace}/{robot}"
            self._policies.append(self.create_publisher(UInt8MultiArray, f"{side}/policy", LATCHED))
            self._listen(TaskState, f"{side}/state", robot, self._observe)
            self._listen(Float64MultiArray, f"{side}/acted", robot, self._act)
            self._listen(Verdict, f"{side}/verdict", robot, self._judge)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(config.io_period, self._exchange, clock=wall)
        self.create_timer(1.0, self._report, clock=wall)
        if (policy := agent.policy()) is not None:  # of an earlier start
            self._publish(policy)
        self.learning.start(now)

    def close(self) -> None:
        """Ends the learning, with a checkpoint."""
        self.learning.close()

    def _listen(self, kind: type[Any], topic: str, robot: str, take: Any) -> None:
        def taken(message: Any) -> None:
            take(robot, message)
            drain(subscription, lambda one: take(robot, one))

        subscription = self.create_subscription(kind, topic, taken, STATES)

    def _observe(self, robot: str, state: TaskState) -> None:
        if state.task == self._task:
            self.learning.add(robot, observed_of(state))

    def _act(self, robot: str, message: Float64MultiArray) -> None:
        try:
            self.learning.add(robot, acted_of(message))
        except ValueError as error:
            self.get_logger().warning(f"{robot}: {error}", throttle_duration_sec=5.0)

    def _judge(self, robot: str, verdict: Verdict) -> None:
        if verdict.sent_as != Verdict.SENT_PROPOSAL:
            self.learning.add(robot, SentAction(np.array(verdict.proposed), np.array(verdict.sent)))

    def _exchange(self) -> None:
        try:
            policy = self.learning.poll(self._now())
        except FloatingPointError as error:
            self.get_logger().error(str(error))
            raise Finished(1) from None
        if policy is not None:
            self._publish(policy)

    def _publish(self, policy: Any) -> None:
        message = policy_message(policy)
        for publisher in self._policies:
            publisher.publish(message)

    def _report(self) -> None:
        found = diagnosis(self._task, self._robots, self.learning.status)
        self._diagnostics.publish(diagnostics_message([found], self.get_clock().now().nanoseconds))

    def _keep(self) -> None:
        if self._file is not None:
            try:
                self._agent.save(self._file)
            except OSError as error:
                self.get_logger().warning(f"checkpoint {self._file} not written: {error}")

    def _now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9


def agents_task(config: LiveNodeConfig, tasks: dict[str, Task]) -> Task:
    """The task of an agent's robots.

    Raises:
        ConfigError: they have several.
    """
    own = {robot.partition(":")[0]: tasks[robot.partition(":")[0]] for robot in config.robots}
    names = {task.name for task in own.values()}
    if len(names) > 1:
        raise ConfigError(f"robots: {', '.join(own)} have several tasks ({', '.join(sorted(names))}); an agent has one")
    return next(iter(own.values()))


def observed_of(state: TaskState) -> ArrivedState:
    """A state's content."""
    return ArrivedState(
        episode=state.episode,
        step=state.step,
        observation=np.array(state.observation, np.float64),
        in_force=np.array(state.action, np.float64),
        reward=state.reward,
        terminated=state.terminated,
        truncated=state.truncated,
        cause=state.cause,
    )


def main() -> None:
    """Entry point of the executable ``agent``."""
    run(LiveAgentNode)


if __name__ == "__main__":
    main()
