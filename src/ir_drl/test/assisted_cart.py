# SPDX-License-Identifier: Apache-2.0
"""A mass on a line whose dynamics are known, a model of it, and trainings on it that take a second."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch

from ir_drl.assisted import AssistedConfig, make_trainer
from ir_drl.assisted.training_models import ModelPrediction
from ir_dynamics.transitions import TransitionLayout

torch.set_num_threads(1)  # the networks are too small for more
LAYOUT = TransitionLayout(num_state=2, num_action=1)
EDGE = 1.5


class Cart(gymnasium.Env[np.ndarray, np.ndarray]):
    """A mass on a line, pushed by the action; beyond 1.5 it has fallen. Linear dynamics, see `advance`."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.uniform(-0.5, 0.5, 2), 0
        return self.state, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        following, reward = advance(self.state[None], np.asarray(action, float)[None])
        self.state, self.steps = following[0], self.steps + 1
        return self.state, float(reward[0]), bool(fallen(self.state)), self.steps >= 30, {}


def advance(state: np.ndarray, action: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x' = x + 0.3 v, v' = 0.9 v + 0.5 a, r = -x' of a batch."""
    following = np.stack([state[:, 0] + 0.3 * state[:, 1], 0.9 * state[:, 1] + 0.5 * action[:, 0]], axis=1)
    return following, -following[:, 0]


def fallen(state: np.ndarray) -> np.ndarray:
    return np.abs(np.asarray(state)[..., 0]) > EDGE


class KnownModel:
    """The cart itself as a training model."""

    error = 0.5

    def predict(self, state: np.ndarray, action: np.ndarray) -> ModelPrediction:
        following, reward = advance(state, action)
        return ModelPrediction(following, reward, fallen(following))

    def fit(self, rows: np.ndarray, max_steps: int) -> None:
        self.fitted = len(rows)


def transitions(count: int, seed: int = 1) -> np.ndarray:
    """Rows of the cart from random states and actions."""
    rng = np.random.default_rng(seed)
    rows = np.empty((count, LAYOUT.width), np.float32)
    rows[:, LAYOUT.state] = rng.uniform(-1.6, 1.6, (count, 2))
    rows[:, LAYOUT.action] = rng.uniform(-1, 1, (count, 1))
    following, rows[:, LAYOUT.reward] = advance(rows[:, LAYOUT.state], rows[:, LAYOUT.action])
    rows[:, LAYOUT.next_state], rows[:, LAYOUT.terminated] = following, fallen(following)
    return rows


def settings(algorithm: str, **changes: Any) -> AssistedConfig:
    given: dict[str, Any] = {
        "algorithm": algorithm,
        "sac": {"hidden": (16, 16), "batch": 20},
        "seed": 3,
        "epochs": 3,
        "epoch_steps": 80,
        "start_steps": 90,
        "updates_per_step": 1,
        "capacity": 1000,
        "evaluation_episodes": 1,
        "twin": {
            "preset": "live",
            "period": 40,
            "first_fit_steps": 30,
            "fit_steps": 10,
            "starts": 64,
            "capacity": 200,
            "max_error": 1e6,
            "gan": {"hidden": 8, "batch": 16, "critic_steps": 1},
            "gan_steps": 3,
            "ensemble": {"members": 2, "elites": 1, "hidden": (16,), "batch": 32, "check_steps": 10},
        },
    }
    given["twin"] |= changes.pop("twin", {})
    return AssistedConfig.model_validate(given | changes)


def make(algorithm: str, **changes: Any) -> Any:
    return make_trainer(Cart, settings(algorithm, **changes), "cart")


def policy(observation: np.ndarray) -> np.ndarray:
    return np.tanh(observation[:, :1] - observation[:, 1:])
