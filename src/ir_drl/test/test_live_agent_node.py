# SPDX-License-Identifier: Apache-2.0
"""The agent as a node beside a controller, with real rclpy: answers go up, versions come down, a start goes on."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from std_msgs.msg import UInt8MultiArray

from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.ros_time import to_stamp
from ir_drl.controller_node import ControllerNode
from ir_drl.live_agent_node import LiveAgentNode
from ir_interfaces.msg import TaskState
from ir_sim.ros_task_messages import COMMAND_TYPES
from ir_sim.tasks import make_task

HOPPER = make_task("hopper")
STEPS = 30
DEADLINE = 60.0  # s of wall time, on a busy machine


def parameters(**values):
    return [Parameter(name, value=value) for name, value in values.items()]


class Robot:
    """A robot that does not care: it stands, and falls after so many control steps."""

    def __init__(self, ros):
        self.ros, self.answered, self.episode = ros, 0, 0
        self.node = ros.node("robot")
        topic, kind = COMMAND_TYPES[HOPPER.command]
        self.states = self.node.create_publisher(TaskState, "/edge/hopper/state", RELIABLE)
        self.node.create_subscription(kind, f"/edge/hopper/{topic}_proposed", self._on_command, RELIABLE)
        self._rng = np.random.default_rng(0)

    def _on_command(self, command):
        self.answered += 1

    def live(self):
        """One episode; each state waits for the answer to the one before."""
        self.episode += 1
        for step in range(STEPS + 1):
            message = TaskState(
                task=HOPPER.name, episode=self.episode, step=step, observation=self._rng.normal(size=11).tolist(),
                action=[0.1] * 3 if step else [], reward=float(step > 0), terminated=step == STEPS,
            )  # fmt: skip
            message.header.stamp = to_stamp(self.node.get_clock().now().nanoseconds)
            before = self.answered
            self.states.publish(message)
            self.ros.until(lambda: self.answered > before, what="an answer")  # noqa: B023


def figures_of(messages) -> dict[str, str]:
    return {pair.key: pair.value for pair in messages[-1].status[0].values}


def test_versions_are_handed_over_and_a_new_start_goes_on(ros, tmp_path):
    robot, diagnoses, policies = Robot(ros), [], []
    controller = ros.add(ControllerNode(parameter_overrides=parameters(robot="hopper", input_timeout=5.0)))
    robot.node.create_subscription(DiagnosticArray, "/diagnostics", diagnoses.append, RELIABLE)
    robot.node.create_subscription(UInt8MultiArray, "/edge/hopper/policy", policies.append, LATCHED)
    given = parameters(
        robots=["hopper"], algorithm="sac", learn_from="shipped", folder=str(tmp_path), duty=1.0, trial_episodes=1,
        seed=3,
    )  # fmt: skip
    agent = ros.add(LiveAgentNode(parameter_overrides=given))
    ros.until(lambda: policies, DEADLINE, "the first version")
    ros.until(lambda: getattr(controller._controller.policy, "version", 0) == 1, what="version 1 in force")

    def lived_until(condition):
        def one_more():
            robot.live()
            return condition()

        ros.until(one_more, DEADLINE)

    lived_until(lambda: controller._controller.policy.version > 1)
    ros.until(lambda: diagnoses and float(figures_of(diagnoses)["learning_steps"]) > 0, DEADLINE)
    assert diagnoses[-1].status[0].name == "agent: hopper_hop" and diagnoses[-1].status[0].hardware_id == "hopper"
    agent.close()
    known = float(agent.learning.status["transitions"])
    assert agent.learning.error is None and known > 250
    ros.executor.remove_node(agent)
    agent.destroy_node()

    again = ros.add(LiveAgentNode(parameter_overrides=given))
    assert float(again.learning.status["transitions"]) == known
    robot.live()
    ros.until(lambda: float(again.learning.status["transitions"]) > known, DEADLINE)
    again.close()


def test_a_controller_keeps_its_policy_where_a_damaged_one_comes(ros):
    robot = Robot(ros)
    controller = ros.add(ControllerNode(parameter_overrides=parameters(robot="hopper", input_timeout=5.0)))
    sender = robot.node.create_publisher(UInt8MultiArray, "/edge/hopper/policy", LATCHED)
    ros.until(lambda: sender.get_subscription_count() == 1, what="controller")
    before, warned = controller._controller.policy, []
    controller.get_logger().warning = lambda text, **_: warned.append(text)
    sender.publish(UInt8MultiArray(data=[1, 2, 3]))
    ros.until(lambda: warned, what="a warning")
    assert "damaged" in warned[0] and controller._controller.policy is before
