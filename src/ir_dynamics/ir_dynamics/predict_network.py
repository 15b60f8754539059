# SPDX-License-Identifier: Apache-2.0
"""The predict network as it is served: (state, action) -> (next state, reward), on NumPy arrays alone.

For one row NumPy is faster than torch (docs/notes/twin.md), and the process that gives verdicts never imports torch.
Training is in `ir_dynamics.predict_trainer`; what crosses between the two is a `PredictNetwork`: plain arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_dynamics.network_file import Vector, reading, write_network
from ir_dynamics.transitions import Transition

MAX_DEVIATION = 10.0
"""Standardised inputs are clipped to this many standard deviations: far outside its data the network stays bounded."""


class Prediction(NamedTuple):
    """Predicted next state and reward of a batch of (state, action)."""

    next_state: Vector
    """[batch, num_state] float32, units by the task."""
    reward: Vector
    """[batch] float32, dimensionless."""


class PredictionError(NamedTuple):
    """How far predictions are from what came, on held-out transitions."""

    reward: float
    """Root mean square, dimensionless."""
    state: float
    """Root mean square over transitions and dimensions, each in units of its standard deviation."""
    state_dimensions: NDArray[np.float64]
    """[num_state], the same for each dimension."""
    ahead: float = math.nan
    """Root mean square of the risk to go, in standard deviations of what came; NaN: not learnt, or nothing came yet."""


def spread(values: NDArray[np.floating], flat: float = 1e-4) -> NDArray[np.float64]:
    """Standard deviation of each column of values [n, columns]; 1 for a column that is constant.

    Constant is what deviates by less than ``flat`` times its size (or 1, if that is more): rounding and sensor grain.
    """
    deviation = values.std(axis=0, dtype=np.float64)
    size = np.maximum(np.abs(values.mean(axis=0, dtype=np.float64)), 1.0)
    return np.where(deviation < flat * size, 1.0, deviation)


@dataclass(frozen=True)
class PredictNetwork:
    r"""A multilayer perceptron with its normalisation (IoR section III, the predict network).

    .. math:: (\hat s' - \delta s,\; \hat r) = y_\mu + y_\sigma f((x - x_\mu) / x_\sigma), \qquad x = (s, a)

    with :math:`\delta = 1` where the next state is learnt as a difference. The paper's network has all means 0, scales
    1 and :math:`\delta = 0`. One batched pass serves any number of robots of one task.
    """

    weights: tuple[Vector, ...]
    """Of each layer [inputs, outputs] float32."""
    biases: tuple[Vector, ...]
    """Of each layer [outputs] float32."""
    activation: str
    """After each layer but the last: sigmoid or silu."""
    difference: bool
    """The outputs are the next state's difference to the state (and the reward)."""
    input_mean: Vector
    """[num_state + num_action] float32."""
    input_scale: Vector
    output_mean: Vector
    """[num_state + 1] float32."""
    output_scale: Vector
    clip: float
    """Standardised inputs are clipped to +- this."""

    @property
    def num_state(self) -> int:
        """Width of a state."""
        return len(self.output_mean) - 1

    @property
    def num_action(self) -> int:
        """Width of an action."""
        return len(self.input_mean) - self.num_state

    def predict(self, states: ArrayLike, actions: ArrayLike) -> Prediction:
        """Predicts next states and rewards of states [batch, num_state] and actions [batch, num_action]."""
        with np.errstate(all="ignore"):  # what is not finite is the caller's to judge
            states = np.asarray(states, np.float32)
            x = np.concatenate([states, np.asarray(actions, np.float32)], axis=1)
            x -= self.input_mean
            x /= self.input_scale
            np.clip(x, -self.clip, self.clip, out=x)
            for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
                x = x @ weight
                x += bias
                gate = np.tanh(x * np.float32(0.5))  # sigmoid(x) = (1 + tanh(x / 2)) / 2 cannot overflow
                gate += np.float32(1)
                gate *= np.float32(0.5)
                x = gate if self.activation == "sigmoid" else np.multiply(x, gate, out=x)
            y = x @ self.weights[-1]
            y += self.biases[-1]
            y *= self.output_scale
            y += self.output_mean
            next_state = y[:, :-1] + states if self.difference else y[:, :-1]
        return Prediction(next_state, y[:, -1])

    def errors(self, transitions: Transition, state_scale: ArrayLike) -> PredictionError:
        """Errors of the network's own predictions for a batch of transitions; see `prediction_errors`."""
        return prediction_errors(self.predict(transitions.state, transitions.action), transitions, state_scale)

    def save(self, file: str | Path | BinaryIO, about: dict[str, Any] | None = None, half: bool = False) -> None:
        """Writes the network to an .npz file that `load` reads back; ``about``: plain values kept with it.

        Exactly, but for ``half``: layers in half precision, compressed.
        """
        meta = {"activation": self.activation, "difference": self.difference, "clip": self.clip}
        write_network(file, "predict", meta, self.weights, self.biases, self, about, half)

    @classmethod
    def load(cls, file: str | Path | BinaryIO) -> PredictNetwork:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is missing, truncated, of another format, or its shapes do not fit together.
        """
        with reading(file, "predict") as (meta, layers, vectors):
            network = cls(*layers, meta["activation"], bool(meta["difference"]), **vectors, clip=float(meta["clip"]))
            network.check()
        return network

    def check(self) -> None:
        """Raises ValueError where the layers do not fit together or a number is not finite."""
        widths = [len(self.input_mean)]
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if weight.ndim != 2 or weight.shape[0] != widths[-1] or bias.shape != weight.shape[1:]:
                raise ValueError(f"a layer of shape {weight.shape} does not follow {widths[-1]} values")
            widths.append(weight.shape[1])
        if widths[-1] != len(self.output_mean) or self.activation not in ("sigmoid", "silu") or self.num_action < 1:
            raise ValueError("output or activation does not fit")
        if not all(np.isfinite(a).all() for a in (*self.weights, *self.biases, self.input_mean, self.output_mean)):
            raise ValueError("a weight is not finite")


def prediction_errors(predicted: Prediction, transitions: Transition, state_scale: ArrayLike) -> PredictionError:
    """Compares predictions with transitions; ``state_scale`` [k]: the standard deviation of each dimension judged.

    These are the first k of a state: an action in force before it (`TransitionLayout.memory`) is nothing to predict.
    """
    judged = slice(len(scale := np.asarray(state_scale)))
    deviation = (predicted.next_state[:, judged] - np.asarray(transitions.next_state)[:, judged]) / scale
    dimensions = np.sqrt(np.mean(np.square(deviation, dtype=np.float64), axis=0))
    reward = np.sqrt(np.mean(np.square(predicted.reward - transitions.reward, dtype=np.float64)))
    return PredictionError(float(reward), float(np.sqrt(np.mean(dimensions**2))), dimensions)
