# SPDX-License-Identifier: Apache-2.0
"""The best policy of a training run as a file that controllers read, with what made it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ir_drl.policies import save_policy
from ir_drl.sac.training import Epoch, Trainer
from ir_sim.tasks import Task

POLICY, ABOUT = "policy.npz", "policy.json"


@dataclass(frozen=True)
class Export:
    """Keeps the policy of the epoch with the best evaluation in a folder, `POLICY` with `ABOUT`.

    Args:
        task: that the policy is for, on whose environment it is trained.
        trainer: its environment's actions are the task's.
        command: that trains it.
    """

    folder: Path
    task: Task
    trainer: Trainer
    command: str

    def epoch(self) -> None:
        """Called after each epoch: keeps its policy if none was evaluated better."""
        means = [float(np.mean(record.evaluation_returns or np.nan)) for record in self.trainer.records]
        if not np.isfinite(means[-1]) or means[-1] < np.nanmax(means):
            return
        # ReLU layers, then mid + half * tanh: what the agent's actor computes, and what the file's format says
        save_policy(self.folder / POLICY, self.task, self.trainer.agent.policy_layers(), "relu")
        about = self._about(self.trainer.records[-1])
        (self.folder / ABOUT).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")

    def _about(self, record: Epoch) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "command": self.command,
            "commit": commit(),
            "seed": self.trainer.config.seed,
            "epoch": record.epoch,
            "evaluation_returns": [round(one, 1) for one in record.evaluation_returns],
            "falls_in_training": sum(one.falls for one in self.trainer.records),
            "config": self.trainer.config.model_dump(mode="json", exclude={"epochs"}),
        }


def commit() -> str | None:
    """The commit of the source tree that this runs from, with + where the tree differs from it; none outside of one."""
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        last = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return last.stdout.strip() + ("+" if changed.returncode else "")
