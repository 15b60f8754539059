# SPDX-License-Identifier: Apache-2.0
"""Where the batch of an update comes from: samplers, which draw it from one or more replay buffers."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Rows


class Sampler(Protocol):
    """Where an update's batch comes from."""

    def fill(self, out: Rows) -> None:
        """Fills ``out`` [batch, width] with transitions."""


class UniformSampler:
    """All from one buffer, uniformly."""

    def __init__(self, buffer: ReplayBuffer, rng: np.random.Generator) -> None:
        self._buffer, self._rng = buffer, rng

    def fill(self, out: Rows) -> None:
        """See `Sampler`."""
        self._buffer.fill(out, self._rng)


class MixedSampler:
    """A fixed share from a training model's buffer, while that is not empty; the rest from the robot's.

    Args:
        real: transitions of the robot.
        model: transitions that the training model predicted.
        share: part of each batch, 0 to 1, that is drawn from those (rounded to whole transitions).
        rng: of the draws.

    Attributes:
        drawn, generated: transitions that were drawn so far, and how many of them the model predicted.
    """

    def __init__(self, real: ReplayBuffer, model: ReplayBuffer, share: float, rng: np.random.Generator) -> None:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"share {share}: must lie between 0 and 1")
        if real.layout != model.layout:
            raise ValueError(f"the model's transitions are laid out as {model.layout}, the robot's as {real.layout}")
        self._real, self._model, self.share, self._rng = real, model, share, rng
        self.drawn = self.generated = 0

    def fill(self, out: Rows) -> None:
        """See `Sampler`."""
        count = round(self.share * len(out)) if len(self._model) else 0
        self.drawn, self.generated = self.drawn + len(out), self.generated + count
        if count:
            self._model.fill(out[:count], self._rng)
        if count < len(out):
            self._real.fill(out[count:], self._rng)
