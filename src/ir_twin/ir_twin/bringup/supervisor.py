# SPDX-License-Identifier: Apache-2.0
"""Runs the processes of a description without a ROS launcher: restarts, ordered shutdown, no orphans."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix

from ir_common import process_start
from ir_common.config import EXIT_CONFIG, RESTARTS_VARIABLE, ConfigError
from ir_sim import gazebo_words
from ir_twin.bringup.restart_counts import FILE, add_restart
from ir_twin.bringup.spec import MAX_RESTARTS, RESTART_DELAY, NodeSpec

STOP_SECONDS = 4.0
"""From the last signal to the last process's end; what is left then is killed."""
_REPORTING = 2.0
"""s for which the others answer, after its signal, a process that writes the report."""
_LAST_LINES = 15
_MISSING = {"gz": gazebo_words.INSTALL, "ros_gz_bridge": gazebo_words.INSTALL}
_IMPORTS = {"gz_simulator": ("ros_gz_interfaces", f"{gazebo_words.MISSING_INTERFACES}; {gazebo_words.INSTALL}")}
"""By executable, a Python package that only it needs, and what is said where that is missing."""


class Supervisor:
    """The processes of one stack.

    Args:
        nodes: in the order in which they end.
        run_directory: an existing folder for parameter files and logs.
        say: takes one line for the user.
    """

    def __init__(self, nodes: Sequence[NodeSpec], run_directory: Path, say: Callable[[str], None]) -> None:
        self._say = say
        self._commands = {spec.full_name: command(spec, run_directory) for spec in nodes}
        self._processes = {spec.full_name: _Process(spec, run_directory) for spec in nodes}
        self._counts = run_directory / FILE
        self._woken = threading.Event()
        self._stop_asked = False

    def stop(self) -> None:
        """Asks `run` to end everything; may be called from a signal handler."""
        self._stop_asked = True
        self._woken.set()

    def run(self) -> int:
        """Starts everything, watches it, and ends it; returns the exit status of the stack.

        That is 0 when it was told to stop or a required process ended with 0, 78 when a node found its configuration
        wrong, and 1 when a node died more than `MAX_RESTARTS` times.
        """
        status = 0
        try:
            for name in reversed(self._processes):  # the source of data first
                self._start(name)
            while not self._stop_asked:
                ended = self._watch()
                if ended is not None:
                    status = ended
                    break
                self._woken.wait(0.1)
                self._woken.clear()
        finally:
            self._end_all()
        return status

    def _start(self, name: str) -> None:
        try:
            self._processes[name].start(self._commands[name], self._woken.set)
        except OSError as error:
            raise ConfigError(f"{name}: cannot start {self._commands[name][0]}: {error.strerror}") from None

    def _watch(self) -> int | None:
        """Restarts what died; the status to end with, where something ended the stack."""
        for name, process in self._processes.items():
            status = process.poll()
            if status is None:
                continue
            if process.restart_at is not None:
                if time.monotonic() >= process.restart_at:
                    self._start(name)
                continue
            if process.spec.required and status == 0:
                return 0
            how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
            if status == EXIT_CONFIG:
                self._say(process.last_line())
                return EXIT_CONFIG
            if process.restarts >= MAX_RESTARTS:
                self._say(f"{name} ended {how} after {MAX_RESTARTS} restarts; the last of {process.log}:")
                self._say("\n".join(f"  {line}" for line in process.lines))
                return 1
            self._say(f"{name} ended {how}; starting it again ({process.restarts + 1} of {MAX_RESTARTS})")
            process.restarts += 1
            add_restart(self._counts, name)
            process.restart_at = time.monotonic() + RESTART_DELAY
        return None

    def _end_all(self) -> None:
        """Interrupts the processes in order, each a moment after the one before, and kills what does not end."""
        pending = [p for p in self._processes.values() if p.poll() is None]
        for process in pending:
            process.hurry()
            process.send(signal.SIGINT)
            if process.spec.required:  # the monitor writes its report while the others still answer
                process.wait(time.monotonic() + _REPORTING)
        deadline = time.monotonic() + STOP_SECONDS
        for process in pending:
            process.wait(deadline)
        for process in self._processes.values():
            if process.poll() is None:
                self._say(f"{process.spec.full_name} did not end in time; killed")
            process.kill_group()


class _Process:
    """One process in a group of its own, with its output in a log file."""

    def __init__(self, spec: NodeSpec, run_directory: Path) -> None:
        self.spec = spec
        self.log = run_directory / f"{spec.label}.log"
        self.lines: deque[str] = deque(maxlen=_LAST_LINES)
        self.restarts = 0
        self.restart_at: float | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self, arguments: Sequence[str], ended: Callable[[], None]) -> None:
        self.restart_at = None
        terminal = self.spec.required and not self.spec.arguments  # the monitor draws on it
        self._process = subprocess.Popen(
            arguments,
            env={**os.environ, "PYTHONUNBUFFERED": "1", RESTARTS_VARIABLE: str(self.restarts), **self.spec.environment},
            stdin=subprocess.DEVNULL,
            stdout=None if terminal else subprocess.PIPE,
            stderr=subprocess.PIPE if terminal else subprocess.STDOUT,
            text=True,
            errors="replace",
            preexec_fn=partial(_in_child, self.spec.nice, self.spec.realtime, os.getpid()),
        )
        stream = self._process.stderr if terminal else self._process.stdout
        self._reader = threading.Thread(target=self._read, args=(stream, ended), daemon=True)
        self._reader.start()

    def _read(self, stream, ended: Callable[[], None]) -> None:  # type: ignore[no-untyped-def]
        for line in stream:  # also when the log's disk is full: a process whose output nobody takes stands still
            self.lines.append(line.rstrip())
            with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
                log.write(line)
        ended()

    def poll(self) -> int | None:
        return self._process.poll() if self._process else None

    def last_line(self) -> str:
        if self._reader:
            self._reader.join(1.0)
        return self.lines[-1] if self.lines else f"{self.spec.full_name}: wrong configuration, see {self.log}"

    def send(self, number: signal.Signals) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(number)

    def hurry(self) -> None:
        """Has the system prefer it, or at least takes its niceness off, as far as that is permitted."""
        if self._process and self._process.poll() is None:
            process_start.prefer(self._process.pid)

    def wait(self, deadline: float) -> None:
        if self._process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))

    def kill_group(self) -> None:
        """Kills the process and every child that it left."""
        if self._process:
            if not self.spec.ours:  # told again, it kills the program that it guards with all children
                self.send(signal.SIGTERM)
                self.wait(time.monotonic() + 1.0)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def written_parameters(spec: NodeSpec, run_directory: Path) -> Path:
    """The node's parameter file, written into a folder.

    Raises:
        ConfigError: it cannot be written.
    """
    file = run_directory / f"{spec.label}.yaml"
    try:
        file.write_text(yaml.safe_dump({spec.full_name: {"ros__parameters": spec.parameters}}))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}; set ROS_LOG_DIR to a folder with room") from None
    return file


def command(spec: NodeSpec, run_directory: Path) -> list[str]:
    """The command line of a process; writes the node's parameter file.

    A program that is not ours is started by `ir_common.process_start`, which does for it what our nodes do themselves.

    Raises:
        ConfigError: the package or the program is not installed, or the file cannot be written.
    """
    guarded = [] if spec.ours else [sys.executable, "-m", "ir_common.process_start"]
    if not spec.package:
        return [*guarded, installed(spec), *spec.arguments]
    file = written_parameters(spec, run_directory)
    rules = {"__node": spec.name, "__ns": spec.namespace, **spec.remaps}
    names = [word for old, new in rules.items() for word in ("-r", f"{old}:={new}")]
    level = ["--log-level", spec.log_level] if spec.log_level else []
    return [*guarded, installed(spec), *spec.arguments, "--ros-args", *names, "--params-file", str(file), *level]


def installed(spec: NodeSpec) -> str:
    """Path of the program of a process.

    Raises:
        ConfigError: the package, the program or what it imports is not installed.
    """
    needed, said = _IMPORTS.get(spec.executable, ("", ""))
    if needed and importlib.util.find_spec(needed) is None:
        raise ConfigError(said)
    if not spec.package:
        found = shutil.which(spec.executable)
        if found is None:
            raise ConfigError(f"the program {spec.executable} is not on the PATH; {_MISSING.get(spec.executable, '')}")
        return found
    try:
        program = Path(get_package_prefix(spec.package)) / "lib" / spec.package / spec.executable
    except PackageNotFoundError:
        mend = _MISSING.get(spec.package, "`./ir doctor` says what is missing")
        raise ConfigError(f"package {spec.package} is not installed; {mend}") from None
    if not program.exists():
        raise ConfigError(f"{program} is not there; build the workspace again")
    return str(program)


def _in_child(nice: int, realtime: int, launcher: int) -> None:
    """Before exec.

    A process group of its own: Ctrl-C reaches the supervisor alone, which ends them in order. Not a session: the kernel
    would share time between sessions, whatever the niceness within. It hears SIGINT even where a shell said to ignore
    it.
    """
    os.setpgid(0, 0)
    process_start.enter(nice, realtime, launcher)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
