# SPDX-License-Identifier: Apache-2.0
"""Where a result comes from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit_of(path: str | Path) -> str:
    """The commit of the working tree around ``path``, with + where the tree differs from it; "unknown" without one."""
    folder = Path(path).resolve()
    command = ["git", "-C", str(folder if folder.is_dir() else folder.parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run([*command, "--exclude=*"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
