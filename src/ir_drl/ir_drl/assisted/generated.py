# SPDX-License-Identifier: Apache-2.0
"""Rollouts that start from states and actions that a GAN made up (IoR section III)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ir_drl.assisted.assisted_config import TwinTraining
from ir_drl.assisted.training_models import twin_rows
from ir_drl.sac.agent_replay import Layout, Rows
from ir_dynamics import transitions
from ir_dynamics.gan import GAN

Array = NDArray[np.float32]
MIN_HELDOUT = 100
"""Transitions that a judgement rests on at least."""


class GeneratedStarts:
    """The GAN, learning from the robot's transitions, with its gate.

    Attributes:
        passes: whether its pairs were like real ones when they were last compared.
    """

    def __init__(self, config: TwinTraining, layout: Layout, seed: int) -> None:
        self._layout, self._steps = layout, config.gan_steps
        self._gan = GAN(config.gan, transitions.TransitionLayout(layout.observations, layout.actions), seed)
        self._draws = torch.Generator().manual_seed(seed)
        self.passes = False

    def fit(self, rows: Rows) -> dict[str, float]:
        """Learns from rows [n, width] of the replay buffer; returns how close its pairs are to held-out ones."""
        _, rows = twin_rows(self._layout, rows)
        mask = transitions.heldout_mask(0, len(rows))
        self._gan.fit(rows[~mask], self._steps)
        if mask.sum() < MIN_HELDOUT:
            return {}
        closeness = self._gan.judge(rows[mask])
        self.passes = closeness.passes
        return {"gan_distance": closeness.distance / closeness.reference, "gan_accuracy": closeness.accuracy}

    def draw(self, count: int) -> tuple[Array, Array]:
        """Observations [count, n_obs] and actions [count, n_act], these limited to [-1, 1]."""
        states, actions = self._gan.sample(count, self._draws)
        return states.numpy(), actions.clamp(-1.0, 1.0).numpy()

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""
        return {"gan": self._gan.state(), "draws": self._draws.get_state(), "passes": self.passes}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        self._gan.load(state["gan"])
        self._draws.set_state(state["draws"])
        self.passes = bool(state["passes"])
