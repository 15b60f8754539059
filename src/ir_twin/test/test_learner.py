# SPDX-License-Identifier: Apache-2.0
"""The learner learns within its budget, in a process that can be lost on either side."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from ir_common.cpu_budget import Budget
from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack
from ir_dynamics.transitions import Rows, Transition, TransitionLayout
from ir_twin.learner_process import LearnerProcess
from ir_twin.learner_worker import Learner, serve
from ir_twin.object_stream import ObjectStream
from ir_twin.twin_config import LearnerConfig

LAYOUT = TransitionLayout(num_state=2, num_action=1)
BEGIN = Begin("toy", LAYOUT)
CONFIG = LearnerConfig(
    seed=3, initial_steps=20, publish_period=0.1, learner_duty=0.5, learner_nice=1, steps_per_transition=2.0
)


def toy(count: int, seed: int = 0) -> Rows:
    """Transitions of a double integrator, x' = x + 0.1 v, v' = v + 0.1 a, with reward -x^2."""
    rng = np.random.default_rng(seed)
    state, action = rng.normal(size=(count, 2)), rng.uniform(-1, 1, size=(count, 1))
    following = state + 0.1 * np.column_stack([state[:, 1], action[:, 0]])
    return np.column_stack([state, action, -(state[:, 0] ** 2), following, np.zeros(count)]).astype(np.float32)


def transitions(count: int, seed: int = 0) -> list[Transition]:
    return [LAYOUT.unpack(row) for row in toy(count, seed)]


def until(condition: Callable[[], object], timeout: float = 90.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "not seen in time"


def test_what_is_learnt_from_is_written_as_it_grows_and_a_learner_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ir_twin.learner_worker.KEEP_PERIOD", 0.01)
    config, path = CONFIG.model_copy(update={"checkpoints": str(tmp_path)}), model_checkpoint.file_of(tmp_path, "toy")
    ours, theirs = (ObjectStream(end) for end in socket.socketpair())
    thread = threading.Thread(target=serve, args=(theirs, Learner(config), Budget(1.0)))
    thread.start()
    try:
        ours.send(BEGIN)
        for count, total in ((200, 200), (300, 500)):
            ours.send(("toy", toy(count)))
            until(lambda total=total: sum(map(len, model_checkpoint.load_rows(path, LAYOUT))) == total)  # type: ignore[misc]
    finally:
        ours.close()
        thread.join(10.0)
    assert not thread.is_alive()
    again = Learner(config)
    again.handle(BEGIN)
    assert again.tasks["toy"].transitions == again.tasks["toy"].kept == 500


def test_nothing_is_learnt_before_enough_is_there_and_not_more_than_the_transitions_allow() -> None:
    learner = Learner(CONFIG)
    learner.handle(BEGIN)
    learner.handle(("toy", toy(CONFIG.min_transitions - 1)))
    assert not learner.step()
    learner.handle(("toy", toy(1)))
    steps = 0
    while learner.step():
        steps += 1
    assert steps == CONFIG.initial_steps + 2 * CONFIG.min_transitions


def test_tasks_take_turns() -> None:
    learner = Learner(CONFIG)
    for name in ("one", "two"):
        learner.handle(Begin(name, LAYOUT))
        learner.handle((name, toy(100)))
    for _ in range(10):
        learner.step()
    assert [task.steps for task in learner.tasks.values()] == [5, 5]


class Clocks:
    """A process that works and rests as told."""

    wall = cpu = 0.0

    def work(self, seconds: float) -> None:
        self.wall += seconds
        self.cpu += seconds


@pytest.mark.parametrize("duty", [0.1, 0.5, 1.0])
def test_the_budget_keeps_work_under_its_share(duty: float) -> None:
    clocks = Clocks()
    budget = Budget(duty, lambda: clocks.wall, lambda: clocks.cpu)
    clocks.wall += 100  # idle: not saved up
    begin = clocks.wall
    rng = np.random.default_rng(0)
    for _ in range(1000):
        rest = budget.pause()
        if rest > 0:
            clocks.wall += rest * rng.uniform(0.1, 1.0)  # woken early
        else:
            clocks.work(0.01)
    share = clocks.cpu / (clocks.wall - begin)
    assert 0.9 * duty < share <= duty + 0.11 / (clocks.wall - begin)


def test_objects_cross_the_channel_whole_and_in_order_without_waiting() -> None:
    one, other = (ObjectStream(end) for end in socket.socketpair())
    big = np.arange(3_000_000, dtype=np.float32)
    one.send("first")
    one.send(big)
    one.send("last")
    assert one.busy  # more than a socket holds, and yet nobody waited
    got: list[object] = []
    while len(got) < 3:
        got += other.receive()
        one.flush()
    assert got[0] == "first"
    np.testing.assert_array_equal(got[1], big)
    assert got[2] == "last"
    assert not one.busy
    assert other.receive() == []
    one.close()
    with pytest.raises(EOFError):
        other.receive()
    with pytest.raises(EOFError):
        other.send("anyone there?")
    other.close()


def collect(learner: LearnerProcess, versions: list[ModelVersion]) -> int:
    versions += learner.poll()
    return len(versions)


def test_the_process_learns_is_started_again_when_killed_and_leaves_nothing() -> None:
    said: list[str] = []
    versions: list[ModelVersion] = []
    learner = LearnerProcess(CONFIG.model_copy(update={"max_restarts": 1}), said.append)
    learner.declare("toy", LAYOUT)
    try:
        assert learner.poll() == []
        assert learner.process_id is None  # nothing to learn from yet
        for transition in transitions(300):
            learner.add("toy", transition)
        until(lambda: collect(learner, versions))
        first = learner.process_id
        assert first is not None
        assert psutil.Process(first).nice() == CONFIG.learner_nice
        assert learner.sent("toy") == 300

        os.kill(first, signal.SIGKILL)
        until(lambda: learner.poll() is None or said)
        assert "SIGKILL: restart 1 of 1" in said[0]
        newest = versions[-1].version
        for transition in transitions(300, seed=1):
            learner.add("toy", transition)
        until(lambda: collect(learner, versions) and versions[-1].version > newest)
        assert versions[-1].transitions == 600  # those that the first one has seen, too

        second = learner.process_id
        assert second is not None
        os.kill(second, signal.SIGKILL)
        until(lambda: learner.poll() is None or len(said) == 2)
        assert "no further start" in said[1]
        learner.add("toy", transitions(1)[0])
        learner.poll()
        assert learner.lost
        assert (learner.process_id, learner.dropped) == (None, 1)
        assert not psutil.pid_exists(first)
        assert not psutil.pid_exists(second)
    finally:
        learner.close()


def test_a_stuck_learner_costs_transitions_but_never_time() -> None:
    learner = LearnerProcess(CONFIG.model_copy(update={"outbox_limit": 1000}), lambda line: None)
    wide = TransitionLayout(40, 12)
    learner.declare("wide", wide)
    row = wide.unpack(np.zeros(wide.width, np.float32))
    try:
        learner.add("wide", row)
        learner.poll()
        assert learner.process_id is not None
        os.kill(learner.process_id, signal.SIGSTOP)
        slowest = 0.0
        for _ in range(20):
            for _ in range(500):
                learner.add("wide", row)
            began = time.perf_counter()
            learner.poll()
            slowest = max(slowest, time.perf_counter() - began)
        assert learner.dropped > 0
        assert slowest < 0.1
    finally:
        learner.close()


PARENT = """
import sys, time, numpy as np
from ir_twin.learner_process import LearnerProcess
from ir_twin.twin_config import LearnerConfig
from ir_dynamics.transitions import TransitionLayout
learner = LearnerProcess(LearnerConfig(), print)
learner.declare("toy", TransitionLayout(2, 1))
learner.add("toy", TransitionLayout(2, 1).unpack(np.zeros(7, np.float32)))
learner.poll()
print(learner.process_id, flush=True)
sys.stdin.read()
"""


def test_the_learner_ends_when_the_node_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate(timeout=100)  # the learner holds its output open until it has found out
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(("module", "unwanted"), [("twin_node", "torch"), ("learner_worker", "torch._dynamo")])
def test_processes_do_not_import_what_they_do_not_need(module: str, unwanted: str) -> None:
    code = f"import sys, ir_twin.{module}; sys.exit('{unwanted}' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_a_rollback_is_counted_and_said() -> None:
    said: list[str] = []
    process = LearnerProcess(CONFIG, said.append)
    process.declare("toy", LAYOUT)
    for count in range(1, 9):
        process._received(RolledBack("toy", count, 0.5, 0.1))
    assert process.rollbacks("toy") == 8
    assert [line.rpartition(", ")[2] for line in said] == ["1 so far", "2 so far", "4 so far", "8 so far"]
