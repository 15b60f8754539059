# SPDX-License-Identifier: Apache-2.0
"""Networks that practised before a run: where they are, and which checkpoint a task begins with."""

from __future__ import annotations

from pathlib import Path

from ir_dynamics import model_checkpoint
from ir_twin.twin_config import LearnerConfig

STACK = "stack"
"""Word for the folder that the stack ships."""
SHIPPED = Path(__file__).parent / "checkpoints"


def folder_of(config: LearnerConfig) -> Path | None:
    """Where the practised networks are; None: a twin begins with nothing."""
    return SHIPPED if config.practised == STACK else Path(config.practised) if config.practised else None


def begins_with(config: LearnerConfig, task: str) -> Path | None:
    """The checkpoint that a task begins with: its own of an earlier run, else the practised one; None: there is none.

    Its transitions are beside it (`model_checkpoint.rows_of`), which may be all that is there.
    """
    for folder in (Path(config.checkpoints) if config.checkpoints else None, folder_of(config)):
        path = model_checkpoint.file_of(folder, task) if folder else None
        if path and (path.exists() or model_checkpoint.rows_of(path).exists()):
            return path
    return None
