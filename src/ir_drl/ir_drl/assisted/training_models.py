# SPDX-License-Identifier: Apache-2.0
"""Training models: fitted on a robot's transitions, asked what an action would bring; an agent learns from both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ir_drl.assisted.assisted_config import TrainingModelConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.network_trainer import make_network_trainer
from ir_dynamics.transitions import Rows, Transition, TransitionLayout, heldout_mask

Array = NDArray[np.float32]
Termination = Callable[[NDArray[Any]], NDArray[np.bool_]]
"""Whether a task ends in next states [..., num_state]: bool [...]."""


class ModelPrediction(NamedTuple):
    """Predicted outcome of a batch of actions."""

    next_state: Array
    """[n, num_state], units by the task."""
    reward: Array
    """[n], dimensionless."""
    terminated: NDArray[np.bool_]
    """[n], whether the task would end."""


class TrainingModel(Protocol):
    """A model of the robot that is fitted anew as its transitions grow."""

    error: float
    """On held-out transitions: the worse of the state's, relative to that of 'nothing changes', and the reward's,
    relative to its spread; infinite before the first fit."""

    def fit(self, rows: Rows, max_steps: int) -> None:
        """Learns from all of the robot's transitions so far, rows [n, width] as the replay buffer has them."""

    def predict(self, state: Array, action: Array) -> ModelPrediction:
        """Predicts the outcome of actions [n, num_action] at states [n, num_state]."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for a checkpoint."""

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""


def make_model(
    config: TrainingModelConfig, layout: TransitionLayout, seed: int, termination: Termination | None
) -> TrainingModel:
    """Makes the configured training model; ``seed`` is of its weights, batches and draws.

    Args:
        termination: the task's own rule. None: the ensemble learns it, for the predict network no episode ends.
    """
    kind = EnsembleModel if config.model == "ensemble" else NetworkModel
    return kind(config, layout, seed, termination)


def relative_error(predicted: Array, reward: Array, held: Transition) -> float:
    """Error of predictions [n, num_state] and [n] for held-out transitions, as `TrainingModel.error` has it.

    The states' error is the root mean square over transitions and dimensions, each in units of its standard deviation.
    """
    real = np.asarray(held.next_state, np.float64)
    scale = real.std(axis=0) + 1e-6
    states, persistence = (
        float(np.sqrt(np.mean(np.square((guess - real) / scale)))) for guess in (predicted, held.state)
    )
    spread = float(np.std(held.reward)) + 1e-6
    rewards = float(np.sqrt(np.mean(np.square(reward - held.reward))))
    return max(states / max(persistence, 1e-6), rewards / spread)


class NetworkModel:
    """IoR's predict network. See `TrainingModel`."""

    def __init__(
        self, config: TrainingModelConfig, layout: TransitionLayout, seed: int, termination: Termination | None
    ) -> None:
        self._layout, self._termination = layout, termination
        self._trainer = make_network_trainer(config.preset, layout, seed)
        self._rng = np.random.default_rng(seed)
        self._network = self._trainer.export()
        self.error = float("inf")

    def fit(self, rows: Rows, max_steps: int) -> None:
        """See `TrainingModel`."""
        mask = heldout_mask(0, len(rows))
        trained, held = rows[~mask], self._layout.unpack(rows[mask])
        self._trainer.normalise(trained)
        for _ in range(max_steps):
            self._trainer.step(trained[self._rng.integers(len(trained), size=self._trainer.rows_per_step)])
        self._network = self._trainer.export()
        if mask.any():
            self.error = relative_error(*self._network.predict(held.state, held.action), held)

    def predict(self, state: Array, action: Array) -> ModelPrediction:
        """See `TrainingModel`."""
        following, reward = self._network.predict(state, action)
        ended = np.zeros(len(reward), np.bool_) if self._termination is None else self._termination(following)
        return ModelPrediction(following, reward, ended)

    def state(self) -> dict[str, Any]:
        """See `TrainingModel`."""
        return {"trainer": self._trainer.state(), "random": self._rng.bit_generator.state, "error": self.error}

    def load(self, state: dict[str, Any]) -> None:
        """See `TrainingModel`."""
        self._trainer.load(state["trainer"])
        self._rng.bit_generator.state = state["random"]
        self._network, self.error = self._trainer.export(), float(state["error"])


class EnsembleModel:
    """The probabilistic ensemble; every answer is drawn from one of its members. See `TrainingModel`."""

    def __init__(
        self, config: TrainingModelConfig, layout: TransitionLayout, seed: int, termination: Termination | None
    ) -> None:
        self._layout, self._termination = layout, termination
        self._ensemble = Ensemble(config.ensemble, layout, seed % 2**63)
        self._generator = torch.Generator().manual_seed(seed % 2**63)
        self.error = float("inf")

    def fit(self, rows: Rows, max_steps: int) -> None:
        """See `TrainingModel`."""
        mask = heldout_mask(0, len(rows))
        if not mask.any():
            return
        self._ensemble.fit(rows[~mask], rows[mask], max_steps)
        held = self._layout.unpack(rows[mask][-2000:])
        mean = self._ensemble.predict(held.state, held.action).mean[list(self._ensemble.elites)].mean(dim=0).numpy()
        self.error = relative_error(mean[:, :-1], mean[:, -1], held)

    def predict(self, state: Array, action: Array) -> ModelPrediction:
        """See `TrainingModel`."""
        sample = self._ensemble.sample(state, action, self._generator, disagreement=False)
        following = sample.next_state.numpy()
        ended = sample.terminated.numpy() if self._termination is None else self._termination(following)
        return ModelPrediction(following, sample.reward.numpy(), ended)

    def state(self) -> dict[str, Any]:
        """See `TrainingModel`."""
        return {"ensemble": self._ensemble.state(), "draws": self._generator.get_state(), "error": self.error}

    def load(self, state: dict[str, Any]) -> None:
        """See `TrainingModel`."""
        self._ensemble.load(state["ensemble"])
        self._generator.set_state(state["draws"])
        self.error = float(state["error"])
