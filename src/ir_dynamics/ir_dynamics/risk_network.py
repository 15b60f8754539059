# SPDX-License-Identifier: Apache-2.0
"""How near a terminal state is, as it is asked, on NumPy arrays alone; training is in `ir_dynamics.risk_trainer`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_dynamics.transitions import UNKNOWN, Transition

Vector = NDArray[np.float32]


def hidden_layers(x: Vector, weights: Iterable[Vector], biases: Iterable[Vector]) -> Vector:
    """Hidden layers (SiLU) of several perceptrons of one shape: x [members or 1, batch, inputs] to the last of them.

    Args:
        x: float32.
        weights: of each layer [members, inputs, outputs].
        biases: of each layer [members, 1, outputs].
    """
    for weight, bias in zip(weights, biases, strict=True):
        x = np.matmul(x, weight)
        x += bias
        gate = np.tanh(x * np.float32(0.5))  # silu(x) = x (1 + tanh(x / 2)) / 2
        gate += np.float32(1)
        gate *= np.float32(0.5)
        x *= gate
    return x


def sigmoid(x: Vector) -> Vector:
    """The logistic function; cannot overflow."""
    return np.float32(0.5) * (1 + np.tanh(x * np.float32(0.5)))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class RiskNetwork:
    """Several small perceptrons that predict how near a terminal state is after (state, action).

    What they are trained on, and what their numbers mean, says `ir_dynamics.termination_labels`.

    Inputs are as they come: their standardisation is in the first layer.
    """

    weights: tuple[Vector, ...]
    """Of each layer [members, inputs, outputs] float32."""
    biases: tuple[Vector, ...]
    """Of each layer [members, 1, outputs] float32."""

    def ahead(self, states: ArrayLike, actions: ArrayLike) -> Vector:
        """Nearness [members, batch]: 1 where a terminal state comes at once, 0.05 a horizon ahead, 0 for none.

        Args:
            states: [batch, num_state], units by the task.
            actions: [batch, num_action].
        """
        with np.errstate(all="ignore"):  # what is not finite is the caller's to judge
            x = np.concatenate([np.asarray(states, np.float32), np.asarray(actions, np.float32)], axis=1)[None]
            x = hidden_layers(x, self.weights[:-1], self.biases[:-1])
            return sigmoid((np.matmul(x, self.weights[-1]) + self.biases[-1])[..., 0])

    def error(self, transitions: Transition) -> float:
        """Root mean square error over those of a batch whose label is known, in the labels' deviations.

        1: as good as their mean; NaN: nothing came yet, or nothing is known.
        """
        known = np.asarray(transitions.ahead) != UNKNOWN
        if not known.any():
            return math.nan
        came = np.asarray(transitions.ahead, np.float64)[known]
        wrong = self.ahead(transitions.state[known], transitions.action[known]).mean(axis=0) - came
        return float(np.sqrt(np.mean(wrong**2)) / came.std()) if came.std() > 0 else math.nan

    @property
    def finite(self) -> bool:
        """No weight is NaN or infinite."""
        return all(np.isfinite(array).all() for array in (*self.weights, *self.biases))

    def check(self, inputs: int) -> None:
        """Raises ValueError where the layers do not fit together, or to so many inputs, or a number is not finite."""
        members, width = len(self.weights[0]), inputs
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if weight.shape[:2] != (members, width) or bias.shape != (members, 1, *weight.shape[2:]):
                raise ValueError(f"a layer of the risk, {weight.shape}, does not follow {width} values of {members}")
            width = weight.shape[2]
        if width != 1 or not self.finite:
            raise ValueError("a weight of the risk is not finite, or it is not one number")
