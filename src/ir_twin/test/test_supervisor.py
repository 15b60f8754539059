# SPDX-License-Identifier: Apache-2.0
"""Processes are restarted, ended in order, and never left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_twin.bringup import supervisor as module
from ir_twin.bringup.restart_counts import FILE, add_restart, read_counts
from ir_twin.bringup.spec import NodeSpec
from ir_twin.bringup.supervisor import Supervisor, command

WAIT = "import signal; signal.sigwait([signal.SIGINT, signal.SIGTERM])"
"""A well-behaved process."""


@pytest.fixture(autouse=True)
def quick_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESTART_DELAY", 0.01)
    monkeypatch.setattr(module, "STOP_SECONDS", 2.0)


def program(name: str, code: str, **kwargs: object) -> NodeSpec:
    return NodeSpec("", sys.executable, name, arguments=("-c", code), **kwargs)  # type: ignore[arg-type]


def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not seen in time"
        threading.Event().wait(0.01)


def run_in_thread(supervisor: Supervisor) -> tuple[threading.Thread, list[int]]:
    status: list[int] = []
    thread = threading.Thread(target=lambda: status.append(supervisor.run()))
    thread.start()
    return thread, status


def test_the_stack_ends_with_its_required_process(tmp_path: Path) -> None:
    said: list[str] = []
    nodes = [program("monitor", "pass", required=True), program("other", WAIT)]
    assert Supervisor(nodes, tmp_path, said.append).run() == 0
    assert said == []


def test_a_dead_process_comes_back_and_it_is_said(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    code = (
        "import os, signal\n"
        f"open({str(marks)!r}, 'a').write(os.environ['IR_RESTARTS'] + ' ')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    said: list[str] = []
    assert Supervisor([program("radio", code)], tmp_path, said.append).run() == 1
    assert marks.read_text().split() == [str(count) for count in range(1 + module.MAX_RESTARTS)]
    assert "/radio ended by signal SIGKILL; starting it again (1 of" in said[0]
    assert "after 10 restarts" in said[-2]
    assert read_counts(tmp_path / FILE) == {"/radio": 10}, "for the report and the table"


def test_restarts_are_counted_whatever_stands_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / FILE
    assert read_counts(file) == {}
    for text in ("", "[1]", '{"a": "b"}', "null"):
        file.write_text(text)
        assert read_counts(file) == {}
    for _ in range(3):
        add_restart(file, "/gz_sim")
    add_restart(file, "/bridge")
    assert read_counts(file) == {"/gz_sim": 3, "/bridge": 1}
    add_restart(tmp_path / "nowhere" / FILE, "/bridge")  # as on a full disk


def test_scheduling_is_as_described_where_it_is_permitted(tmp_path: Path) -> None:
    noted = tmp_path / "noted"
    code = f"import os; open({str(noted)!r}, 'w').write(f'{{os.sched_getscheduler(0)}} {{os.nice(0)}}')"
    chrt = subprocess.run(["chrt", "--rr", "1", "true"], stderr=subprocess.DEVNULL)
    urgent = os.SCHED_OTHER if chrt.returncode else os.SCHED_RR
    for given, policy in (({}, os.SCHED_OTHER), ({"realtime": 1}, urgent), ({"nice": 3}, os.SCHED_BATCH)):
        assert Supervisor([program("one", code, required=True, **given)], tmp_path, print).run() == 0
        assert noted.read_text() == f"{policy} {os.nice(0) + given.get('nice', 0)}"


def test_wrong_configuration_ends_the_stack_with_that_line(tmp_path: Path) -> None:
    said: list[str] = []
    code = f"import sys; print('noise'); print('error: a.yaml:3: bad', flush=True); sys.exit({EXIT_CONFIG})"
    assert Supervisor([program("other", WAIT), program("radio", code)], tmp_path, said.append).run() == EXIT_CONFIG
    assert said == ["error: a.yaml:3: bad"]


def test_a_stubborn_process_and_its_children_are_killed(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} .')\n"
        "while True: signal.pause()\n"
    )
    said: list[str] = []
    supervisor = Supervisor([program("stubborn", code)], tmp_path, said.append)
    thread, status = run_in_thread(supervisor)
    until(lambda: pids.exists() and pids.read_text().endswith("."))
    began = time.monotonic()
    supervisor.stop()
    thread.join(10)
    assert status == [0] and time.monotonic() - began < 5
    assert said == ["/stubborn did not end in time; killed"]
    until(lambda: not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split()[:2]))


def test_one_that_reports_takes_nothing_from_the_time_of_the_others(tmp_path: Path, monkeypatch) -> None:
    """The report took 1 s of what they had together, and a node that needed 1.2 s was killed."""
    monkeypatch.setattr(module, "STOP_SECONDS", 1.5)
    slow = "import signal, time; signal.signal(signal.SIGINT, lambda *_: None); {}; signal.pause(); time.sleep({})"
    ready = [tmp_path / name for name in ("a", "b")]
    codes = [slow.format(f"open({str(path)!r}, 'w')", wait) for path, wait in zip(ready, (1.0, 1.2), strict=True)]
    said: list[str] = []
    specs = [program("reports", codes[0], required=True), program("ends", codes[1])]
    supervisor = Supervisor(specs, tmp_path, said.append)
    thread, status = run_in_thread(supervisor)
    until(lambda: all(path.exists() for path in ready))
    supervisor.stop()
    thread.join(10)
    assert status == [0] and said == []


OUTLIVE = """
import sys, pathlib
from ir_twin.bringup.spec import NodeSpec
from ir_twin.bringup.supervisor import Supervisor
folder = pathlib.Path(sys.argv[1])
child = "import os, signal, sys; open(sys.argv[1], 'w').write(f'{os.getpid()}.'); signal.pause()"
Supervisor([NodeSpec("", sys.executable, "a", arguments=("-c", child, str(folder / "pid")))], folder, print).run()
"""


def test_no_process_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", OUTLIVE, str(tmp_path)])
    until(lambda: mark.exists() and mark.read_text().endswith("."))
    child = int(mark.read_text()[:-1])
    assert psutil.pid_exists(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (NodeSpec("ir_nowhere", "x", "x"), "package ir_nowhere is not installed"),
        (NodeSpec("ir_twin", "nothing", "x"), "is not there; build the workspace again"),
    ],
)
def test_what_is_not_installed_is_told(tmp_path: Path, spec: NodeSpec, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        command(spec, tmp_path)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the program no-such-program is not on the PATH"):
        Supervisor([NodeSpec("", "no-such-program", "gz_sim")], tmp_path, print)


@pytest.mark.skipif(os.geteuid() != 0, reason="only a privileged user may take niceness off")
def test_the_interfaces_of_gazebos_bridge_are_looked_for_before_the_start(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="ros_gz_interfaces is missing; install ros-jazzy-ros-gz"):
        command(NodeSpec("ir_sim", "gz_simulator", "simulator"), tmp_path)


def test_a_process_that_is_told_to_end_is_preferred(tmp_path: Path) -> None:
    """All its threads: beside busy processes, one of niceness 10 does not get to its end in time."""
    seen = tmp_path / "seen"
    code = (
        "import os, pathlib, signal, threading\n"
        "thread = threading.Thread(target=threading.Event().wait, daemon=True); thread.start()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])\n"
        f"seen = pathlib.Path({str(seen)!r})\n"
        "look = lambda: f'{os.getpriority(0, 0)} {os.getpriority(0, thread.native_id)}\\n'\n"
        "seen.write_text(look()); signal.sigwait([signal.SIGINT]); seen.write_text(seen.read_text() + look())\n"
    )
    process = module._Process(NodeSpec("ir_sim", "polite", "polite", nice=7), tmp_path)
    process.start([sys.executable, "-c", code], lambda: None)
    until(lambda: seen.exists() and seen.read_text())
    process.hurry()
    process.send(signal.SIGINT)
    process.wait(time.monotonic() + 10)
    assert process.poll() == 0 and seen.read_text() == "7 7\n-10 -10\n"
