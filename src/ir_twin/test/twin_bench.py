# SPDX-License-Identifier: Apache-2.0
"""A twin node, and a robot with its controller that is played to it."""

import math

import numpy as np
from rclpy.parameter import Parameter

from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.testing import RosHarness
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.predict_network import PredictionError, PredictNetwork
from ir_interfaces.msg import TaskState, TwinStatus, Verdict
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command, command_to_action
from ir_sim.tasks import make_task
from ir_twin.twin_node import TwinNode


class Robot:
    """Plays one robot with its controller, and hears what the twin says."""

    def __init__(self, ros: RosHarness, name: str, model: str, namespace: str = "/edge") -> None:
        self.ros, self.name, self.task = ros, name, make_task(model)
        self.node = ros.node(f"{name}_test")
        topic, kind = COMMAND_TYPES[self.task.command]
        self.verdicts: list[Verdict] = []
        self.commands: list[np.ndarray] = []
        self.statuses: list[TwinStatus] = []
        prefix = f"{namespace}/{name}/"
        self._states = self.node.create_publisher(TaskState, prefix + "state", RELIABLE)
        self._proposals = self.node.create_publisher(kind, f"{prefix}{topic}_proposed", 10)
        self.node.create_subscription(Verdict, prefix + "verdict", self.verdicts.append, RELIABLE)
        self.node.create_subscription(kind, prefix + topic, self._command, RELIABLE)
        self.node.create_subscription(TwinStatus, prefix + "twin_status", self.statuses.append, LATCHED)
        self.step = 0
        self.rng = np.random.default_rng(0)

    def _command(self, message: object) -> None:
        self.commands.append(command_to_action(self.task, message))  # type: ignore[arg-type]

    def ready(self) -> None:
        ends = [self._states, self._proposals]
        self.ros.until(lambda: all(end.get_subscription_count() for end in ends), what="subscriptions of the twin")
        self.ros.until(lambda: self.node.count_publishers(self._proposals.topic_name.removesuffix("_proposed")))

    def observe(self, **changes: object) -> None:
        n, m = len(self.task.observation_names), len(self.task.action_names)
        fields: dict[str, object] = {
            "task": self.task.name, "observation": self.rng.normal(size=n).tolist(), "reward": float(self.rng.normal()),
            "action": self.rng.uniform(-1, 1, size=m).tolist() if self.step else [],
        }  # fmt: skip
        message = TaskState(episode=1, step=self.step, **(fields | changes))
        message.header.stamp = self.node.get_clock().now().to_msg()
        self._states.publish(message)
        self.step += 1

    def propose(self, action: list[float] | np.ndarray) -> Verdict:
        return self.send(action_to_command(self.task, np.array(action), self.node.get_clock().now().to_msg()))

    def publish(self, command: object) -> None:
        """Publishes a command."""
        self._proposals.publish(command)

    def send(self, command: object) -> Verdict:
        """Publishes a command and returns its verdict once that and the outcome are here."""
        count = len(self.verdicts)
        self.publish(command)
        self.ros.until(lambda: len(self.verdicts) > count and len(self.commands) > count, what="verdict and command")
        return self.verdicts[-1]


def predicting_last_action(task_name: str) -> ModelVersion:
    """A model that predicts the action's last number as reward."""
    task = make_task({"cart_navigation": "cart", "hopper_hop": "hopper"}[task_name])
    n, m = len(task.observation_names), len(task.action_names)
    layer = np.zeros((n + m, n + 1), np.float32)
    layer[-1, -1] = 1.0
    mean, scale = np.zeros(n + m, np.float32), np.ones(n + m, np.float32)
    network = PredictNetwork(
        (layer,), (np.zeros(n + 1, np.float32),), "silu", True, mean, scale, mean[: n + 1], scale[: n + 1], math.inf
    )
    return ModelVersion(task_name, 4, network, 100, 10, PredictionError(0.1, 0.2, np.zeros(n)), 0.1)


def parameters(**values: object) -> list[Parameter]:
    return [Parameter(name, value=value) for name, value in values.items()]


def make(ros: RosHarness, **values: object) -> TwinNode:
    given = {"robots": ["cart", "jumper:hopper"], "threshold": 0.0} | values
    return ros.add(TwinNode(namespace="/edge", parameter_overrides=parameters(**given)))
