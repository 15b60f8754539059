# SPDX-License-Identifier: Apache-2.0
"""The robot twins of a fleet as one object, whose state follows from the calls to it alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike

from ir_dynamics.model_version import ModelVersion
from ir_dynamics.transitions import Transition
from ir_twin.judgement import judge_all
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import VetoConfig
from ir_twin.verdict import Array, Proposed, Verdict

_CALLS = ("settings", "observe", "expect", "adopt", "recall", "reconsider", "judge")


class FleetTwins:
    """Robot twins and what they share per task; all that changes them comes by name through `apply`.

    A journal of those calls repeats the verdicts (`ir_twin.twin_journal`).

    Args:
        tasks: network and threshold of each task.
        robots: the twins of its robots.

    Attributes:
        tasks, robots: by name.
        config: the settings in force.
    """

    def __init__(self, tasks: Iterable[TaskTwin], robots: Iterable[RobotTwin]) -> None:
        self.tasks = {task.name: task for task in tasks}
        self.robots = {twin.robot: twin for twin in robots}
        self.config = VetoConfig()

    def apply(self, call: str, *arguments: Any) -> Any:
        """Makes one of the calls below by its name.

        Raises:
            ValueError: there is no such call.
        """
        if call not in _CALLS:
            raise ValueError(f"a twin has no call {call}")
        return getattr(self, call)(*arguments)

    def settings(self, config: VetoConfig) -> None:
        """Puts settings into force; what follows from them does with the next call."""
        self.config = config

    def observe(self, robot: str, stamp: int, task: str, content: Mapping[str, Any]) -> Transition | None:
        """Takes the content of one TaskState of a robot in, stamped in ns of ROS time; see `RobotTwin.observe`."""
        return self.robots[robot].observe(stamp, task, **content)

    def expect(self, robot: str) -> Array | None:
        """What the next command of a robot will meet [num_observation], if that is foreseen; see `RobotTwin.expect`."""
        return self.robots[robot].expect()

    def adopt(self, task: str, model: ModelVersion) -> str | None:
        """Takes a version of a task's network into use; returns a new objection to the given threshold."""
        return self.tasks[task].adopt(model, self.config)

    def recall(self, task: str, predicted: ArrayLike, rewards: ArrayLike) -> None:
        """Has the threshold of a task begin with steps of before; see `TaskTwin.recall`."""
        self.tasks[task].recall(predicted, rewards, self.config)

    def reconsider(self, task: str) -> str | None:
        """Sets the threshold or limit of a task anew; returns a new objection to the given threshold."""
        return self.tasks[task].reconsider(self.config)

    def judge(self, proposals: Sequence[tuple[Any, ...]], now: int) -> list[Verdict]:
        """Verdicts on proposals (the fields of `Proposed`) of robots of one task at ``now``, ns of ROS time."""
        given = [Proposed(*fields) for fields in proposals]
        twins = [self.robots[one.robot] for one in given]
        return judge_all(twins, [one.action for one in given], now, self.config, [one.noise_free for one in given])
