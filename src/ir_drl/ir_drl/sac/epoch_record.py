# SPDX-License-Identifier: Apache-2.0
"""What is kept of each epoch of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class EpochRecord:
    """Falls, returns, metrics and cost of one epoch of training.

    Attributes:
        epoch: 1 for the first.
        steps: environment steps since the start of the run.
        falls: episodes that terminated in this epoch (ended by the task, not by a time limit).
        training_returns: of the episodes that ended in this epoch, with exploration.
        evaluation_returns: of the episodes of the evaluation, without exploration, apart from training.
        metrics: of the agent (`SAC.metrics`), and what the hooks added.
        seconds: wall time of the epoch's training, s.
        evaluation_seconds: wall time of its evaluation, s.
        cpu_seconds: processor time of the epoch's training, over all threads of the process, s.
    """

    epoch: int
    steps: int
    falls: int
    training_returns: list[float]
    evaluation_returns: list[float]
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    evaluation_seconds: float = 0.0
    cpu_seconds: float = 0.0


@dataclass
class EpochProgress:
    """The epoch under way: falls and returns of the episodes that have ended in it."""

    falls: int = 0
    returns: list[float] = field(default_factory=list)
