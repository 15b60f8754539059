# SPDX-License-Identifier: Apache-2.0
"""The seams of the training loop at which a method adds to plain SAC."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ir_dynamics.transitions import Transition

FloatArray = NDArray[Any]


class TrainingHooks:
    """What a method adds to plain SAC; every part does nothing until overridden. Actions are in [-1, 1]."""

    def propose(self, observation: FloatArray, action: FloatArray) -> FloatArray:
        """What is done instead of ``action`` [n_act] at ``observation`` [n_obs]: the seam of the risk veto."""
        return action

    def transition(self, step: Transition) -> None:
        """Told of every real transition, after it was stored."""

    def before_updates(self, step: int) -> None:
        """Called before the updates of each environment step: the seam of model training and of rollouts."""

    def metrics(self) -> dict[str, float]:
        """Numbers for the epoch's record."""
        return {}

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for the checkpoint."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
