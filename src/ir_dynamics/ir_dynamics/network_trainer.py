# SPDX-License-Identifier: Apache-2.0
"""What all trainers of networks of a robot's dynamics have in common, and the one that a preset asks for."""

from __future__ import annotations

from typing import Any, Protocol

from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.predict_network import PredictNetwork
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.transitions import Rows, TransitionLayout


class NetworkTrainer(Protocol):
    """A network of (state, action) -> (next state, reward) under training, a gradient step at a time.

    `PredictTrainer` and `Ensemble` are such. Rows are transitions [n, width] float32 as `TransitionLayout` has them.
    """

    steps: int
    """Gradient steps made so far."""

    @property
    def rows_per_step(self) -> int:
        """Rows that `step` takes."""

    def normalise(self, rows: Rows) -> None:
        """Takes means and scales from rows [n, width]."""

    def step(self, rows: Rows) -> float:
        """One gradient step on rows [`rows_per_step`, width]; returns the loss before it."""

    def select(self, heldout: Rows) -> None:
        """Chooses what is served by its loss on held-out rows [n, width], where there is a choice."""

    def export(self) -> PredictNetwork | EnsembleNetwork:
        """The present network as plain arrays (copies)."""

    def adopt(self, network: PredictNetwork | EnsembleNetwork) -> None:
        """Goes on from an exported network of the same shape (the optimiser's moments stay).

        Raises:
            ValueError: its layers are others.
        """

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on exactly."""

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""


def make_network_trainer(preset: str, layout: TransitionLayout, seed: int) -> NetworkTrainer:
    """Makes the trainer of a preset's network; ``seed`` is of its weights (and of an ensemble's own draws)."""
    if preset == "ensemble":
        return Ensemble(EnsembleConfig(), layout, seed)
    return PredictTrainer(PRESETS[preset], layout, seed)
