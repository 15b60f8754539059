# SPDX-License-Identifier: Apache-2.0
"""The learner of the twins' networks in the model's time: it learns inside a call, as much as simulated time allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import ModelVersion, RolledBack, begin_at
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.transitions import Rows, Transition, TransitionLayout
from ir_twin import practised
from ir_twin.learner_process import rollback_line
from ir_twin.learner_worker import KEEP_PERIOD
from ir_twin.twin_config import LearnerConfig

STEPS_PER_SECOND = 50.0
"""Gradient steps in a second of simulated time, of all tasks together."""


@dataclass
class _Task:
    layout: TransitionLayout
    waiting: list[Rows] = field(default_factory=list)
    begin: ModelVersion | None = None
    learner: TaskLearner | None = None
    sent: int = 0


class InlineLearner:
    """A `LearnerPort` without a process and without a clock of its own: the same calls give the same versions.

    `advance` makes the gradient steps for the simulated time since the call before it; those that nothing was there for
    are not saved up, as in the process. Tasks that are due take turns. To be the same on every machine of a kind, it
    wants one thread (``torch.set_num_threads(1)``, which is the program's to say).

    Args:
        config: of the learner; what is about wall time, processes and queues in it plays no part.
        say: takes one line for the log.
        steps_per_second: gradient steps in a second of simulated time.
    """

    def __init__(
        self, config: LearnerConfig, say: Callable[[str], None], steps_per_second: float = STEPS_PER_SECOND
    ) -> None:
        self._config, self._say, self._rate = config, say, steps_per_second
        self._tasks: dict[str, _Task] = {}
        self._made: list[ModelVersion] = []
        self._now: float | None = None
        self._credit = 0.0  # gradient steps that may be made
        self._turn = 0
        self._next_keep = KEEP_PERIOD

    def declare(self, task: str, layout: TransitionLayout) -> None:
        """Makes a task known."""
        self._tasks.setdefault(task, _Task(layout))

    def resume(self, model: ModelVersion) -> None:
        """Lets a declared task go on from a version; call it before the first transition."""
        self._tasks[model.task].begin = model

    def add(self, task: str, transition: Transition) -> None:
        """Gives one transition of a task to learn from."""
        entry = self._tasks[task]
        entry.waiting.append(entry.layout.pack(transition))
        entry.sent += 1

    def advance(self, now: float) -> None:
        """Learns until ``now``, s of simulated time; what is learnt is handed out by the next `poll`.

        The first call says when time begins; a ``now`` before that of the last call makes no steps.
        """
        elapsed = 0.0 if self._now is None else max(now - self._now, 0.0)
        if self._now is None:
            self._next_keep = now + KEEP_PERIOD
        self._now = now
        for name, task in self._tasks.items():
            self._take_in(name, task)
        self._credit += elapsed * self._rate
        while self._credit >= 1.0 and self._step():
            self._credit -= 1.0
        self._credit = min(self._credit, 1.0)
        for task in self._tasks.values():
            if task.learner and (outcome := task.learner.publish_due(now)):
                self._publish(outcome, task.learner.rollbacks)
        if now >= self._next_keep:
            self._keep_rows()
            self._next_keep = now + KEEP_PERIOD

    def _take_in(self, name: str, task: _Task) -> None:
        if not task.waiting:
            return
        if task.learner is None:
            task.learner = TaskLearner(self._config, begin_at(name, task.layout, task.begin))
            if file := practised.begins_with(self._config, name):
                task.learner.restore(file)
        task.learner.add(np.stack(task.waiting))
        task.waiting.clear()

    def _step(self) -> bool:
        """One gradient step for the next task that is due; says whether there was one."""
        due = [task.learner for task in self._tasks.values() if task.learner and task.learner.due()]
        if due:
            self._turn += 1
            due[self._turn % len(due)].step()
        return bool(due)

    def _publish(self, outcome: ModelVersion | RolledBack, rollbacks: int) -> None:
        if isinstance(outcome, RolledBack):
            if line := rollback_line(outcome, rollbacks):
                self._say(line)
            return
        self._made.append(outcome)
        if self._config.checkpoints:
            try:
                path = model_checkpoint.file_of(self._config.checkpoints, outcome.task)
                model_checkpoint.save(path, outcome, self._config.preset)
            except OSError as error:
                self._say(f"checkpoint of {outcome.task} not written: {error}")

    def _keep_rows(self) -> None:
        """Writes what each task learns from, where there is more of it than was written."""
        for name, task in self._tasks.items():
            if self._config.checkpoints and task.learner and task.learner.transitions > task.learner.kept:
                try:
                    task.learner.keep(model_checkpoint.file_of(self._config.checkpoints, name))
                except OSError as error:
                    self._say(f"transitions of {name} not written: {error}")

    def poll(self) -> list[ModelVersion]:
        """The versions since the last call, oldest first."""
        made, self._made = self._made, []
        return made

    def sent(self, task: str) -> int:
        """Transitions of a task that were given so far."""
        return self._tasks[task].sent

    def rollbacks(self, task: str) -> int:
        """Versions of a task that were worse than the best before them and were not taken."""
        learner = self._tasks[task].learner
        return learner.rollbacks if learner else 0

    def close(self) -> None:
        """Writes what is learnt from, where there is a folder for it."""
        self._keep_rows()
