# SPDX-License-Identifier: Apache-2.0
"""What is told of a task's network while it is learnt: where to begin, its versions, and those that were taken back.

Plain values and arrays, so that they can be pickled and sent to another process; nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.predict_network import PredictionError, PredictNetwork
from ir_dynamics.transitions import TransitionLayout


@dataclass(frozen=True)
class Begin:
    """Where the learning of a task begins: its layout, and the version from which it goes on."""

    task: str
    layout: TransitionLayout
    version: int = 0
    network: PredictNetwork | EnsembleNetwork | None = None
    transitions: int = 0
    """That the version had seen."""


@dataclass(frozen=True)
class ModelVersion:
    """One published state of a task's network, with how good it was when it was made."""

    task: str
    version: int
    """Counts from 1; goes on from that of a checkpoint."""
    network: PredictNetwork | EnsembleNetwork
    transitions: int
    """Transitions seen so far, the held-out ones included."""
    steps: int
    """Gradient steps made so far."""
    error: PredictionError
    """On held-out transitions."""
    busy: float
    """Share of one core that training took so far."""


def begin_at(task: str, layout: TransitionLayout, model: ModelVersion | None) -> Begin:
    """Where learning begins that goes on from a version; None: with nothing."""
    if model is None:
        return Begin(task, layout)
    return Begin(task, layout, model.version, model.network, model.transitions)


@dataclass(frozen=True)
class RolledBack:
    """A network that was worse on held-out transitions than the best before it, which was gone back to."""

    task: str
    count: int
    """Of this task since the learner's start."""
    error: float
    """Root mean square of held-out state and reward error, in standard deviations."""
    best: float
    """The same of the network gone back to."""
