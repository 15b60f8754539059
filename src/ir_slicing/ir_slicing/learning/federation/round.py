# SPDX-License-Identifier: Apache-2.0
"""One server and M clients in one process, for training runs; the bytes are those that would cross the network."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ir_slicing.learning.federation.averaging_server import AveragingServer, ServerConfig
from ir_slicing.learning.federation.client import Client
from ir_slicing.learning.federation.compression import Weights


class Agent(Protocol):
    """What the federation needs of an agent of M slices."""

    architecture: str

    def weights(self) -> Weights:
        """[M, parameters]."""

    def load_weights(self, weights: Weights) -> None:
        """Takes [M, parameters]."""

    def shared(self, personal_layers: int) -> NDArray[np.bool_]:
        """[parameters]: what leaves a slice."""


class Federation:
    """Rounds of FedAvg over an agent's slices.

    Args:
        config: of the server.
        agent: whose slices take part; all start from the same weights (Algorithm 1, line 1).
        names: of the slices, in the agent's order.
        personal_layers: last layers of every network that stay in the slice.

    Attributes:
        bytes_up, bytes_down: sent so far, by all clients and to all clients.
    """

    def __init__(self, config: ServerConfig, agent: Agent, names: tuple[str, ...], personal_layers: int = 0) -> None:
        weights, shared = agent.weights(), agent.shared(personal_layers)
        self.server = AveragingServer(config, weights[0][shared], agent.architecture, names)
        compression = config.compression
        self.clients = [
            Client(name, compression, own, agent.architecture, shared) for name, own in zip(names, weights, strict=True)
        ]
        self.bytes_up = self.bytes_down = 0

    def round(self, agent: Agent, samples: int, present: NDArray[np.bool_] | None = None) -> None:
        """Algorithm 1, lines 15 to 17.

        Args:
            agent: its weights are collected, averaged and replaced.
            samples: |D_m|, of every slice.
            present: [M]; who is absent sends nothing, hears nothing, and gets the whole weights when it is back.
        """
        weights = agent.weights()
        here = range(len(self.clients)) if present is None else np.flatnonzero(present)
        for m in here:
            data = self.clients[m].update(weights[m], samples)
            self.bytes_up += len(data)
            self.server.receive(data)
        change = self.server.close().to_bytes()
        for m in here:
            data, after = change, self.clients[m].apply(change, weights[m])
            if after is None:
                data = self.server.whole().to_bytes()
                after = self.clients[m].apply(data, weights[m])
            self.bytes_down += len(data)
            if after is not None:
                weights[m] = after
        agent.load_weights(weights)
