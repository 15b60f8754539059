# SPDX-License-Identifier: Apache-2.0
"""One process of the stack, as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RESTART_DELAY = 0.5
"""Seconds between the death of a node and its new start."""
MAX_RESTARTS = 10
"""A node that dies more often stays dead; the stack ends with an error."""
PARTS = ("sim", "radio", "twin", "control", "dashboard", "monitor")
"""Parts of the stack; a launch file starts all of them or some."""


@dataclass(frozen=True)
class NodeSpec:
    """One process of the stack.

    Attributes:
        package, executable: what `ros2 run` would start; an empty package means a program on the PATH.
        name, namespace: of the node.
        parameters: parameter values, plain data.
        arguments: command line of a program that is not one of ours.
        environment: added to the process's environment.
        nice: niceness; commands on their way to a robot come before what can wait. Over 0, the process is also a
            batch to the scheduler: it gets its share, but does not interrupt the others when it wakes up.
        realtime: priority of real-time scheduling (round robin) where the system permits it, 0: usual scheduling.
        required: the stack ends, in good order, when this process ends with status 0.
        part: what it belongs to, one of `PARTS`.
        log_level: of the node; empty: the middleware's own.
        remaps: names in the ROS graph by those that a program which is not ours has for them.
    """

    package: str
    executable: str
    name: str
    namespace: str = "/"
    parameters: dict[str, Any] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    nice: int = 0
    realtime: int = 0
    required: bool = False
    part: str = "monitor"
    log_level: str = ""
    remaps: dict[str, str] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        """Fully qualified node name."""
        return f"{self.namespace.rstrip('/')}/{self.name}"

    @property
    def label(self) -> str:
        """Name of the process and of its files: the full name with _ between its parts."""
        return self.full_name.strip("/").replace("/", "_")

    @property
    def ours(self) -> bool:
        """Whether it is a node of the stack, which takes its scheduling itself."""
        return self.package.startswith("ir_")
