# SPDX-License-Identifier: Apache-2.0
"""What an agent that learns live tells of itself on /diagnostics, for the page and the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ir_common.diagnosis import AGENT, OK, WARN, Status


def diagnosis(task: str, robots: Sequence[str], figures: Mapping[str, float | str]) -> Status:
    """The figures of `LiveAgent.status` as a diagnosis; a warning where learning steps are left out."""
    late = float(figures["left_out"]) > 0
    message = "learns, and leaves steps out: its share of a core is too small" if late else "learns"
    values = {name: value if isinstance(value, str) else f"{value:.6g}" for name, value in figures.items()}
    return Status(f"{AGENT}{task}", WARN if late else OK, message, ",".join(robots), values)
