# SPDX-License-Identifier: Apache-2.0
"""Learns how near a terminal state is after (state, action), from `ir_dynamics.termination_labels`."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch.nn import functional

from ir_dynamics.dynamics_config import RiskConfig
from ir_dynamics.predict_network import spread
from ir_dynamics.predict_trainer import Adam
from ir_dynamics.risk_network import RiskNetwork
from ir_dynamics.transitions import Rows, TransitionLayout


class RiskTrainer:
    r"""Fits small networks, each with its own weights and its own random batches, for a few hundred steps.

    .. math:: \rho_m(s, a) = \mathrm{sig}(f_m(s, a)), \qquad \min\; \mathrm{E}\, H(y, \rho_m)

    with H the cross-entropy and y the label; steps of which nobody saw what came of them do not count. What an action
    changes is little beside what the state decides, and what came is random: a network that is fitted for long makes up
    differences between actions that are none, long before its error on other steps tells. So each fit starts from new
    weights and is short, whatever there is to learn from (docs/notes/twin.md has the figures).

    Args:
        config: of networks and fits.
        layout: of the rows, with what turned out.
        seed: of weights and batches, which the fits draw in turn.

    Attributes:
        network: in use; None: none yet.
        fresh: of the last fit, and neither taken into use nor refused yet; else None.
    """

    def __init__(self, config: RiskConfig, layout: TransitionLayout, seed: int) -> None:
        if not layout.ahead:
            raise ValueError("rows of this layout do not say how near a terminal state turned out to be")
        self.config, self._layout = config, layout
        self._generator = torch.Generator().manual_seed(seed)
        self._rng = np.random.default_rng(seed)
        self._left = 0
        self._fitted_with = 0
        self.network: RiskNetwork | None = None
        self.fresh: RiskNetwork | None = None

    def resume(self, network: RiskNetwork | None, transitions: int) -> None:
        """Goes on from a network that was fitted when there were so many transitions; None: there is none yet."""
        self.network = network
        self._fitted_with = transitions if network else 0

    def due(self, transitions: int) -> bool:
        """A fit is under way, or there are enough transitions for another; not before the last one was looked at."""
        wanted = max(self.config.min_transitions, self.config.growth * self._fitted_with)
        return self.fresh is None and (self._left > 0 or transitions >= wanted)

    def step(self, rows: Rows, transitions: int) -> float:
        """One gradient step of every member on its own draw from rows [n, width]; returns the mean loss.

        Begins a fit where none is under way; with its last step `fresh` is there.

        Args:
            rows: what is learnt from.
            transitions: that there have been, those included that are not kept any more.
        """
        if not self._left:
            self._begin(rows)
            self._fitted_with = transitions
        members = self.config.members
        batch = self._layout.unpack(rows[self._rng.integers(len(rows), size=members * self.config.batch)])
        inputs = (np.concatenate([batch.state, batch.action], axis=1) - self._mean) / self._scale
        x = torch.from_numpy(inputs.astype(np.float32)).unflatten(0, (members, -1))
        came = torch.from_numpy(np.asarray(batch.ahead, np.float32)).unflatten(0, (members, -1))
        for i, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            x = torch.baddbmm(bias, functional.silu(x) if i else x, weight)
        loss = functional.binary_cross_entropy_with_logits(x[..., 0], came.clamp(min=0.0), reduction="none")
        total = (loss * (came >= 0)).mean(dim=1).sum()
        total.backward()
        self._optimiser.step()
        self._left -= 1
        if not self._left:
            self.fresh = self._export()
        return float(total.detach()) / members

    def _begin(self, rows: Rows) -> None:
        batch = self._layout.unpack(rows)
        inputs = np.concatenate([batch.state, batch.action], axis=1)
        self._mean, self._scale = inputs.mean(axis=0, dtype=np.float64), spread(inputs)
        widths, members = (inputs.shape[1], *self.config.hidden, 1), self.config.members
        self._weights = [
            torch.nn.Parameter(torch.randn(members, i, o, generator=self._generator) * i**-0.5)
            for i, o in pairwise(widths)
        ]
        self._biases = [torch.nn.Parameter(torch.zeros(members, 1, o)) for o in widths[1:]]
        self._optimiser = Adam([*self._weights, *self._biases], self.config.learning_rate)
        self._left = self.config.steps

    def _export(self) -> RiskNetwork:
        """The networks as plain arrays, which take inputs as they come."""
        weights = [weight.detach().numpy().astype(np.float64) for weight in self._weights]
        biases = [bias.detach().numpy().astype(np.float64) for bias in self._biases]
        weights[0] = weights[0] / self._scale[:, None]
        biases[0] = biases[0] - (self._mean @ weights[0])[:, None]
        return RiskNetwork(*(tuple(a.astype(np.float32) for a in arrays) for arrays in (weights, biases)))
