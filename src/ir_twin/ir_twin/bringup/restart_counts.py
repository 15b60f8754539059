# SPDX-License-Identifier: Apache-2.0
"""How often the launcher started each process again, kept in a file of the run for whoever reports on it.

Nodes of the stack say it themselves when they start; other programs (Gazebo, its bridge) cannot, and a launcher is no
node.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from ir_common.atomic_file import replace_text

FILE = "restarts.json"
"""Its name in the folder of the run."""


def read_counts(path: Path) -> dict[str, int]:
    """Restarts by the full name of the process; empty where there is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): int(count) for name, count in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def add_restart(path: Path, name: str) -> None:
    """Counts one more start of a process; a full disk keeps nobody from starting it."""
    counts = read_counts(path)
    counts[name] = counts.get(name, 0) + 1
    with contextlib.suppress(OSError):
        replace_text(path, json.dumps(counts, indent=1) + "\n")
