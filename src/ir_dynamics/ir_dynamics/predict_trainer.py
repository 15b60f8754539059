# SPDX-License-Identifier: Apache-2.0
"""Fitting the predict network in torch (IoR section III: mean square error, Adam)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ir_dynamics.dynamics_config import NetworkConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.network_file import VECTORS
from ir_dynamics.predict_network import MAX_DEVIATION, PredictNetwork, spread
from ir_dynamics.transitions import Rows, Transition, TransitionLayout


class PredictTrainer:
    """Trains one predict network, a gradient step at a time (see `NetworkTrainer`).

    Differs from the paper: sigmoid layers start from Glorot's uniform weights with gain 4 (the paper names no
    initialisation; with torch's default, five sigmoid layers stay at the plateau of the mean for thousands of steps).

    Args:
        config: network and optimiser.
        layout: widths of state and action.
        seed: of the initial weights.
    """

    def __init__(self, config: NetworkConfig, layout: TransitionLayout, seed: int) -> None:
        self.config, self.layout = config, layout
        generator = torch.Generator().manual_seed(seed)
        widths = [layout.num_state + layout.num_action, *config.hidden, layout.num_state + 1]
        self._linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(widths)]
        for layer in self._linear:
            _initialise(layer, config.activation == "sigmoid" and layer is not self._linear[-1], generator)
        activation = nn.Sigmoid if config.activation == "sigmoid" else nn.SiLU
        modules: list[nn.Module] = []
        for layer in self._linear:
            modules += [layer, activation()]
        self.net = nn.Sequential(*modules[:-1])
        self.optimiser = Adam(list(self.net.parameters()), config.learning_rate)
        self._scale = [torch.zeros(widths[0]), torch.ones(widths[0]), torch.zeros(widths[-1]), torch.ones(widths[-1])]
        self.steps = 0

    @property
    def rows_per_step(self) -> int:
        """Rows that `step` takes."""
        return self.config.batch

    def normalise(self, rows: Rows) -> None:
        """Takes means and scales from rows [n, width]; does nothing where the configuration has no normalisation."""
        if not self.config.normalise:
            return
        batch = self.layout.unpack(rows)
        inputs, targets = _inputs(batch), self._targets(batch)
        scales = inputs.mean(axis=0), spread(inputs), targets.mean(axis=0), spread(targets, 1e-9)
        self._scale = [torch.from_numpy(scale.astype(np.float32)) for scale in scales]

    def step(self, rows: Rows) -> float:
        """One gradient step on rows [batch, width]; returns the loss before it (in normalised units)."""
        loss = self.loss(rows)
        loss.backward()
        self.optimiser.step()
        self.steps += 1
        return float(loss.detach())

    def loss(self, rows: Rows) -> Tensor:
        """Mean square error over rows [batch, width] and outputs."""
        batch = self.layout.unpack(rows)
        mean, scale = self._scale[2:]
        target = (torch.from_numpy(self._targets(batch)) - mean) / scale
        return nn.functional.mse_loss(self.net(self._normalised(torch.from_numpy(_inputs(batch)))), target)

    def forward(self, states: Rows, actions: Rows) -> NDArray[np.float32]:
        """Outputs [batch, num_state + 1] in the task's units, by torch: the reference of the served network."""
        with torch.no_grad():
            x = torch.from_numpy(np.concatenate([states, actions], axis=1))
            y: NDArray[np.float32] = (self.net(self._normalised(x)) * self._scale[3] + self._scale[2]).numpy()
        if self.config.normalise:
            y[:, :-1] += states
        return y

    def export(self) -> PredictNetwork:
        """The present network as plain arrays (copies)."""
        vectors = {name: v.numpy().copy() for name, v in zip(VECTORS, self._scale, strict=True)}
        return PredictNetwork(
            weights=tuple(np.ascontiguousarray(layer.weight.detach().numpy().T) for layer in self._linear),
            biases=tuple(layer.bias.detach().numpy().copy() for layer in self._linear),
            activation=self.config.activation,
            difference=self.config.normalise,
            clip=MAX_DEVIATION if self.config.normalise else float("inf"),
            **vectors,
        )

    def select(self, heldout: Rows) -> None:
        """There is one network: nothing to choose."""

    def adopt(self, network: PredictNetwork | EnsembleNetwork) -> None:
        """Goes on from an exported network of the same shape (the optimiser's moments stay).

        Raises:
            ValueError: its layers are others.
        """
        if not isinstance(network, PredictNetwork):
            raise ValueError("an ensemble is not a single predict network")
        shapes = [tuple(layer.weight.shape[::-1]) for layer in self._linear]
        if [w.shape for w in network.weights] != shapes or network.activation != self.config.activation:
            raise ValueError(f"a network of layers {[w.shape for w in network.weights]} is not one of {shapes}")
        with torch.no_grad():
            for layer, weight, bias in zip(self._linear, network.weights, network.biases, strict=True):
                layer.weight.copy_(torch.from_numpy(weight.T.copy()))
                layer.bias.copy_(torch.from_numpy(bias))
        self._scale = [torch.from_numpy(getattr(network, name).copy()) for name in VECTORS]

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on exactly."""
        return {
            "weights": [part.detach().clone() for part in self.net.parameters()],
            "optimiser": self.optimiser.state(),
            "scale": [scale.clone() for scale in self._scale],
            "steps": self.steps,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` of a network of the same shape gave."""
        with torch.no_grad():
            for part, saved in zip(self.net.parameters(), state["weights"], strict=True):
                part.copy_(saved)
        self.optimiser.load(state["optimiser"])
        self._scale = [scale.clone() for scale in state["scale"]]
        self.steps = int(state["steps"])

    def _normalised(self, x: Tensor) -> Tensor:
        if not self.config.normalise:
            return x
        return ((x - self._scale[0]) / self._scale[1]).clamp(-MAX_DEVIATION, MAX_DEVIATION)

    def _targets(self, batch: Transition) -> NDArray[np.float32]:
        states = batch.next_state - batch.state if self.config.normalise else batch.next_state
        return np.concatenate([states, np.asarray(batch.reward)[:, None]], axis=1, dtype=np.float32)


class Adam:
    """Adam (Kingma and Ba, algorithm 1). The use of torch.optim imports torch's compiler: a second of CPU time at the
    start of a process that trains a small network on a busy machine, and 100 MB.
    """

    def __init__(self, parameters: list[nn.Parameter], rate: float) -> None:
        self._parameters, self._rate, self._steps = parameters, rate, 0
        self._mean = [torch.zeros_like(p) for p in parameters]
        self._square = [torch.zeros_like(p) for p in parameters]

    def step(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        """One update from the gradients, which are then cleared."""
        self._steps += 1
        with torch.no_grad():
            for p, mean, square in zip(self._parameters, self._mean, self._square, strict=True):
                assert p.grad is not None
                mean.lerp_(p.grad, 1 - beta1)
                square.mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                deviation = (square / (1 - beta2**self._steps)).sqrt_().add_(epsilon)
                p.addcdiv_(mean, deviation, value=-self._rate / (1 - beta1**self._steps))
                p.grad = None

    def state(self) -> dict[str, Any]:
        """Copies of the moments, and the number of steps."""
        moments = {"mean": self._mean, "square": self._square}
        return {"steps": self._steps} | {name: [m.clone() for m in ms] for name, ms in moments.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave."""
        for ours, theirs in zip((*self._mean, *self._square), (*state["mean"], *state["square"]), strict=True):
            ours.copy_(theirs)
        self._steps = int(state["steps"])


def _inputs(batch: Transition) -> NDArray[np.float32]:
    return np.concatenate([batch.state, batch.action], axis=1, dtype=np.float32)


def _initialise(layer: nn.Linear, before_sigmoid: bool, generator: torch.Generator) -> None:
    with torch.no_grad():
        if before_sigmoid:
            nn.init.xavier_uniform_(layer.weight, gain=4.0, generator=generator)
            layer.bias.zero_()
        else:
            bound = layer.in_features**-0.5  # torch's default for linear layers
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.uniform_(-bound, bound, generator=generator)
