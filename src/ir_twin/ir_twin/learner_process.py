# SPDX-License-Identifier: Apache-2.0
"""The node's side of the learner: starts its process, feeds it without waiting, takes versions, starts it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ir_dynamics.model_version import ModelVersion, RolledBack, begin_at
from ir_dynamics.transitions import Rows, Transition, TransitionLayout
from ir_twin.object_stream import ObjectStream
from ir_twin.twin_config import LearnerConfig


def rollback_line(item: RolledBack, count: int) -> str | None:
    """A line for the log about the ``count``-th rollback of a task; None: it is one of many, and not said."""
    if count & (count - 1):  # 1, 2, 4, 8 …: said, and not at every period
        return None
    return (
        f"{item.task}: a new version was worse on held-out transitions ({item.error:.3g}, best {item.best:.3g} "
        f"standard deviations) and was rolled back, {count} so far"
    )


@dataclass(frozen=True)
class Notice:
    """One line for the log."""

    text: str


@dataclass
class _Task:
    layout: TransitionLayout
    outbox: deque[Rows]
    latest: ModelVersion | None = None
    begun: bool = False
    sent: int = 0
    dropped: int = 0
    rollbacks: int = 0


class LearnerProcess:
    """One learner process for all tasks of a node.

    Nothing here waits: `add` and `poll` take well under a millisecond whatever the process does. The process is started
    with the first transition. When it dies it is started again, at most ``max_restarts`` times, and goes on from the
    newest version; what it had in its replay and did not write beside a checkpoint is lost.

    Args:
        config: settings of the learner.
        say: takes one line for the log when the process was lost.
    """

    def __init__(self, config: LearnerConfig, say: Callable[[str], None]) -> None:
        self._config, self._say = config, say
        self._tasks: dict[str, _Task] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: ObjectStream | None = None
        self._start_after = 0.0
        self.restarts = 0

    @property
    def process_id(self) -> int | None:
        """Of the running process, or None."""
        return self._process.pid if self._process else None

    @property
    def dropped(self) -> int:
        """Transitions dropped because the learner did not take them in time."""
        return sum(task.dropped for task in self._tasks.values())

    def sent(self, task: str) -> int:
        """Transitions of a task that the learner was given so far."""
        return self._tasks[task].sent

    @property
    def lost(self) -> bool:
        """The learner died too often and is not started any more."""
        return self.restarts > self._config.max_restarts

    def declare(self, task: str, layout: TransitionLayout) -> None:
        """Makes a task known."""
        self._tasks.setdefault(task, _Task(layout, deque(maxlen=self._config.outbox_limit)))

    def rollbacks(self, task: str) -> int:
        """Versions of a task that were worse than the best before them and were not taken."""
        return self._tasks[task].rollbacks

    def resume(self, model: ModelVersion) -> None:
        """Lets the learner go on from a version of a declared task; call it before the first transition."""
        self._tasks[model.task].latest = model

    def add(self, task: str, transition: Transition) -> None:
        """Queues one transition; where the queue is full the oldest is dropped and counted."""
        entry = self._tasks[task]
        if self.lost:
            entry.dropped += 1
            return
        if len(entry.outbox) == entry.outbox.maxlen:
            entry.dropped += 1
        entry.outbox.append(entry.layout.pack(transition))

    def poll(self) -> list[ModelVersion]:
        """Sends what waits, takes in what came, starts the process where needed; returns new versions."""
        if self._process is None:
            wanted = any(task.outbox for task in self._tasks.values())
            if wanted and not self.lost and time.monotonic() >= self._start_after:
                self._start()
            return []
        assert self._channel is not None
        try:
            self._send(self._channel)
            received = [self._received(item) for item in self._channel.receive()]
        except EOFError:
            self._bury()
            return []
        return [version for version in received if version is not None]

    def close(self) -> None:
        """Ends the process."""
        self._stop()

    def _send(self, channel: ObjectStream) -> None:
        for name, task in self._tasks.items():
            if channel.busy:
                return
            if task.outbox:
                if not task.begun:
                    channel.send(begin_at(name, task.layout, task.latest))
                    task.begun = True
                channel.send((name, np.stack(task.outbox)))
                task.sent += len(task.outbox)
                task.outbox.clear()

    def _received(self, item: ModelVersion | RolledBack | Notice) -> ModelVersion | None:
        if isinstance(item, Notice):
            self._say(item.text)
            return None
        task = self._tasks[item.task]
        if isinstance(item, ModelVersion):
            task.latest = item
            return item
        task.rollbacks += 1
        if line := rollback_line(item, task.rollbacks):
            self._say(line)
        return None

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ir_twin.learner_worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment,
            )  # fmt: skip
        os.sched_setscheduler(self._process.pid, os.SCHED_BATCH, os.sched_param(0))  # its imports are costly too
        os.setpriority(os.PRIO_PROCESS, self._process.pid, self._config.learner_nice)
        self._channel = ObjectStream(ours)
        for task in self._tasks.values():
            task.begun = False
        self._channel.send(
            {name: getattr(self._config, name) for name in LearnerConfig.model_fields}
        )  # plain values: the node's configuration has more keys

    def _bury(self) -> None:
        assert self._process is not None
        process_id = self._process.pid
        status = self._stop()
        self.restarts += 1
        self._start_after = time.monotonic() + min(2.0 ** (self.restarts - 1) * 0.5, 10.0)
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        then = (
            f"no further start after {self._config.max_restarts}; the models stay as they are" if self.lost
            else f"restart {self.restarts} of {self._config.max_restarts}"
        )  # fmt: skip
        self._say(f"the twin's learner (process {process_id}) ended with {how}: {then}")

    def _stop(self) -> int:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is None:
            return 0
        process, self._process = self._process, None
        try:
            return process.wait(0.05)
        except subprocess.TimeoutExpired:
            process.kill()  # it holds nothing that is worth a wait
            return process.wait()
