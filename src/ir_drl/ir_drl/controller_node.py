# SPDX-License-Identifier: Apache-2.0
"""The controller of one robot as a node: state in, proposed command out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Float64MultiArray, UInt8MultiArray

from ir_common.config import Config, ConfigError, live
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, drain, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_nanoseconds, to_seconds
from ir_drl.controller import ControlDecision, Controller, Input
from ir_drl.policies import make_policy
from ir_drl.ros_live_messages import acted_message, policy_of
from ir_interfaces.msg import NoiseFreeAction, TaskState
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command
from ir_sim.tasks import read_tasks
from ir_sim.watchdog import SilenceNotice

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Only the newest is worth an answer; matches reliable and best-effort publishers."""
STATES = QoSProfile(depth=2, reliability=ReliabilityPolicy.BEST_EFFORT)
"""An episode's last state and the next one's first may come at one instant, and each is to be answered."""

OptionalPath = Annotated[Path | None, BeforeValidator(lambda path: path or None)]
"""A path, or none; an empty text means none."""


class ControllerConfig(Config):
    """Parameters of a controller."""

    robot: str = Field(pattern=r"^[a-z][a-z0-9_]*(:[a-z][a-z0-9_]*)?$", description="name of the robot, or name:model")
    world: OptionalPath = Field(
        None, description="world file; says the model of a robot that is given without one and is not named after it"
    )
    edge_namespace: str = Field(
        "/edge", pattern=r"^(/[a-z][a-z0-9_]*)*$", description="side of the radio on which it acts; empty without radio"
    )
    policy_file: OptionalPath = Field(
        None, description="policy file (.npz), trained or scripted; none: see docs/guide/policy.md"
    )
    seed: int = Field(0, ge=0, description="of policies that draw")
    input_timeout: float = Field(
        0.5, gt=0.0, le=60.0, description="after this long without state the safe action is sent, s of ROS time"
    )
    exploration: float = live(
        0.0,
        ge=0.0,
        le=2.0,
        description="standard deviation of the noise on the policy's actions, in halves of each action's range",
    )
    enabled: bool = live(True, description="whether commands are proposed; false leaves the robot to someone else")


class ControllerNode(LeanNode):
    """Proposes a command for every state of its robot, and the safe action when no more come."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("controller", **kwargs)
        config = declare(self, ControllerConfig, self._configure).config
        robot = config.robot.partition(":")[0]
        self._task = read_tasks([config.robot], config.world)[robot]
        self._controller = Controller(
            self._task, make_policy(self._task, config.policy_file, config.seed), robot, config.seed,
            config.input_timeout, config.exploration, config.enabled,
        )  # fmt: skip
        topic, message_type = COMMAND_TYPES[self._task.command]
        side = f"{config.edge_namespace}/{robot}"
        self._publisher = self.create_publisher(message_type, f"{side}/{topic}_proposed", RELIABLE)
        self._noise_free = self.create_publisher(NoiseFreeAction, f"{side}/noise_free", RELIABLE)
        self._robot = robot
        self._faults: dict[str, SilenceNotice] = {}  # by their kind
        self._timer = self.create_timer(config.input_timeout, self._check)
        self._timer.cancel()  # the first good state starts it: until then there is nothing to stop
        backwards = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=False)
        self._jumps = self.get_clock().create_jump_callback(backwards, post_callback=lambda jump: self._check())
        self._states = self.create_subscription(TaskState, f"{side}/state", self._on_state, STATES)
        self.create_subscription(TaskState, f"{side}/expected_state", self._on_expected, NEWEST)
        self._acted = self.create_publisher(Float64MultiArray, f"{side}/acted", RELIABLE)
        self.create_subscription(UInt8MultiArray, f"{side}/policy", self._on_policy, LATCHED)

    def _configure(self, config: ControllerConfig) -> None:
        self._controller.exploration = config.exploration
        if config.enabled != self._controller.enabled:
            self._controller.enable(config.enabled, self._now())
            if not self._timer.is_canceled():
                self._timer.reset()

    def _on_state(self, state: TaskState) -> None:
        """Answers the newest state, and before it the end of an episode that came with it."""
        waiting = [state]
        drain(self._states, waiting.append)
        for each in waiting:
            if each is waiting[-1] or each.terminated or each.truncated:
                self._answer(each)

    def _answer(self, state: TaskState) -> None:
        self._propose(self._controller.on_state(_input(state), state.step, self._now()))

    def _on_expected(self, state: TaskState) -> None:
        self._propose(self._controller.on_expected(_input(state), state.step, self._now()))

    def _on_policy(self, message: UInt8MultiArray) -> None:
        """Takes a version of the policy that an agent has learnt: from the next state on it is in force."""
        try:
            self._controller.adopt(policy_of(message, self._task))
        except ConfigError as error:
            self.get_logger().warning(str(error))

    def _check(self) -> None:
        self._propose(self._controller.check(self._now()))

    def _now(self) -> float:
        return self.get_clock().now().nanoseconds * 1e-9

    def _propose(self, decision: ControlDecision | None) -> None:
        if decision is None:
            return
        if not decision.fault:
            self._timer.reset()
        stamp = self.get_clock().now().to_msg()
        if decision.noise_free is not None:
            told = NoiseFreeAction(proposed=decision.action.tolist(), action=decision.noise_free.tolist())
            told.header.stamp, told.header.frame_id = stamp, self._robot
            self._noise_free.publish(told)
        self._publisher.publish(action_to_command(self._task, decision.action, stamp))
        if decision.acted is not None:
            self._acted.publish(acted_message(decision.acted))
        self._say(decision, to_nanoseconds(stamp))  # after the command, since logging takes its time

    def _say(self, decision: ControlDecision, now: int) -> None:
        """Says each kind of fault when it begins, and when good states have come again for a while."""
        if decision.fault:
            if self._faults.setdefault(decision.kind, SilenceNotice()).stopped():
                self.get_logger().warning(decision.fault)
            return
        for kind, notice in self._faults.items():
            if notice.heard(now):
                count = self._controller.faults[kind]
                self.get_logger().warning(f"good states come again; safe action sent ({kind}: {count} times)")


def _input(state: TaskState) -> Input:
    return Input(
        stamp=to_seconds(state.header.stamp),
        task=state.task,
        episode=state.episode,
        observation=np.array(state.observation, dtype=np.float64),
        terminated=state.terminated,
        action=np.array(state.action, dtype=np.float64),
    )


def main() -> None:
    """Entry point of the executable ``controller``."""
    run(ControllerNode)
