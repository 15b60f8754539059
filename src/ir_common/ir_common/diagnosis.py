# SPDX-License-Identifier: Apache-2.0
"""What a part of the stack finds of itself or another, as it is told on /diagnostics."""

from __future__ import annotations

from dataclasses import dataclass, field

OK, WARN, ERROR = 0, 1, 2
"""Levels of diagnostic_msgs/DiagnosticStatus."""
AGENT = "agent: "
"""What the names of the agents' diagnoses begin with; the name of the task follows."""


@dataclass(frozen=True)
class Status:
    """One line of the diagnosis: what, how it is (`OK`, `WARN`, `ERROR`), in words, where it runs, and figures."""

    name: str
    level: int
    message: str
    host: str = ""
    values: dict[str, str] = field(default_factory=dict)
