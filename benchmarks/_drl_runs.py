# SPDX-License-Identifier: Apache-2.0
"""The training runs behind drl-fig4a and drl-fig4b: one algorithm and seed each, resumable, kept as JSON when done.

    python benchmarks/_drl_runs.py ALGORITHM SEED EPOCHS [--runs DIR]

goes on with a run until it has that many epochs; with fewer than it has, it trains nothing. Its checkpoint is in DIR;
what figures need is written to benchmarks/results/runs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from harness import RESULTS

from ir_drl.assisted import ALGORITHMS, AssistedConfig, make_trainer
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.epoch_record import EpochRecord

TASK = "Hopper-v5"
CODE = ("src/ir_drl/ir_drl/sac", "src/ir_drl/ir_drl/assisted", "benchmarks/_drl_runs.py", "src/ir_dynamics/ir_dynamics")
KEPT = RESULTS / "runs"
RUNS = RESULTS.parents[1] / ".ir" / "drl-runs"


@dataclass(frozen=True)
class Run:
    """One algorithm with one seed."""

    algorithm: str
    seed: int
    quick: bool = False

    @property
    def name(self) -> str:
        """Of its folder and file."""
        return f"{TASK.lower()}-{self.algorithm}-{self.seed}"

    def config(self, epochs: int) -> AssistedConfig:
        """The issue's protocol: 1,000 steps an epoch, everything else as the algorithm has it by default."""
        config = AssistedConfig(algorithm=self.algorithm, seed=self.seed, epochs=epochs)
        return AssistedConfig.model_validate(config.model_dump() | smoke(config)) if self.quick else config

    def train(self, epochs: int, runs: Path = RUNS, kept: Path = KEPT) -> dict[str, Any]:
        """Goes on until the run has ``epochs`` epochs, and returns what is kept of it; on one thread."""
        torch.set_num_threads(1)
        config, folder = self.config(epochs), runs / self.name
        trainer = make_trainer(lambda: gymnasium.make(TASK), config, TASK)
        checkpoint, parts = folder / "checkpoint.pt", folder / "parts.json"
        if checkpoint.exists():
            trainer.load(checkpoint)
        folder.mkdir(parents=True, exist_ok=True)
        done = len(trainer.records)
        if done < epochs:
            earlier = [part for part in json.loads(parts.read_text()) if part["after"] < done] if done else []
            parts.write_text(json.dumps([*earlier, {"after": done, "commit": code_commit()}]))
        for record in trainer.run():
            trainer.save(checkpoint)
            print(progress(self.name, record), flush=True)
        trainer.close()
        result = self.summary(trainer, json.loads(parts.read_text()))
        kept.mkdir(parents=True, exist_ok=True)
        (kept / f"{self.name}.json").write_text(compact(result))
        return result

    def summary(self, trainer: AgentTrainer, parts: list[dict[str, Any]]) -> dict[str, Any]:
        """What is kept: per epoch one number each, of evaluations one for each episode."""
        records = trainer.records
        metrics = sorted({key for record in records for key in record.metrics})
        return {
            "task": TASK,
            "algorithm": self.algorithm,
            "seed": self.seed,
            "parts": parts,
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, shared with other work; one thread",
            "versions": {module.__name__: module.__version__ for module in (torch, gymnasium, mujoco, np)},
            "config": trainer.config.model_dump(mode="json", exclude={"epochs"}),
            "epochs": {
                "falls": [record.falls for record in records],
                "evaluation_returns": [[round(one, 1) for one in record.evaluation_returns] for record in records],
                "training_return": [
                    round(float(np.mean(record.training_returns)), 1) if record.training_returns else None
                    for record in records
                ],
                "cpu_seconds": [round(record.cpu_seconds, 2) for record in records],
                "seconds": [round(record.seconds, 2) for record in records],
            },
            "metrics": {
                key: [float(f"{r.metrics[key]:.4g}") if key in r.metrics else None for r in records] for key in metrics
            },
        }


def smoke(config: AssistedConfig) -> dict[str, Any]:
    """What a smoke run has otherwise: little of everything."""
    small = {"first_fit_steps": 5, "fit_steps": 5, "starts": 50, "gan_steps": 2}
    return {
        "sac": {"hidden": (16, 16), "batch": 16},
        "epoch_steps": 300,
        "start_steps": 200,
        "evaluation_episodes": 1,
        "updates_per_step": 1,
        "twin": config.twin.model_dump() | small,
    }


def progress(name: str, record: EpochRecord) -> str:
    """One line about an epoch."""
    shown = " ".join(f"{key} {value:.3g}" for key, value in record.metrics.items())
    returns = float(np.mean(record.evaluation_returns)) if record.evaluation_returns else float("nan")
    return (
        f"{name} epoch {record.epoch} return {returns:.1f} falls {record.falls} "
        f"cpu {record.cpu_seconds:.1f} s wall {record.seconds:.1f} s {shown}"
    )


def compact(result: dict[str, Any]) -> str:
    """JSON with one line for each list of numbers."""
    lines = []
    for key, value in result.items():
        if key in ("epochs", "metrics"):
            inner = ",\n".join(f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def code_commit() -> str:
    """The last commit that changed the code of a run, with + where the tree differs from it."""
    git = ["git", "-C", str(RESULTS.parents[1])]
    last = subprocess.run([*git, "log", "-1", "--format=%h", "--", *CODE], capture_output=True, text=True)
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", *CODE], capture_output=True)
    return (last.stdout.strip() or "unknown") + ("+" if changed.returncode else "")


def main() -> None:
    """From the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algorithm", choices=ALGORITHMS)
    parser.add_argument("seed", type=int)
    parser.add_argument("epochs", type=int)
    parser.add_argument("--runs", type=Path, default=RUNS, help=f"folder of the checkpoints [{RUNS}]")
    given = parser.parse_args()
    Run(given.algorithm, given.seed).train(given.epochs, given.runs)


if __name__ == "__main__":
    main()
