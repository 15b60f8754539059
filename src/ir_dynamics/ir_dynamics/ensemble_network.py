# SPDX-License-Identifier: Apache-2.0
"""The ensemble as it is served, on NumPy arrays alone; training is in `ir_dynamics.ensemble`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_dynamics.calibration import SHARES
from ir_dynamics.network_file import Vector, reading, write_network
from ir_dynamics.predict_network import Prediction, PredictionError, prediction_errors
from ir_dynamics.risk_network import RiskNetwork, hidden_layers, sigmoid
from ir_dynamics.transitions import Transition


class Outlook(NamedTuple):
    """What each elite (member in use) predicts for a batch of (state, action)."""

    next_state: Vector
    """[elites, batch, num_state] float32, units by the task."""
    reward: Vector
    """[elites, batch] float32, dimensionless."""
    termination: Vector
    """[elites, batch] probability that the step ends in a terminal state."""


class Risk(NamedTuple):
    """How likely or near a terminal state is after each (state, action) of a batch."""

    risk: Vector
    """[batch] probability of a terminal state, or risk to go; NaN where the input is not finite."""
    each: Vector
    """[members, batch] the same as each member that is in use sees it."""


@dataclass(frozen=True)
class EnsembleNetwork:
    """An ensemble of probabilistic predict networks as it is served: the members of an `Ensemble`, those in use first.

    A layer's weights are [members, inputs, outputs] float32, its biases [members, 1, outputs]. The last layer gives
    standardised change of state and reward, the logit of termination and raw log variances, in this order.
    """

    weights: tuple[Vector, ...]
    biases: tuple[Vector, ...]
    limits: Vector
    """[members, 2, num_state + 1] upper and lower limit of the log variances."""
    elites: int
    """The first so many members are in use."""
    input_mean: Vector
    input_scale: Vector
    output_mean: Vector
    """[num_state + 1] float32."""
    output_scale: Vector
    clip: float
    """Standardised inputs are clipped to +- this."""
    to_go: RiskNetwork | None = None
    """How near a terminal state is, where that was learnt."""
    tails: Vector | None = None
    """[num_state + 1, shares] how far outcomes were from what was expected (`ir_dynamics.calibration`), if measured."""

    @property
    def num_state(self) -> int:
        """Width of a state."""
        return len(self.output_mean) - 1

    @property
    def num_action(self) -> int:
        """Width of an action."""
        return len(self.input_mean) - self.num_state

    def outlook(self, states: ArrayLike, actions: ArrayLike) -> Outlook:
        """What each elite predicts for states [batch, num_state] or, each for its own, [elites, batch, num_state].

        Args:
            states: units by the task.
            actions: [batch, num_action].
        """
        with np.errstate(all="ignore"):  # what is not finite is the caller's to judge
            states, n = np.asarray(states, np.float32), self.num_state
            y = self._outputs(states, actions, n + 2)
            ends = sigmoid(y[..., n + 1])
            y = y[..., : n + 1] * self.output_scale + self.output_mean
        return Outlook(y[..., :-1] + states, y[..., -1], ends)

    def _outputs(self, states: Vector, actions: ArrayLike, count: int) -> Vector:
        """The first ``count`` outputs of each elite [elites, batch, count], standardised."""
        actions, n, k = np.asarray(actions, np.float32), self.num_state, self.elites
        x = np.empty((k if states.ndim == 3 else 1, len(actions), n + self.num_action), np.float32)
        x[..., :n], x[..., n:] = states, actions
        x -= self.input_mean
        x /= self.input_scale
        np.clip(x, -self.clip, self.clip, out=x)
        x = hidden_layers(x, (w[:k] for w in self.weights[:-1]), (b[:k] for b in self.biases[:-1]))
        y: Vector = np.matmul(x, self.weights[-1][:k, :, :count])
        y += self.biases[-1][:k, :, :count]
        return y

    def residuals(self, transitions: Transition) -> Vector:
        r"""How far each outcome is from what was expected, in predicted standard deviations [batch, num_state + 1].

        .. math:: z = \frac{y - \bar\mu}{\sqrt{\overline{\sigma^2} + \mathrm{var}\,\mu}}

        with y the next state and the reward, and mean and variance over the elites (the mixture's moments).
        """
        states, n = np.asarray(transitions.state, np.float32), self.num_state
        y = self._outputs(states, transitions.action, 2 * n + 3)
        upper, lower = (self.limits[: self.elites, i][:, None] for i in (0, 1))
        log_variance = lower + _softplus(upper - _softplus(upper - y[..., n + 2 :]) - lower)
        mean = y[..., : n + 1]
        total = np.sqrt(np.exp(log_variance).mean(axis=0) + mean.var(axis=0)) * self.output_scale
        came = np.column_stack([transitions.next_state - states, transitions.reward])
        return ((came - self.output_mean - mean.mean(axis=0) * self.output_scale) / total).astype(np.float32)

    def predict(self, states: ArrayLike, actions: ArrayLike) -> Prediction:
        """Mean of the elites for states [batch, num_state] and actions [batch, num_action]."""
        outlook = self.outlook(states, actions)
        return Prediction(outlook.next_state.mean(axis=0), outlook.reward.mean(axis=0))

    def risk(self, states: ArrayLike, actions: ArrayLike, then: ArrayLike, steps: int) -> Risk:
        r"""Probability of a terminal state within ``steps`` control steps, as the most pessimistic elite sees it.

        .. math:: \rho(s, a) = \max_m 1 - \prod_{h=0}^{H-1} (1 - P_m(d | s_h, a_h))

        along each elite's own mean trajectory from :math:`s_0 = s`, with the action first and ``then`` after it.

        Args:
            states: [batch, num_state], units by the task.
            actions: [batch, num_action].
            then: [num_action], the action after the first step.
            steps: H, control steps.
        """
        outlook = self.outlook(states, actions)
        with np.errstate(all="ignore"):
            alive = 1 - outlook.termination
            held = np.broadcast_to(np.asarray(then, np.float32), np.shape(actions))
            for _ in range(steps - 1):
                outlook = self.outlook(outlook.next_state, held)
                alive *= 1 - outlook.termination
            return Risk(1 - alive.min(axis=0), 1 - alive)

    def risk_to_go(self, states: ArrayLike, actions: ArrayLike) -> Risk:
        """How near a terminal state is, as the most pessimistic member sees it: 1 at once, 0.05 a horizon ahead.

        What it has learnt is what came of such actions while robots went on as they did; see
        `ir_dynamics.termination_labels`. NaN where nothing has been learnt yet.

        Args:
            states: [batch, num_state], units by the task.
            actions: [batch, num_action].
        """
        each = self.to_go.ahead(states, actions) if self.to_go else np.full((1, len(np.asarray(actions))), np.nan)
        return Risk(each.max(axis=0), each)

    def errors(self, transitions: Transition, state_scale: ArrayLike) -> PredictionError:
        """Errors of the elites' mean, see `prediction_errors`, and of the risk to go where it is known what came."""
        outlook = self.outlook(transitions.state, transitions.action)
        mean = Prediction(outlook.next_state.mean(axis=0), outlook.reward.mean(axis=0))
        errors = prediction_errors(mean, transitions, state_scale)
        return errors if self.to_go is None else errors._replace(ahead=self.to_go.error(transitions))

    def save(self, file: str | Path | BinaryIO, about: dict[str, Any] | None = None, half: bool = False) -> None:
        """Writes the ensemble to an .npz file that `load` reads back; ``about``: plain values kept with it.

        Exactly, but for ``half``: layers in half precision, compressed.
        """
        risk = self.to_go or RiskNetwork((), ())
        meta = {"elites": self.elites, "clip": self.clip, "risk_layers": len(risk.weights)}
        weights, biases = (*self.weights, *risk.weights), (self.limits, *self.biases, *risk.biases)
        write_network(file, "ensemble", meta, weights, biases, self, about, half)

    @classmethod
    def load(cls, file: str | Path | BinaryIO) -> EnsembleNetwork:
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is missing, truncated, of another format, or its shapes do not fit together.
        """
        with reading(file, "ensemble") as (meta, (weights, (limits, *biases)), vectors):
            n = len(weights) - int(meta["risk_layers"])
            network = cls(
                weights[:n], tuple(biases[:n]), limits, int(meta["elites"]), **vectors, clip=float(meta["clip"]),
                to_go=RiskNetwork(weights[n:], tuple(biases[n:])) if weights[n:] else None,
            )  # fmt: skip
            network.check()
        return network

    def check(self) -> None:
        """Raises ValueError where the layers do not fit together or a number is not finite."""
        members, width = len(self.limits), len(self.input_mean)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            if weight.shape[:2] != (members, width) or bias.shape != (members, 1, *weight.shape[2:]):
                raise ValueError(f"a layer of shape {weight.shape} does not follow {width} values of {members} members")
            width = weight.shape[2]
        outputs = len(self.output_mean)
        shapes_fit = width == 2 * outputs + 1 and self.limits.shape == (members, 2, outputs)
        if not shapes_fit or self.num_action < 1 or not 1 <= self.elites <= members:
            raise ValueError("output, limits or number of elites do not fit")
        arrays: list[NDArray[np.float32]] = [
            *self.weights,
            *self.biases,
            self.limits,
            self.input_mean,
            self.output_mean,
        ]
        if not all(np.isfinite(array).all() for array in arrays):
            raise ValueError("a weight is not finite")
        if self.tails is not None and (self.tails.shape != (outputs, len(SHARES)) or not np.isfinite(self.tails).all()):
            raise ValueError("the distances of outcomes do not fit, or are not finite")
        if self.to_go:
            self.to_go.check(len(self.input_mean))


def _softplus(x: Vector) -> Vector:
    return np.logaddexp(np.float32(0), x)  # type: ignore[no-any-return]
