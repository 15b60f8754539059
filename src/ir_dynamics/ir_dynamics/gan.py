# SPDX-License-Identifier: Apache-2.0
"""The generator of (state, action) pairs of IoR section III, and the test that its pairs must pass before use::

gan = GAN(GAN_PRESETS["paper"], TransitionLayout(11, 3), seed=0)
gan.fit(rows, steps=2000)
if gan.judge(heldout_rows).passes:
    states, actions = gan.sample(1000, torch.Generator().manual_seed(1))
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import GANConfig
from ir_dynamics.predict_network import spread
from ir_dynamics.transitions import Rows, TransitionLayout

_CLIP = 0.01
_DIRECTIONS = 64
_JUDGED = 2000
_CLASSIFIER_STEPS = 600
_FORMAT = 1


class Closeness(NamedTuple):
    """How close generated pairs are to real ones."""

    distance: float
    """Sliced Wasserstein-1 distance to real pairs, in standard deviations of each column."""
    reference: float
    """The same between two halves of the real pairs."""
    accuracy: float
    """Of a classifier on pairs that it was not trained on; 0.5: it cannot tell them apart."""
    passes: bool
    """distance / reference and accuracy are within the configured limits."""


class GAN:
    r"""A Wasserstein GAN of (state, action) pairs: the critic f and the generator G of

    .. math:: \min_G \max_{f} E[f(s, a)] - E[f(G(z))],\qquad z \sim N(0, I)

    The paper names layers, hidden width, batch 64 and RMSprop at 5e-5. Those are the values of Arjovsky et al. 2017
    (algorithm 1), as is a critic that ends linearly; so its loss, five critic steps and weights clipped to 0.01 are
    taken from there. Differs from the paper, which does not name an output layer: the four blocks of the generator are
    followed by a linear layer, since LeakyReLU would damp negative values.

    Args:
        config: networks, training, gate.
        layout: widths of state and action.
        seed: of initial weights, batches and noise.

    Attributes:
        steps: generator steps so far.
    """

    def __init__(self, config: GANConfig, layout: TransitionLayout, seed: int) -> None:
        self.config, self.layout, self.steps = config, layout, 0
        self._random = torch.Generator().manual_seed(seed)
        width, hidden = layout.num_state + layout.num_action, config.hidden
        blocks: list[nn.Module] = []
        for i in range(config.generator_blocks):
            inputs = hidden if i else config.latent
            blocks += [nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.LeakyReLU(0.2)]
        self.generator = nn.Sequential(*blocks, nn.Linear(hidden, width))
        blocks = []
        for i in range(config.critic_blocks):
            blocks += [nn.Linear(hidden if i else width, hidden), nn.LeakyReLU(0.2)]
        self.critic = nn.Sequential(*blocks, nn.Linear(hidden, 1))
        _initialise(self.generator, self._random)
        _initialise(self.critic, self._random)
        nets = self.generator, self.critic
        self._optimisers = [torch.optim.RMSprop(net.parameters(), config.learning_rate) for net in nets]
        self._mean, self._scale = torch.zeros(width), torch.ones(width)
        self._low, self._high = torch.full((width,), -torch.inf), torch.full((width,), torch.inf)

    def fit(self, rows: Rows, steps: int) -> None:
        """Makes ``steps`` generator steps (and `critic_steps` critic steps for each) on transitions [n, width].

        Raises:
            ValueError: the width is wrong, or a number is not finite.
        """
        real = self._pairs(rows)
        if self.config.normalise:
            self._mean = real.mean(dim=0)
            self._scale = torch.from_numpy(spread(real.numpy()).astype(np.float32))
            self._low, self._high = real.amin(dim=0), real.amax(dim=0)
        real = (real - self._mean) / self._scale
        self.generator.train()
        for _ in range(steps):
            for _ in range(self.config.critic_steps):
                chosen = torch.randint(len(real), (self.config.batch,), generator=self._random)
                self._critic_step(real[chosen])
            self._update(0, -self.critic(self._generate()).mean())
            self.steps += 1

    def sample(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Generated states [count, num_state] and actions [count, num_action], units by the task."""
        self.generator.eval()
        with torch.no_grad():
            made = self.generator(torch.randn(count, self.config.latent, generator=generator))
            made = torch.clamp(made * self._scale + self._mean, self._low, self._high)
        return made[:, : self.layout.num_state], made[:, self.layout.num_state :]

    def judge(self, rows: Rows, seed: int = 0) -> Closeness:
        """Measures how close generated pairs are to those of real transitions [n, width] that were not trained on.

        Raises:
            ValueError: under 100 rows, the width is wrong, or a number is not finite.
        """
        rng = torch.Generator().manual_seed(seed)
        real = self._pairs(rows)
        if len(real) < 100:
            raise ValueError(f"{len(real)} transitions are too few to judge by; give 100 or more")
        made = torch.cat(self.sample(min(len(real), _JUDGED), rng), dim=1)
        return closeness(made, real[torch.randperm(len(real), generator=rng)[:_JUDGED]], self.config, rng)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on exactly."""
        optimisers = io.BytesIO()
        torch.save([optimiser.state_dict() for optimiser in self._optimisers], optimisers)
        return {
            "format": _FORMAT,
            "config": self.config.model_dump_json(),
            "layout": [self.layout.num_state, self.layout.num_action],
            "generator": {name: value.clone() for name, value in self.generator.state_dict().items()},
            "critic": {name: value.clone() for name, value in self.critic.state_dict().items()},
            "optimisers": torch.frombuffer(bytearray(optimisers.getvalue()), dtype=torch.uint8),
            "scale": [self._mean.clone(), self._scale.clone(), self._low.clone(), self._high.clone()],
            "steps": self.steps,
            "random": self._random.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave.

        Raises:
            ConfigError: it is of another format, configuration or layout, or damaged.
        """
        try:
            mine = [_FORMAT, self.config.model_dump_json(), [self.layout.num_state, self.layout.num_action]]
            if [state["format"], state["config"], state["layout"]] != mine:
                raise ConfigError(
                    "GAN: saved with another format, configuration or widths; give the same, or train anew"
                )
            self.generator.load_state_dict(state["generator"])
            self.critic.load_state_dict(state["critic"])
            saved = torch.load(io.BytesIO(state["optimisers"].numpy().tobytes()), weights_only=True)
            for optimiser, content in zip(self._optimisers, saved, strict=True):
                optimiser.load_state_dict(content)
            self._mean, self._scale, self._low, self._high = (value.clone() for value in state["scale"])
            self.steps = int(state["steps"])
            self._random.set_state(state["random"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"GAN: the saved state is damaged ({error}); take another one") from None

    def _generate(self) -> Tensor:
        made: Tensor = self.generator(torch.randn(self.config.batch, self.config.latent, generator=self._random))
        return made

    def _critic_step(self, real: Tensor) -> None:
        with torch.no_grad():
            made = self._generate()
        loss = self.critic(made).mean() - self.critic(real).mean()
        self._update(1, loss)
        with torch.no_grad():
            for parameter in self.critic.parameters():
                parameter.clamp_(-_CLIP, _CLIP)

    def _update(self, which: int, loss: Tensor) -> None:
        for optimiser in self._optimisers:
            optimiser.zero_grad()
        loss.backward()
        self._optimisers[which].step()

    def _pairs(self, rows: Rows) -> Tensor:
        """[n, num_state + num_action] of transitions [n, width]."""
        if rows.ndim != 2 or rows.shape[1] != self.layout.width or not np.isfinite(rows).all():
            raise ValueError(f"rows of shape {rows.shape} are not finite, or not {self.layout.width} wide")
        batch = self.layout.unpack(rows)
        return torch.from_numpy(np.concatenate([batch.state, batch.action], axis=1, dtype=np.float32))


def closeness(made: Tensor, real: Tensor, config: GANConfig, rng: torch.Generator) -> Closeness:
    """Compares generated with real pairs, both [n, columns]; the columns are standardised by the real ones."""
    mean, scale = real.mean(dim=0), torch.from_numpy(spread(real.numpy()).astype(np.float32))
    made, real = (made - mean) / scale, (real - mean) / scale
    directions = torch.nn.functional.normalize(torch.randn(real.shape[1], _DIRECTIONS, generator=rng), dim=0)
    half = min(len(real) // 2, len(made))
    reference = sliced_wasserstein(real[:half], real[half : 2 * half], directions)
    distance = sliced_wasserstein(made[:half], real[:half], directions)
    accuracy = classifier_accuracy(made, real, rng)
    passes = distance <= config.max_distance_ratio * reference and accuracy <= config.max_accuracy
    return Closeness(distance, reference, accuracy, passes)


def sliced_wasserstein(one: Tensor, other: Tensor, directions: Tensor) -> float:
    r"""Mean over directions [columns, k] of the Wasserstein-1 distance of the projections of two sets [n, columns].

    In one dimension it is the mean difference of the sorted values (Rabin et al. 2011).
    """
    return float(((one @ directions).sort(dim=0).values - (other @ directions).sort(dim=0).values).abs().mean())


def classifier_accuracy(made: Tensor, real: Tensor, rng: torch.Generator) -> float:
    """Accuracy with which a small network tells the two apart, on the half it was not trained on.

    The classifier two-sample test of Lopez-Paz and Oquab 2017. Both sets are standardised [n, columns].
    """
    count = min(len(made), len(real))
    x = torch.cat([made[:count], real[:count]]).clamp(-10, 10)
    label = torch.cat([torch.zeros(count), torch.ones(count)])
    order = torch.randperm(2 * count, generator=rng)
    train, test = order[:count], order[count:]
    net = nn.Sequential(nn.Linear(x.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    _initialise(net, rng)
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    entropy: Callable[[Tensor, Tensor], Tensor] = nn.functional.binary_cross_entropy_with_logits
    for _ in range(_CLASSIFIER_STEPS):
        chosen = train[torch.randint(count, (128,), generator=rng)]
        optimiser.zero_grad()
        entropy(net(x[chosen]).squeeze(1), label[chosen]).backward()
        optimiser.step()
    with torch.no_grad():
        return float(((net(x[test]).squeeze(1) > 0) == (label[test] > 0.5)).float().mean())


def _initialise(net: nn.Module, generator: torch.Generator) -> None:
    """Torch's default for linear layers, from a generator of our own."""
    for layer in net.modules():
        if isinstance(layer, nn.Linear):
            with torch.no_grad():
                bound = layer.in_features**-0.5
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.uniform_(-bound, bound, generator=generator)
