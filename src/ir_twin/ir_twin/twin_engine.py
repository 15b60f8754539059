# SPDX-License-Identifier: Apache-2.0
"""What the twin node decides, without ROS: states and proposals in, verdicts out, versions of the networks in between.

The live node calls it with what comes from topics, a simulation in the model's time with its own states; both get the
same verdicts for the same calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ir_common.diagnosis import Status
from ir_common.journal import Journaled
from ir_common.verdict_kinds import verdict_counts
from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import Transition, TransitionLayout, layout_of
from ir_sim.tasks import Task
from ir_twin import practised
from ir_twin.drift import DriftState, DriftWatch, load_known
from ir_twin.fleet_twins import FleetTwins
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import TwinConfig
from ir_twin.twin_journal import TwinJournal
from ir_twin.verdict import Array, Proposed, Verdict
from ir_twin.veto import COMPARED_STEPS

_WARN_PERIOD = 5_000_000_000
"""ns of ROS time between two warnings about refused states of a robot."""


class LearnerPort(Protocol):
    """What learns the networks: a process beside a node (`LearnerProcess`), or the caller (`InlineLearner`)."""

    def declare(self, task: str, layout: TransitionLayout) -> None:
        """Makes a task known."""

    def resume(self, model: ModelVersion) -> None:
        """Lets a declared task go on from a version; called before its first transition."""

    def add(self, task: str, transition: Transition) -> None:
        """Gives one transition of a task to learn from."""

    def poll(self) -> list[ModelVersion]:
        """The versions since the last call, oldest first."""

    def sent(self, task: str) -> int:
        """Transitions of a task that are learnt from so far."""

    def rollbacks(self, task: str) -> int:
        """Versions of a task that were worse than the best before them and were not taken."""

    def close(self) -> None:
        """Ends the learning."""


class TwinEngine:
    """The robot twins of a fleet with their learner.

    Args:
        config: of the node; its live settings may be changed by `configure`.
        robots: the task of each robot, by the robot's name.
        learner: learns from what the robots do; closed by `close`.
        say: takes one line that is a warning.
        note: takes one line that is none.
        recorded: every call is written down in `journal`, which somebody must empty.

    Attributes:
        config: in force.
        twins: networks, thresholds and twins by task and robot, to be read; changed by the calls here alone.
        journal: of the calls; None where they are not recorded.

    Raises:
        ConfigError: a checkpoint in `config.checkpoints` is damaged, or of another preset.
    """

    def __init__(
        self, config: TwinConfig, robots: Mapping[str, Task], learner: LearnerPort, say: Callable[[str], None],
        note: Callable[[str], None] = lambda line: None, recorded: bool = False,
    ) -> None:  # fmt: skip
        self.config, self.learner, self._say, self._note = config, learner, say, note
        shared: dict[str, TaskTwin] = {}
        twins = []
        self._labels: dict[str, TerminationLabels] = {}
        for name, task in robots.items():
            layout = layout_of(config.preset, len(task.observation_names), len(task.action_names))
            own = shared.setdefault(task.name, TaskTwin(task.name, layout, config.reward_window))
            learner.declare(task.name, layout)
            twins.append(RobotTwin(name, own, task.safe_action, task.clip))
            self._labels[name] = TerminationLabels(config.risk_horizon if layout.ahead else 0.0, task.control_period)
        self.twins = FleetTwins(shared.values(), twins)
        self.journal = TwinJournal(config, self.twins, robots) if recorded else None
        self._calls = Journaled(self.twins, self.journal) if self.journal else self.twins
        self._refused = dict.fromkeys(robots, 0)
        self._warned: dict[str, int] = {}
        self._watches = self._watch(robots)
        for own in shared.values():
            if file := practised.begins_with(config, own.name):
                self._resume(own, file)

    def _watch(self, robots: Mapping[str, Task]) -> dict[str, DriftWatch]:
        """Tests of those robots that are known from practice."""
        folder, watches = practised.folder_of(self.config), {}
        for name, task in robots.items() if folder else ():
            assert folder is not None
            file, layout = model_checkpoint.file_of(folder, task.name), self.twins.robots[name].task.layout
            if file.exists():
                network = model_checkpoint.load(file, task.name, layout, self.config.preset).network
                if known := load_known(file, network, layout.num_observation):
                    watches[name] = DriftWatch(known, task.observation_names, task.control_period)
        return watches

    def _resume(self, task: TaskTwin, path: Path) -> None:
        """Goes on from a checkpoint of a task; the threshold begins with what its held-out transitions say."""
        preset = self.config.preset
        model = model_checkpoint.load(path, task.name, task.layout, preset) if path.exists() else None
        _, heldout = model_checkpoint.load_rows(path, task.layout)  # the learner reads them for itself
        if model:
            self._apply("adopt", task.name, model)
            if len(heldout):
                before = task.layout.unpack(heldout[-COMPARED_STEPS:])
                predicted = model.network.predict(before.state, before.action).reward
                self._apply("recall", task.name, predicted, before.reward)
            self.learner.resume(model)
            self._note(f"{task.name}: goes on from version {model.version} of {path}")

    def _apply(self, call: str, *arguments: Any) -> Any:
        """Makes a call of the twins under the settings in force."""
        if self.twins.config is not self.config:
            self._calls.apply("settings", self.config)
        return self._calls.apply(call, *arguments)

    def observe(self, robot: str, stamp: int, task: str, **content: Any) -> None:
        """Takes the content of one TaskState of a robot in (as `TransitionMaker.feed`), stamped in ns of ROS time."""
        twin = self.twins.robots[robot]
        transition = self._calls.apply("observe", robot, stamp, task, content)
        if transition is not None and (watch := self._watches.get(robot)):
            watch.add(stamp / 1e9, transition)
        for labelled in self._labels[robot].follow(transition, twin.chain):
            self.learner.add(twin.task.name, labelled)
        if twin.chain.rejected > self._refused[robot]:
            self._refused[robot] = twin.chain.rejected
            self._warn_of_refused(robot, stamp, task, content)

    def _warn_of_refused(self, robot: str, stamp: int, task: str, content: Mapping[str, Any]) -> None:
        if abs(stamp - self._warned.get(robot, -_WARN_PERIOD)) < _WARN_PERIOD:
            return
        self._warned[robot] = stamp
        self._say(
            f"{robot}: {self._refused[robot]} states refused so far: NaN, infinity, wrong width, another task "
            f"(last: '{task}', {len(content['observation'])} and {len(content['action'])} numbers)"
        )

    def compensates(self, robot: str) -> bool:
        """Whether a robot's controller is given the state that its command will meet."""
        return self.twins.robots[robot].compensates(self.config)

    def expected(self, robot: str) -> Array | None:
        """What the next command of a robot will meet [num_observation]; None: not foreseen. See `RobotTwin.expect`."""
        expected: Array | None = self._calls.apply("expect", robot)
        return expected

    def task_of(self, robot: str) -> str:
        """The name of a robot's task: proposals of one task are judged together."""
        return self.twins.robots[robot].task.name

    def judge(self, proposals: Sequence[Proposed], now: int) -> list[Verdict]:
        """Verdicts on what robots propose, in the given order; those of a task in one batched pass.

        Args:
            proposals: of any robots.
            now: ns of ROS time.
        """
        verdicts: dict[int, Verdict] = {}
        for task in self.twins.tasks:
            rows = [i for i, proposal in enumerate(proposals) if self.task_of(proposal.robot) == task]
            if rows:
                given = [proposals[i] for i in rows]
                verdicts.update(zip(rows, self._apply("judge", given, now), strict=True))
        return [verdicts[i] for i in range(len(proposals))]

    def took(self, robot: str, seconds: float) -> None:
        """Takes in how long it took from a proposal's arrival until its command was sent, s."""
        self.twins.robots[robot].latency.add(seconds)

    def exchange(self) -> None:
        """Takes the versions that the learner has made into use."""
        for model in self.learner.poll():
            if self.twins.tasks[model.task].model is None:
                self._note(
                    f"first model of {model.task}: {model.transitions} transitions, "
                    f"reward error {model.error.reward:.3g}, state error {model.error.state:.3g}"
                )
            self._object(model.task, self._apply("adopt", model.task, model))

    def reconsider(self) -> None:
        """Compares predictions with what came of them and sets thresholds and limits anew; about once a second.

        Then it looks whether the robots are still those that are known.
        """
        for task in self.twins.tasks:
            self._object(task, self._apply("reconsider", task))
        for robot, watch in self._watches.items():
            for line in watch.look():
                self._say(f"{robot}: {line}")

    def diagnoses(self, now: float) -> list[Status]:
        """Whether each robot that is known from practice is still as it was, at ``now``, s of ROS time."""
        return [watch.state.diagnosis(robot, now) for robot, watch in self._watches.items()]

    def drift(self, robot: str) -> DriftState | None:
        """What is found of whether a robot is still the one that is known from practice; None: it is not known."""
        watch = self._watches.get(robot)
        return watch.state if watch else None

    def configure(self, config: TwinConfig) -> None:
        """Puts changed settings into force."""
        self.config = config
        self.reconsider()

    def _object(self, task: str, objection: str | None) -> None:
        if objection:
            self._say(f"{task}: {objection}; the automatic threshold is used until then")

    def threshold_objection(self, threshold: float) -> str | None:
        """Why a threshold would veto nearly everything that a task's robots do; None: it would not."""
        for name, task in self.twins.tasks.items():
            if objection := task.threshold.objection(threshold, self.config.max_veto_share):
                return f"{name}: {objection}"
        return None

    def alarm(self, robot: str) -> str | None:
        """One line when nearly all recent proposals of a robot are vetoed; said once until it is over."""
        return self.twins.robots[robot].alarm(self.config)

    def status(self, robot: str) -> dict[str, Any]:
        """The fields of a robot's TwinStatus without its header."""
        twin = self.twins.robots[robot]
        task, outcomes = twin.task, twin.outcomes
        error = task.model.error if task.model else None
        return {
            "task": task.name,
            "model_version": task.version,
            "transitions": self.learner.sent(task.name),
            "transitions_rejected": twin.chain.rejected,
            "reward_error": error.reward if error else math.nan,
            "state_error": error.state if error else math.nan,
            "threshold": task.threshold.value,
            **verdict_counts(twin.counts),
            "latency_p50": twin.latency.quantile(0.5),
            "latency_p99": twin.latency.quantile(0.99),
            "rollbacks": self.learner.rollbacks(task.name),
            "risk_limit": task.risk_limit.value if self.config.by_risk else math.nan,
            "foresight_steps": self.config.foresight_steps,
            "foresight_judged": outcomes.resolved,
            "foresight_terminal": outcomes.counts[0][1] + outcomes.counts[1][1],
            "foresight_flagged": sum(outcomes.counts[1]),
            "foresight_precision": outcomes.precision,
            "foresight_recall": outcomes.recall,
        }

    def close(self) -> None:
        """Ends the learner."""
        self.learner.close()
