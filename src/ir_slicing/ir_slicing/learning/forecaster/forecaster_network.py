# SPDX-License-Identifier: Apache-2.0
"""The network of the slice forecaster: MAFL section III, eqs. (8) to (12).

window [batch, Z, T, N] -> feature CNN -> graph (9) -> graph attention (10), (11) -> head (12) -> [batch, horizon, N]
Beside them stand two linear parts (`linear`), and how much of each is used was decided on held-out steps (`staged`).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ir_common.config import Config
from ir_slicing.learning.forecaster.linear import LagGraph, SeasonalHead
from ir_slicing.learning.forecaster.shared_head import SharedHead

GraphForm = Literal["two_embeddings", "printed", "none"]


class ForecasterConfig(Config):
    """Sizes and forms of the slice forecaster."""

    window: int = Field(16, ge=4, description="T: steps that are looked back")
    horizons: tuple[int, ...] = Field((1, 3, 6), min_length=1, description="steps ahead that are forecast")
    features: int = Field(32, ge=1, description="F: features of a device after the CNN")
    embedding: int = Field(16, ge=1, description="size of a device's embedding, and of the dynamic filters of (9)")
    heads: int = Field(4, ge=1, description="attention heads; each sees `features` / `heads` numbers")
    beta: float = Field(1.0, gt=0, description="saturation of (9)")
    graph: GraphForm = Field("two_embeddings", description="eq. (9): as it works, as printed (no edges), or left out")
    dropout: float = Field(0.1, ge=0, lt=1, description="of the features that go into graph and head while it trains")
    head: Literal["linear", "softmax"] = Field("linear", description="eq. (12): linear, or softmax as printed")
    linear: bool = Field(
        True, description="a seasonal linear head and a lag graph beside the printed parts; softmax goes without"
    )
    order: int = Field(4, ge=1, description="steps of its own past that the linear heads see")
    adjust: bool = Field(True, description="divide out level and day where held-out steps say so; needs `linear`")
    trees: int = Field(100, ge=0, description="boosted trees of each horizon beside the linear parts; 0: none")

    @model_validator(mode="after")
    def _fits(self) -> ForecasterConfig:
        if self.features % self.heads:
            raise ValueError(f"features {self.features} must be a multiple of heads {self.heads}")
        if min(self.horizons) < 1 or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(f"horizons {self.horizons} must rise from 1 or more")
        if self.order >= self.window:
            raise ValueError(f"order {self.order} must be less than window {self.window}")
        return self


class FeatureNet(nn.Module):
    """Step i, the feature CNN: the same convolutions for every device, [batch, Z, T, N] -> B [batch, N, F]."""

    def __init__(self, config: ForecasterConfig, channels: int) -> None:
        super().__init__()
        self.channels = channels
        width = config.features // 2 or 1
        self.convolve = nn.Sequential(
            nn.Conv2d(channels, width, (3, 1), padding=(1, 0)), nn.ReLU(), nn.Conv2d(width, width, (3, 1)), nn.ReLU()
        )
        self.flatten = nn.Linear(width * (config.window - 2) + 2 * config.window, config.features)

    def forward(self, window: Tensor) -> Tensor:
        folded = self.convolve(window[:, : self.channels]).permute(0, 3, 1, 2).flatten(2)  # [batch, N, width (T - 2)]
        return torch.relu(self.flatten(torch.cat([folded, _raw(window)], dim=-1)))


class GraphLearner(nn.Module):
    """Step ii, the adjacency, eq. (9): A = ReLU(tanh(beta (M1 M2^T - M2 M1^T))).

    "two_embeddings", the form of its source (Wu et al., 2020, MTGNN): M^i = tanh(beta (E^i + B Theta^i))
    with a learnt embedding E^i of each device, and the window's features B in it, so that the graph is dynamic.
    "printed": M1 = M2 = tanh(beta E B). Then M1 M2^T - M2 M1^T = 0: no two devices are joined.
    """

    def __init__(self, config: ForecasterConfig, nodes: int) -> None:
        super().__init__()
        self.beta, self.form = config.beta, config.graph
        filters = 2 if config.graph == "two_embeddings" else 1
        self.embedding = nn.Parameter(0.3 * torch.randn(filters, nodes, config.embedding))
        self.dynamic = nn.ModuleList(nn.Linear(config.features, config.embedding, bias=False) for _ in range(filters))

    def forward(self, features: Tensor) -> Tensor:
        """[batch, N, F] -> A [batch, N, N] of 0 to 1; A[b, v, z] is the edge from z to v."""
        if self.form == "two_embeddings":
            pairs = zip(self.embedding, self.dynamic, strict=True)
            m1, m2 = (torch.tanh(self.beta * (e + theta(features))) for e, theta in pairs)
        else:
            m1 = m2 = torch.tanh(self.beta * self.embedding[0] * self.dynamic[0](features))
        product = m1 @ m2.transpose(1, 2)
        return torch.relu(torch.tanh(self.beta * (product - m2 @ m1.transpose(1, 2))))


class GraphAttention(nn.Module):
    """Step iii, eqs. (10), (11) and Velickovic et al.: what each device learns from its neighbours.

    alpha_zv = A_vz exp(LeakyReLU(q^T [W x_z || W x_v])) / sum of the same over v's neighbours,
    x'_v = ELU(sum over z of alpha_zv W x_z).
    The weight A_vz of the edge multiplies the exponential, for a graph that only masked would get no gradient. A device
    is its own neighbour with weight 1, so a device without edges still has a sum.
    """

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, features // heads
        self.project = nn.Linear(features, features, bias=False)
        self.q_source = nn.Parameter(0.1 * torch.randn(heads, self.width))
        self.q_target = nn.Parameter(0.1 * torch.randn(heads, self.width))

    def attention(self, x: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor]:
        """alpha [batch, heads, N (v), N (z)], whose rows sum to 1, and W x [batch, heads, N, width]."""
        batch, nodes, _ = x.shape
        wx = self.project(x).view(batch, nodes, self.heads, self.width).transpose(1, 2)
        source, target = (wx * self.q_source[:, None]).sum(-1), (wx * self.q_target[:, None]).sum(-1)
        logits = nn.functional.leaky_relu(source[:, :, None, :] + target[:, :, :, None], 0.2)
        weight = adjacency + torch.eye(nodes)  # A_vv of (9) is 0
        return torch.softmax(logits + torch.log(weight + 1e-9)[:, None], dim=-1), wx

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """[batch, N, features], [batch, N, N] -> [batch, N, features]."""
        alpha, wx = self.attention(x, adjacency)
        return nn.functional.elu((alpha @ wx).transpose(1, 2).flatten(2))


class SliceForecaster(nn.Module):
    """The whole: what a device's own past says, what its neighbours add, and what was decided of each.

    forecast = blend own + (1 - blend) closed + lags + gate attention             each [batch, N, horizon]
    closed   = pooled shared + (1 - pooled) seasonal

    own is the feature CNN with a head; attention is (9) to (12), whose last layer starts at zero; shared, seasonal
    and lags are the linear parts, zero until they are fitted. blend and gate, one number a horizon, start at 1, pooled
    at 0: a fresh one is a model of single devices.

    Args:
        config: validated.
        nodes: N, devices.
        channels: Z, of the input; channel 0 is the normalised traffic.
        day_before: whether windows have one more, of the day before.
    """

    blend: Tensor
    pooled: Tensor
    gate: Tensor

    def __init__(self, config: ForecasterConfig, nodes: int, channels: int, day_before: bool = False) -> None:
        super().__init__()
        self.config = config
        f, e, h = config.features, config.embedding, len(config.horizons)
        self.features = FeatureNet(config, channels)
        self.linear = nn.Linear(2 * config.window, h)
        self.own = nn.Sequential(nn.Linear(f, f), nn.ReLU(), nn.Linear(f, h))
        self.register_buffer("blend", torch.ones(h))
        self.register_buffer("gate", torch.ones(h))
        self.register_buffer("pooled", torch.zeros(h))
        if config.linear:
            self.shared = SharedHead(nodes, config.horizons, config.order, day_before)
            self.seasonal = SeasonalHead(nodes, h, config.order)
            self.lags = LagGraph(nodes, h, config.order, config.window)
        if config.graph != "none":
            self.graph = GraphLearner(config, nodes)
            self.place = nn.Parameter(0.3 * torch.randn(nodes, e))
            self.mix = nn.Linear(f + e + 2 * config.window, f)
            self.drop = nn.Dropout(config.dropout)
            self.attend = GraphAttention(f, config.heads)
            self.head = nn.Sequential(nn.Linear(2 * f + e, 2 * f), nn.ReLU(), nn.Linear(2 * f, h))
            self.adapt = nn.Parameter(torch.zeros(e, f, h))
            nn.init.zeros_(self.head[-1].weight)
            nn.init.zeros_(self.head[-1].bias)

    def forward(self, window: Tensor) -> Tensor:
        """[batch, Z, T, N] -> [batch, horizon, N], in the units of channel 0.

        Raises:
            ValueError: a window of another width.
        """
        if window.shape[2] != self.config.window:
            raise ValueError(f"a window of {window.shape[2]} steps; the forecaster looks back {self.config.window}")
        features = self.features(window)
        out = self.alone(window, features)
        if self.config.linear:
            out = self.blend * out + (1.0 - self.blend) * self.closed(window) + self.lags(window)
        if self.config.graph != "none":
            out = out + self.gate * self.attention(window, features)
        return self._finish(out, window).transpose(1, 2)

    def closed(self, window: Tensor) -> Tensor:
        """What the regressions say: as `alone`."""
        return self.pooled * self.shared(window) + (1.0 - self.pooled) * self.seasonal(window)

    def alone(self, window: Tensor, features: Tensor) -> Tensor:
        """What the own past says: windows and their features [batch, N, F] -> [batch, N, horizon]."""
        return self.linear(_raw(window)) + self.own(features)

    def attention(self, window: Tensor, features: Tensor) -> Tensor:
        """What the attention over neighbours adds, (9) to (12): as `alone`."""
        place = self.place.expand(len(window), -1, -1)
        x = self.drop(nn.functional.elu(self.mix(torch.cat([features, _raw(window), place], dim=-1))))
        neighbours = self.attend(x, self.graph(features))
        readout = torch.einsum("ne,efh->nfh", self.place, self.adapt)  # psi of (12), of each device's own
        return self.head(torch.cat([neighbours, x, place], dim=-1)) + torch.einsum("bnf,nfh->bnh", neighbours, readout)

    def _finish(self, out: Tensor, window: Tensor) -> Tensor:
        """Eq. (12) as printed can only divide a total among the devices; it takes the last total that was seen."""
        if self.config.head == "linear":
            return out
        return torch.softmax(out, dim=1) * window[:, 0, -1].sum(dim=-1)[:, None, None]


def _raw(window: Tensor) -> Tensor:
    """[batch, N, 2 T]: traffic and its logarithm, as a linear model would see them."""
    return window[:, :2].permute(0, 3, 1, 2).flatten(2)
