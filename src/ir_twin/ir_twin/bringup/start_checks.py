# SPDX-License-Identifier: Apache-2.0
"""What is looked at on this machine before anything starts: domain, log folder, report, and other stacks."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from ir_common.config import ConfigError
from ir_twin.bringup.ros_graph import GraphView

HIGHEST_DOMAIN = 232
"""Of ROS_DOMAIN_ID; above it there are no ports left for DDS."""
DISCOVERY = 2.0
"""Seconds for which a stack on another machine is looked for."""
_REPORT_ROOM = 1 << 20
"""Bytes that must be free where the report goes."""


def domain(environ: Mapping[str, str]) -> int:
    """The ROS domain.

    Raises:
        ConfigError: ROS_DOMAIN_ID is no domain.
    """
    text = environ.get("ROS_DOMAIN_ID", "").strip() or "0"
    if not text.isdecimal() or int(text) > HIGHEST_DOMAIN:
        raise ConfigError(f"ROS_DOMAIN_ID={text}: must be a whole number from 0 to {HIGHEST_DOMAIN}")
    return int(text)


def run_directory() -> Path:
    """Makes a new folder for one run's logs and parameter files, where ROS keeps its logs.

    Raises:
        ConfigError: it cannot be made, or nothing can be written in it.
    """
    home = Path(os.environ.get("ROS_LOG_DIR") or Path(os.environ.get("ROS_HOME", "~/.ros")).expanduser() / "log")
    name = f"ir-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    try:
        home.mkdir(parents=True, exist_ok=True)
        names = (name if count == 1 else f"{name}-{count}" for count in itertools.count(1))
        directory = next(home / free for free in names if not (home / free).exists())  # a launch file per part
        directory.mkdir()
        _write_and_remove(directory / "probe", 1)
    except OSError as error:
        text = f"logs cannot be written to {home} ({error.strerror}); set ROS_LOG_DIR to a folder where they can"
        raise ConfigError(text) from None
    return directory


def report(path: Path) -> None:
    """Looks whether the report can be written at the end of the run, and replaces nothing but a report.

    Raises:
        ConfigError: it cannot: a folder, a device, a read-only or full disk, …
    """
    said = f"report:={path}"
    if path.is_dir():
        raise ConfigError(f"{said}: is a folder; give the name of a file in it")
    if not path.parent.is_dir():
        raise ConfigError(f"{said}: the folder does not exist; make it first")
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{said}: is no ordinary file; give the name of one, or of a new file")
        if path.exists() and not os.access(path, os.W_OK):
            raise ConfigError(f"{said}: cannot be written to; give another name")
        _write_and_remove(path.with_name(f".{path.name}.{os.getpid()}.probe"), _REPORT_ROOM)
    except OSError as error:
        raise ConfigError(f"{said}: cannot be written there ({error.strerror}); give another place") from None


def _write_and_remove(path: Path, size: int) -> None:
    try:
        path.write_bytes(bytes(size))
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def alone(
    parts: Iterable[str], names: Iterable[str], environ: Mapping[str, str], namespace: str = ""
) -> Iterator[None]:
    """Holds the claim of this process on parts of the stack in its ROS domain, or in a namespace of that.

    Another stack on this machine is seen by its claim, a file that is locked while its launcher lives; one on another
    machine by its nodes, where the middleware looks further than this machine.

    Args:
        parts: of the stack, `spec.PARTS`.
        names: full names of the nodes that will be started.
        environ: for the domain and the range of discovery.
        namespace: of the stack; one with another namespace is no other of this one.

    Raises:
        ConfigError: there is another stack with one of the parts, or nodes.
    """
    number = domain(environ)
    mend = "end it, or give this one another namespace:= or ROS_DOMAIN_ID"
    where = f"ROS domain {number}{f' below {namespace}' if namespace else ''}"
    with contextlib.ExitStack() as held:
        for part in sorted(set(parts) - {"monitor"}):
            file = held.enter_context(open(_claim_file(number, part, namespace), "rb"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ConfigError(f"another stack runs in {where} on this machine; {mend}") from None
        if environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET") not in ("LOCALHOST", "OFF"):
            there = sorted(set(names) & _nodes_in_graph(set(names)))
            if there:
                raise ConfigError(f"node {there[0]} runs in ROS domain {number} already, on another machine; {mend}")
        yield


def _claim_file(number: int, part: str, namespace: str) -> Path:
    """The file that is locked; one that another user made serves as well."""
    path = Path(tempfile.gettempdir()) / f"ir-stack-domain-{number}-{part}{namespace.replace('/', '.')}.lock"
    with contextlib.suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o644))
    return path


def _nodes_in_graph(wanted: set[str]) -> set[str]:
    """Full names of the nodes that are discovered; returns as soon as a wanted one is among them."""
    with GraphView() as view:
        deadline = time.monotonic() + DISCOVERY
        found: set[str] = set()
        while time.monotonic() < deadline and not found & wanted:
            time.sleep(0.1)
            found = view.nodes()
        return found
