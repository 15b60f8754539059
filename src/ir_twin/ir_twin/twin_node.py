# SPDX-License-Identifier: Apache-2.0
"""The twin node: proposal in, verdict and command out, for all robots."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: a second thread costs more than one row is worth

import gc
import time
from array import array
from typing import Any, NamedTuple

from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, LeanNode, drain, run
from ir_common.ros_params import declare
from ir_common.ros_time import to_nanoseconds
from ir_common.verdict_kinds import Sent, VerdictMode, verdict_counts
from ir_dynamics import model_checkpoint
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import layout_of
from ir_interfaces.msg import TaskState, TwinStatus
from ir_interfaces.msg import Verdict as VerdictMessage
from ir_sim.ros_task_messages import COMMAND_TYPES, action_to_command, command_to_action
from ir_sim.sdf.world import compose
from ir_sim.tasks import Task, make_task
from ir_twin.learner_process import LearnerProcess
from ir_twin.robot_twin import Array, RobotTwin, TaskTwin, Verdict
from ir_twin.twin_config import TwinConfig
from ir_twin.twin_journal import TwinJournal

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
        models = {name: model or name for name, _, model in (robot.partition(":") for robot in config.robots)}
        if world:
            models = {robot.name: robot.model for robot in world.robots.values()}
        self.learner = LearnerProcess(config, self.get_logger().warning)
        self.tasks: dict[str, TaskTwin] = {}
        self.robots: list[RobotPort] = []
        for name, model in models.items():
            task = make_task(model, world)
            layout = layout_of(config.preset, len(task.observation_names), len(task.action_names))
            shared = self.tasks.setdefault(task.name, TaskTwin(task.name, layout, config.reward_window))
            self.learner.declare(task.name, layout)
            self.robots.append(RobotPort(self, task, RobotTwin(name, shared, task.safe_action, task.clip)))
        self._proposed: list[Proposal] = []
        self.journal = JournalPublisher(self, TwinJournal(config, [(port.twin, port.task) for port in self.robots]))
        if config.checkpoints:
            for shared in self.tasks.values():
                self._resume(shared, config)
        self.add_on_set_parameters_callback(self._check_threshold)
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(config.io_period, self._exchange, clock=wall)
        self.create_timer(1.0, self._report, clock=wall)
        gc.collect()
        gc.freeze()  # what stands now lives on: later collections do not walk over it

    def _resume(self, task: TaskTwin, config: TwinConfig) -> None:
        """Goes on from the task's checkpoint, where there is one."""
        path = model_checkpoint.file_of(config.checkpoints, task.name)
        model = model_checkpoint.load(path, task.name, task.layout, config.preset) if path.exists() else None
        model_checkpoint.load_rows(path, task.layout)  # the learner takes them; what is wrong with them is said here
        if model:
            task.adopt(model, config)
            self.learner.resume(model)
            self.get_logger().info(f"{task.name}: goes on from version {model.version} of {path}")

    def close(self) -> None:
        """Ends the learner."""
        self.learner.close()

    def _exchange(self) -> None:
        for model in self.learner.poll():
            task = self.tasks[model.task]
            if task.model is None:
                self.get_logger().info(
                    f"first model of {model.task}: {model.transitions} transitions, "
                    f"reward error {model.error.reward:.3g}, state error {model.error.state:.3g}"
                )
            self._object(task.adopt(model, self.parameters.config), task)

    def _on_change(self, config: TwinConfig) -> None:
        for task in self.tasks.values():
            self._object(task.reconsider(config), task)

    def _object(self, objection: str | None, task: TaskTwin) -> None:
        if objection:
            self.get_logger().warning(f"{task.name}: {objection}; the automatic threshold is used until then")

    def _check_threshold(self, changes: list[Parameter]) -> SetParametersResult:
        for change in changes:
            if change.name == "threshold" and isinstance(change.value, int | float):
                for task in self.tasks.values():
                    objection = task.threshold.objection(change.value, self.parameters.config.max_veto_share)
                    if objection:
                        return SetParametersResult(successful=False, reason=f"{task.name}: {objection}")
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
        config, now = self.parameters.config, self.get_clock().now()
        for task in self.tasks.values():
            some = [proposal for proposal in proposed if proposal.port.twin.task is task]
            if some:
                robots, actions = [each.port.twin for each in some], [each.action for each in some]
                verdicts = task.judge(robots, actions, now.nanoseconds, config)
                stamp = now.to_msg()
                # every robot waits for its command, nobody for the verdict
                latencies = [each.port.send(each, verdict, stamp) for each, verdict in zip(some, verdicts, strict=True)]
                for each, verdict, latency in zip(some, verdicts, latencies, strict=True):
                    each.port.tell(verdict, each.action, stamp, latency)

    def _report(self) -> None:
        self._on_change(self.parameters.config)
        self.journal.flush()
        for port in self.robots:
            port.report()


class Proposal(NamedTuple):
    """What a robot's controller proposes."""

    port: RobotPort
    message: Any
    action: Array | None
    """[num_action]; None: no valid command."""
    arrived: float
    """s of `time.perf_counter`."""


class RobotPort:
    """Topics of one robot."""

    def __init__(self, node: TwinNode, task: Task, twin: RobotTwin) -> None:
        self.node, self.task, self.twin = node, task, twin
        topic, kind = COMMAND_TYPES[task.command]
        prefix = f"{node.parameters.config.edge_namespace}/{twin.robot}/"
        self._command = node.create_publisher(kind, prefix + topic, COMMANDS)
        self._verdict = node.create_publisher(VerdictMessage, prefix + "verdict", RELIABLE)
        self._status = node.create_publisher(TwinStatus, prefix + "twin_status", LATCHED)
        self._expected = node.create_publisher(TaskState, prefix + "expected_state", STATES)
        self._states = node.create_subscription(TaskState, prefix + "state", self._on_state, STATES)
        self._proposals = node.create_subscription(kind, f"{prefix}{topic}_proposed", self._on_proposal, PROPOSALS)
        horizon = node.parameters.config.risk_horizon if twin.task.layout.ahead else 0.0
        self._hindsight = TerminationLabels(horizon, task.control_period)
        self._message = VerdictMessage()
        self._message.header.frame_id = twin.robot
        self._rejected = 0
        self._newest = TaskState()

    def _on_state(self, message: TaskState) -> None:
        self._take_state(message)
        drain(self._states, self._take_state)
        if self.twin.compensates(self.node.parameters.config):
            self._expect()

    def _expect(self) -> None:
        """Passes the newest state on as the next command will meet it, or as it is where that cannot be foreseen."""
        expected = self.twin.expect()
        if expected is not None:
            self._newest.observation = array("d", expected)
        self._expected.publish(self._newest)

    def _take_state(self, message: TaskState) -> None:
        self._newest = message
        transition = self.twin.observe(
            to_nanoseconds(message.header.stamp), message.task, episode=message.episode, step=message.step,
            observation=message.observation, action=message.action, reward=message.reward,
            terminated=message.terminated, truncated=message.truncated,
        )  # fmt: skip
        for settled in self._hindsight.follow(transition, self.twin.chain):
            self.node.learner.add(self.task.name, settled)
        if self.twin.chain.rejected > self._rejected:
            self._rejected = self.twin.chain.rejected
            self.node.get_logger().warning(
                f"{self.twin.robot}: {self._rejected} states refused so far: NaN, infinity, wrong width, another task "
                f"(last: '{message.task}', {len(message.observation)} and {len(message.action)} numbers)",
                throttle_duration_sec=_WARN_PERIOD,
            )

    def _on_proposal(self, message: Any) -> None:
        arrived = time.perf_counter()
        try:
            action = command_to_action(self.task, message)
        except ValueError as error:
            self.node.get_logger().warning(
                f"{self.twin.robot}: command refused, the safe action is sent: {error}",
                throttle_duration_sec=_WARN_PERIOD,
            )
            action = None
        self.node.propose(Proposal(self, message, action, arrived))

    def send(self, proposal: Proposal, verdict: Verdict, stamp: Any) -> float:
        """Sends the command that follows from a verdict; returns how long that took from the proposal's arrival, s."""
        message = proposal.message  # what passes is the very message that came
        if verdict.sent_as is not Sent.PROPOSAL:
            message = action_to_command(self.task, verdict.sent, stamp)
        self._command.publish(message)
        latency = time.perf_counter() - proposal.arrived
        self.twin.latency.add(latency)
        return latency

    def tell(self, verdict: Verdict, action: Array | None, stamp: Any, latency: float) -> None:
        """Publishes a verdict on an action, and the alarm where one is due."""
        message = self._message
        message.header.stamp = stamp
        message.sequence = self.twin.proposals
        message.mode = VerdictMode[self.node.parameters.config.mode.upper()]
        message.accepted, message.sent_safe_action = verdict.accepted, verdict.sent_safe_action
        message.reason, message.model_version = int(verdict.reason), verdict.model_version
        message.predicted_reward, message.threshold = verdict.predicted_reward, verdict.threshold
        message.sent_as, message.sent_risk = int(verdict.sent_as), verdict.sent_risk
        message.risk, message.risk_limit = verdict.risk, verdict.risk_limit
        message.proposed = array("d", () if action is None else action)
        message.sent = array("d", verdict.sent)
        message.latency = latency
        self._verdict.publish(message)
        alarm = self.twin.alarm(self.node.parameters.config)
        if alarm:
            self.node.get_logger().warning(alarm)

    def report(self) -> None:
        """Publishes the status."""
        twin, model = self.twin, self.twin.task.model
        config, foresight = self.node.parameters.config, twin.foresight
        message = TwinStatus(
            task=self.task.name,
            model_version=twin.task.version,
            transitions=self.node.learner.sent(self.task.name),
            transitions_rejected=twin.chain.rejected,
            reward_error=model.error.reward if model else float("nan"),
            state_error=model.error.state if model else float("nan"),
            threshold=twin.task.threshold.value,
            **verdict_counts(twin.counts),
            latency_p50=twin.latency.quantile(0.5),
            latency_p99=twin.latency.quantile(0.99),
            rollbacks=self.node.learner.rollbacks(self.task.name),
            risk_limit=twin.task.risk_limit.value if config.by_risk else float("nan"),
            foresight_steps=config.foresight_steps,
            foresight_judged=foresight.resolved,
            foresight_terminal=foresight.counts[0][1] + foresight.counts[1][1],
            foresight_flagged=sum(foresight.counts[1]),
            foresight_precision=foresight.precision,
            foresight_recall=foresight.recall,
        )
        message.header.stamp = self.node.get_clock().now().to_msg()
        message.header.frame_id = twin.robot
        self._status.publish(message)


def main() -> None:
    """Entry point of the executable ``twin``."""
    run(TwinNode)


if __name__ == "__main__":
    main()
