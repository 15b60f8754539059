# SPDX-License-Identifier: Apache-2.0
"""Fully connected ReLU networks of one shape in one parameter buffer, with their gradients written out.

All networks of a stack go through a layer in one batched matrix product, an optimiser and the target update see one
flat tensor, and every large intermediate result has its place from the start. A layer's biases are the last row of its
weights, met by a last input that is always 1, so that the product does their work in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ALIGNMENT = 16  # floats, a cache line: layers and rows of activations begin on one


class NetworkStack:
    """Parameters of ``count`` networks of the same shape.

    Args:
        count: number of networks.
        widths: neurons from the input to the output layer.
        extra: further parameters at the end of each network's part of the buffer, for whoever needs them.

    Attributes:
        flat: [count, size] float32, all parameters.
        layers: of layer k: [count, widths[k] + 1, widths[k + 1]], weights and below them biases, views of ``flat``.
        extra: [count, extra], a view of ``flat``.
    """

    def __init__(self, count: int, widths: Sequence[int], device: torch.device, extra: int = 0) -> None:
        self.widths, self._extra_size = tuple(widths), extra
        self._places, end = [], 0
        for rows, columns in zip(self.widths[:-1], self.widths[1:], strict=True):
            self._places.append((end, rows + 1, columns))
            end = _aligned(end + (rows + 1) * columns)
        self._extra_place = end
        self.flat = torch.zeros(count, _aligned(end + extra), device=device)
        self.layers, self.extra = self.layers_of(self.flat), self.extra_of(self.flat)

    def layers_of(self, flat: Tensor) -> list[Tensor]:
        """The layers inside a buffer [n, size] laid out as ``self.flat``, such as its gradient."""
        return [flat[:, at : at + rows * columns].unflatten(1, (rows, columns)) for at, rows, columns in self._places]

    def extra_of(self, flat: Tensor) -> Tensor:
        """The further parameters inside a buffer laid out as ``self.flat``."""
        return flat[:, self._extra_place : self._extra_place + self._extra_size]

    def initialise(self, rng: np.random.Generator, count: int) -> None:
        """Draws the first ``count`` networks from U(-1/sqrt(inputs), 1/sqrt(inputs)), as torch's ``nn.Linear`` does."""
        for network in range(count):
            for layer in self.layers:
                bound = 1.0 / math.sqrt(layer.shape[1] - 1)
                drawn = rng.uniform(-bound, bound, tuple(layer.shape[1:]))
                layer[network] = torch.from_numpy(drawn.astype(np.float32))


class Pass:
    """A batch's way through some networks of a stack.

    Args:
        stack: parameters.
        networks: which of them, from and to.
        batch: rows.

    Attributes:
        inputs: [networks, batch, widths[0]], to be filled before `forward`.
        outputs: of layer k: [networks, batch, widths[k + 1]].
    """

    def __init__(self, stack: NetworkStack, networks: tuple[int, int], batch: int) -> None:
        self.stack, count = stack, networks[1] - networks[0]
        self._layers = [layer[slice(*networks)] for layer in stack.layers]
        self.below = []  # what each layer is multiplied with: the previous one's output, then a column of ones
        for width in stack.widths[:-1]:
            rows = torch.zeros(count, batch, _aligned(width + 1), device=stack.flat.device)
            rows[:, :, width] = 1.0
            self.below.append(rows[:, :, : width + 1])
        self.inputs, *hidden = (below[:, :, :-1] for below in self.below)
        self.outputs = [*hidden, torch.zeros(count, batch, stack.widths[-1], device=stack.flat.device)]

    def forward(self) -> Tensor:
        """The output [networks, batch, out]: h_k+1 = max(0, h_k W_k + b_k), the last layer without max."""
        last = len(self._layers) - 1
        for k, (below, layer, out) in enumerate(zip(self.below, self._layers, self.outputs, strict=True)):
            torch.bmm(below, layer, out=out)
            if k < last:
                out.relu_()
        return self.outputs[-1]


class Backward:
    """The way back through a part of a `Pass`.

    With g_k the gradient with respect to h_k W_k + b_k: dW_k = h_k^T g_k, db_k = sum over rows of g_k,
    g_k-1 = g_k W_k^T where h_k > 0, else 0.

    Args:
        forward: gradients are those at the parameters and activations of its last `forward`.
        networks: which of its networks, from and to.
        rows: which of its rows, from and to.
        gradient: [networks, size] laid out as the stack's buffer; receives the parameters' gradients. None: not wanted.
    """

    def __init__(
        self, forward: Pass, networks: tuple[int, int], rows: tuple[int, int], gradient: Tensor | None = None
    ) -> None:
        stack, chosen = forward.stack, slice(*networks)
        below = [tensor[chosen, slice(*rows)] for tensor in forward.below]
        self._below_t = [tensor.transpose(1, 2) for tensor in below]
        self._active = [tensor[:, :, :-1] for tensor in below]
        self._weights_t = [layer[chosen, :-1].transpose(1, 2) for layer in stack.layers]
        self._gradients = None if gradient is None else stack.layers_of(gradient)
        shape = (networks[1] - networks[0], rows[1] - rows[0])
        self._scratch = [torch.zeros(*shape, width, device=stack.flat.device) for width in stack.widths[:-1]]

    def parameters(self, gradient: Tensor) -> None:
        """Writes the parameters' gradients, given that of the output [networks, rows, out]."""
        if self._gradients is None:
            raise ValueError("this way back was made without a place for the parameters' gradients")
        for k in reversed(range(len(self._gradients))):
            torch.bmm(self._below_t[k], gradient, out=self._gradients[k])
            if k:
                gradient = self._descend(k, gradient)

    def inputs(self, gradient: Tensor, first: int) -> Tensor:
        """Gradient with respect to inputs from column ``first`` on, given that of the output [networks, rows, out]."""
        for k in reversed(range(1, len(self._weights_t))):
            gradient = self._descend(k, gradient)
        return torch.bmm(gradient, self._weights_t[0][:, :, first:])

    def _descend(self, k: int, gradient: Tensor) -> Tensor:
        below = torch.bmm(gradient, self._weights_t[k], out=self._scratch[k])
        return torch.ops.aten.threshold_backward.grad_input(below, self._active[k], 0.0, grad_input=below)


def _aligned(place: int) -> int:
    return -(-place // ALIGNMENT) * ALIGNMENT
