# SPDX-License-Identifier: Apache-2.0
"""M networks of one architecture as one: the slices are a dimension of every tensor, a layer is one `baddbmm`."""

from __future__ import annotations

import hashlib
import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class BatchedMLP(nn.Module):
    """M multilayer perceptrons with ReLU between the layers, which share nothing.

    All start with the same weights (Algorithm 1, line 1).

    Args:
        count: M.
        sizes: inputs, hidden layers, outputs.
        generator: source of the weights.
        final: largest first weight of the last layer; small, so that the first outputs are near zero.
    """

    def __init__(self, count: int, sizes: tuple[int, ...], generator: torch.Generator, final: float = 3e-3) -> None:
        super().__init__()
        self.count, self.sizes = count, sizes
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for index, (a, b) in enumerate(itertools.pairwise(sizes)):
            bound = final if index == len(sizes) - 2 else 1.0 / math.sqrt(a)
            weight = torch.empty(a, b).uniform_(-bound, bound, generator=generator)
            self.weights.append(nn.Parameter(weight.expand(count, a, b).clone()))
            self.biases.append(nn.Parameter(torch.zeros(count, 1, b)))

    def forward(self, x: Tensor) -> Tensor:
        """[M, batch, inputs] -> [M, batch, outputs]."""
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x if index == 0 else torch.relu(x), weight)
        return x

    def flat(self) -> NDArray[np.float32]:
        """[M, parameters]: layer by layer, weights then biases."""
        parts = [p.detach().flatten(1) for pair in zip(self.weights, self.biases, strict=True) for p in pair]
        return torch.cat(parts, dim=1).numpy()

    def load_flat(self, values: NDArray[np.float32]) -> None:
        """Takes [M, parameters] as `flat` gives them.

        Raises:
            ValueError: another shape.
        """
        if values.shape != (expected := (self.count, self.width)):
            raise ValueError(f"weights have the shape {values.shape}; {expected} is needed")
        place, source = 0, torch.from_numpy(np.ascontiguousarray(values, np.float32))
        with torch.no_grad():
            for pair in zip(self.weights, self.biases, strict=True):
                for parameter in pair:
                    width = parameter[0].numel()
                    parameter.copy_(source[:, place : place + width].view_as(parameter))
                    place += width

    def load_row(self, row: int, values: NDArray[np.float32]) -> None:
        """Takes the parameters [parameters] of one network, as a row of `flat`."""
        place, source = 0, torch.from_numpy(np.ascontiguousarray(values, np.float32))
        with torch.no_grad():
            for pair in zip(self.weights, self.biases, strict=True):
                for parameter in pair:
                    width = parameter[row].numel()
                    parameter[row].copy_(source[place : place + width].view_as(parameter[row]))
                    place += width

    @property
    def parameters_by_layer(self) -> list[int]:
        """Parameters of each layer of one network."""
        return [(a + 1) * b for a, b in zip(self.sizes[:-1], self.sizes[1:], strict=True)]

    @property
    def width(self) -> int:
        """Parameters of one network."""
        return sum(self.parameters_by_layer)


def soft_update(target: BatchedMLP, source: BatchedMLP, rate: float) -> None:
    """Target networks, eq. (17): theta' <- nu theta + (1 - nu) theta'."""
    with torch.no_grad():
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)


def architecture(*sizes: tuple[int, ...]) -> str:
    """Eight hexadecimal digits that are the same for networks of the same sizes only."""
    return hashlib.sha256(repr(sizes).encode()).hexdigest()[:8]


class Replay:
    """Experience of M slices, each with its own: nothing of it leaves a slice.

    Args:
        capacity: transitions of a slice; the oldest is overwritten.
        count: M.
        state: size of a state.
        generator: of the samples.
    """

    def __init__(self, capacity: int, count: int, state: int, generator: torch.Generator) -> None:
        self.capacity, self.count, self.generator = capacity, count, generator
        self.stored = self._next = 0
        self.data = torch.zeros(count, capacity, 2 * state + 2)
        self._parts = (state, 1, 1, state)

    def add(
        self, state: NDArray[np.floating], action: NDArray[np.floating], reward: NDArray[np.floating],
        after: NDArray[np.floating],
    ) -> None:  # fmt: skip
        """Stores one step of E environments: states [E, M, S], actions and rewards [E, M]."""
        parts = [state, action[..., None], reward[..., None], after]
        rows = torch.from_numpy(np.concatenate(parts, axis=-1).astype(np.float32)).transpose(0, 1)
        where = (self._next + torch.arange(rows.shape[1])) % self.capacity
        self.data[:, where] = rows
        self._next = (self._next + rows.shape[1]) % self.capacity
        self.stored = min(self.stored + rows.shape[1], self.capacity)

    def sample(self, batch: int) -> tuple[Tensor, ...]:
        """state, action, reward, state after: [M, batch, ...], drawn for each slice apart."""
        rows = torch.randint(self.stored, (self.count, batch), generator=self.generator)
        return self.data[torch.arange(self.count)[:, None], rows].split(self._parts, dim=-1)
