# SPDX-License-Identifier: Apache-2.0
"""The learner's process: it learns the networks of all tasks in turn, within a budget of CPU time.

The learning itself is `ir_dynamics.task_learner.TaskLearner`.

The process is started by `ir_twin.learner_process.LearnerProcess` as ``python -m ir_twin.learner_worker FD``; it ends
when the other end of its socket does.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from typing import Any

import torch

from ir_common.cpu_budget import Budget
from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import Begin, ModelVersion
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.transitions import Rows
from ir_twin import practised
from ir_twin.learner_process import Notice
from ir_twin.object_stream import ObjectStream
from ir_twin.twin_config import LearnerConfig

KEEP_PERIOD = 20.0
"""s of wall time between two times that what is learnt from is written."""


class Learner:
    """Learns the networks of several tasks in turn.

    Args:
        config: preset, seed and limits.
    """

    def __init__(self, config: LearnerConfig) -> None:
        self.config = config
        self.tasks: dict[str, TaskLearner] = {}
        self._turn = 0

    def handle(self, message: Begin | tuple[str, Rows]) -> None:
        """Takes a new task, or transitions [n, width] of a known one."""
        if isinstance(message, Begin):
            task_learner = self.tasks[message.task] = TaskLearner(self.config, message)
            if file := practised.begins_with(self.config, message.task):
                task_learner.restore(file)
        else:
            task, rows = message
            self.tasks[task].add(rows)

    def step(self) -> bool:
        """One gradient step for the next task that is due; says whether there was one."""
        due = [task for task in self.tasks.values() if task.due()]
        if due:
            self._turn += 1
            due[self._turn % len(due)].step()
        return bool(due)


def serve(channel: ObjectStream, learner: Learner, budget: Budget) -> None:
    """Learns until the other side of the channel is gone."""
    next_keep = time.monotonic() + KEEP_PERIOD
    try:
        while True:
            for message in channel.receive():
                learner.handle(message)
            rest = budget.pause()
            worked = rest <= 0 and learner.step()
            now = time.monotonic()
            for task in learner.tasks.values():
                outcome = None if channel.busy else task.publish_due(now, budget.share)
                if outcome is not None:
                    channel.send(outcome)
                if isinstance(outcome, ModelVersion):
                    _keep(outcome, learner.config, channel)
            if learner.config.checkpoints and now >= next_keep:
                _keep_rows(learner, channel)
                next_keep = now + KEEP_PERIOD
            channel.wait(0.0 if worked else max(rest, 0.01))
    except EOFError:
        return


def _keep(model: ModelVersion, config: LearnerConfig, channel: ObjectStream) -> None:
    """Writes the checkpoint of a version, where there is a folder for it."""
    if config.checkpoints:
        try:
            model_checkpoint.save(model_checkpoint.file_of(config.checkpoints, model.task), model, config.preset)
        except OSError as error:
            channel.send(Notice(f"checkpoint of {model.task} not written: {error}"))


def _keep_rows(learner: Learner, channel: ObjectStream) -> None:
    """Writes what each task learns from, where there is more of it than was written."""
    for name, task in learner.tasks.items():
        if task.transitions > task.kept:
            try:
                task.keep(model_checkpoint.file_of(learner.config.checkpoints, name))
            except OSError as error:
                channel.send(Notice(f"transitions of {name} not written: {error}"))


def main(arguments: list[str] | None = None) -> None:
    """Entry of the process: ``FD`` is the number of an inherited socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the node ends this process
    arguments = sys.argv[1:] if arguments is None else arguments
    channel = ObjectStream(socket.socket(fileno=int(arguments[0])))
    torch.set_num_threads(1)
    hello: list[Any] = []
    try:
        while not hello:
            channel.wait(1.0)
            hello = channel.receive()
    except EOFError:
        return
    config = LearnerConfig.model_validate(hello.pop(0))
    learner = Learner(config)
    for message in hello:
        learner.handle(message)
    serve(channel, learner, Budget(config.learner_duty))


if __name__ == "__main__":
    main()
