# SPDX-License-Identifier: Apache-2.0
"""The best policy of a training run as a file that controllers read, with what made it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np

from ir_common.atomic_file import replace_text
from ir_common.config import ConfigError
from ir_common.provenance import commit_of
from ir_drl.policies import ActionMemory, NetworkPolicy, save_policy
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_sim.tasks import Task

POLICY, ABOUT = "policy.npz", "policy.json"


EPISODES = 5


@dataclass
class Export:
    """Keeps the policy of the epoch that does best in a folder, `POLICY` with `ABOUT`.

    What it does is its `score` over episodes of its own; a return would not do: who reaches the goal soon has less time
    to gather reward than who stands still.

    Args:
        environment: of a task (`ir/<Task>-v0`), for the evaluation.
        trainer: whose environment is alike.
        command: that trains it.
    """

    folder: Path
    environment: gymnasium.Env[Any, Any]
    trainer: AgentTrainer
    command: str
    best: float = -math.inf

    def __post_init__(self) -> None:
        about = self.folder / ABOUT
        if self.trainer.records and about.exists():  # a run that goes on
            try:
                self.best = float(json.loads(about.read_text(encoding="utf-8"))["score"])
            except (ValueError, KeyError, TypeError):
                raise ConfigError(f"{about}: is damaged; remove it, and the best policy so far with it") from None

    @property
    def task(self) -> Task:
        """The task that the policy is for."""
        return cast(Task, self.environment.unwrapped.task)  # type: ignore[attr-defined]

    def epoch(self) -> None:
        """Called after each epoch: keeps its policy if none did better."""
        # ReLU layers, then mid + half * tanh: what the agent's actor computes, and what the file's format says
        layers = self.trainer.agent.policy_layers()
        memory = getattr(self.environment.unwrapped, "memory", ActionMemory(self.task, 0)).length
        ends = self._evaluate(NetworkPolicy(self.task, layers, "relu", memory))
        limit = self.task.time_limit * getattr(self.environment.unwrapped, "goals", 1)
        mean = float(np.mean([score(limit, *end) for end in ends]))
        if mean <= self.best:
            return
        self.best = mean
        save_policy(self.folder / POLICY, self.task, layers, "relu", memory)
        replace_text(self.folder / ABOUT, json.dumps(self._about(ends), indent=1) + "\n")

    def _evaluate(self, policy: NetworkPolicy) -> list[tuple[float, int, str]]:
        """Return, steps and cause of the end of each episode; the same starts every time."""
        ends = []
        for episode in range(EPISODES):
            observation, _ = self.environment.reset(seed=episode)
            total, steps, ended = 0.0, 0, False
            while not ended:
                action = policy.answer(observation).astype(np.float32)
                observation, reward, terminated, truncated, information = self.environment.step(action)
                total, steps, ended = total + float(reward), steps + 1, terminated or truncated
            ends.append((total, steps, str(information["cause"])))
        return ends

    def _about(self, ends: list[tuple[float, int, str]]) -> dict[str, Any]:
        return {
            "task": self.task.name,
            "command": self.command,
            "commit": commit_of(__file__),
            "seed": self.trainer.config.seed,
            "epoch": len(self.trainer.records),
            "score": round(self.best, 2),
            "episodes": [{"return": round(one, 1), "steps": steps, "end": cause} for one, steps, cause in ends],
            "falls_in_training": sum(one.falls for one in self.trainer.records),
            "config": self.trainer.config.model_dump(mode="json", exclude={"epochs"}),
        }


def score(limit: int, total: float, steps: int, cause: str) -> float:
    """Return of an episode; of one that reached its last goal, what it would be at that rate for ``limit`` steps."""
    return total * limit / steps if cause == "goal" else total
