# SPDX-License-Identifier: Apache-2.0
"""An ensemble of probabilistic predict networks, trained and asked in one batched pass (preset `ensemble`).

What a user needs, with rows [n, `TransitionLayout.width`] float32 as `ir_dynamics.transitions` packs them::

    model = Ensemble(EnsembleConfig(), TransitionLayout(11, 3), seed=0)
    report = model.fit(rows)  # again and again as the rows grow: goes on from where it was
    sample = model.sample(states, actions, torch.Generator().manual_seed(1))
    sample.next_state, sample.reward, sample.terminated, sample.disagreement
    model.load(saved := model.state())  # exactly the same from there on
    model.export()  # an `EnsembleNetwork`: NumPy alone, for serving

Method: Chua et al. 2018 (PETS) for members and loss, Janner et al. 2019 (MBPO) for elites and early stopping, on the
inputs and outputs of IoR's predict network (section III).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ir_common.config import ConfigError
from ir_dynamics.dynamics_config import EnsembleConfig
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.network_file import VECTORS
from ir_dynamics.predict_network import MAX_DEVIATION, PredictNetwork, spread
from ir_dynamics.predict_trainer import Adam
from ir_dynamics.transitions import Rows, TransitionLayout, heldout_mask

_CHUNK = 2048
"""Rows of a pass: more leave the cache."""
_FORMAT = 2


class FitReport(NamedTuple):
    """What a fit did."""

    steps: int
    """Gradient steps of every member in this fit."""
    heldout_loss: NDArray[np.float64]
    """[members] held-out negative log likelihood after it: of the outputs (mean per output) plus of the termination."""
    elites: tuple[int, ...]
    """Members with the least held-out loss, best first."""


class OutputDistribution(NamedTuple):
    """What every member expects of a batch."""

    mean: Tensor
    """[members, batch, num_state + 1]: next state and reward, units by the task."""
    deviation: Tensor
    """[members, batch, num_state + 1]: standard deviation of the same."""
    termination: Tensor
    """[members, batch] probability that the step ends in a terminal state."""


class Sample(NamedTuple):
    """One drawn outcome of each row."""

    next_state: Tensor
    """[batch, num_state] float32, units by the task."""
    reward: Tensor
    """[batch] float32."""
    terminated: Tensor
    """[batch] bool."""
    disagreement: Tensor
    """[batch] float32: root mean square, over outputs, of the elites' standard deviation of means, each output in units
    of its training data's standard deviation; NaN where not asked for."""


class Ensemble:
    r"""M members, each a multilayer perceptron with its own weights and its own random batches.

    .. math:: p_m(y \mid x) = N(y; \mu_m(x), \mathrm{diag}\,\sigma_m^2(x)),\quad P_m(d=1 \mid x) = \mathrm{sig}(l_m(x))

    with x = (s, a) and y = (s' - s, r), both standardised. Loss of a member over a batch: mean over outputs of
    :math:`\tfrac12((y-\mu)^2/\sigma^2 + \log\sigma^2)`, plus the cross-entropy of d; log variances are
    bounded softly between learnt limits (PETS, appendix A.1).

    Args:
        config: of members and training.
        layout: widths of state and action.
        seed: of initial weights and batches.

    Attributes:
        elites: members in use, best first.
        steps: gradient steps of every member so far.
    """

    def __init__(self, config: EnsembleConfig, layout: TransitionLayout, seed: int) -> None:
        self.config, self.layout = config, layout
        self._generator = torch.Generator().manual_seed(seed)
        self._outputs = layout.num_state + 1
        widths = [layout.num_state + layout.num_action, *config.hidden, 2 * self._outputs + 1]
        self._shapes = [s for i, o in pairwise(widths) for s in ((i, o), (1, o))] + [(1, self._outputs)] * 2
        sizes = [config.members * math.prod(shape) for shape in self._shapes]
        self._flat = torch.nn.Parameter(torch.zeros(sum(sizes)))
        self._gradient = torch.zeros_like(self._flat)
        self._parts, gradients = (
            [part.view(config.members, *shape) for part, shape in zip(whole.split(sizes), self._shapes, strict=True)]
            for whole in (self._flat.detach(), self._gradient)
        )
        for part, gradient in zip(self._parts, gradients, strict=True):
            part.requires_grad_().grad = gradient
        self._initialise()
        self.optimiser = Adam([self._flat], config.learning_rate)
        self._scale = [torch.zeros(widths[0]), torch.ones(widths[0])]
        self._scale += [torch.zeros(self._outputs), torch.ones(self._outputs)]
        self._normalised_with = 0
        self.elites = tuple(range(config.elites))
        self.steps = 0

    def fit(self, rows: Rows, heldout: Rows | None = None, max_steps: int | None = None) -> FitReport:
        """Trains all members until none gets better on held-out rows; each keeps its best weights.

        Args:
            rows: [n, width] transitions, in the order in which they were made; the oldest may be missing.
            heldout: [k, width] transitions that are not trained on; none: the blocks of ``rows`` that
                `ir_dynamics.transitions.heldout_mask` names.
            max_steps: gradient steps at most; none: the configuration's.

        Raises:
            ValueError: the width is wrong, a number is not finite, or there is nothing to train on or to hold out.
        """
        if heldout is None:
            mask = heldout_mask(0, len(rows))
            rows, heldout = rows[~mask], rows[mask]
        for given in (rows, heldout):
            if given.ndim != 2 or given.shape[1] != self.layout.width or not np.isfinite(given).all() or not len(given):
                raise ValueError(f"rows of shape {given.shape} are none, not finite, or not {self.layout.width} wide")
        if len(rows) >= 2 * self._normalised_with:
            self.normalise(rows)
            self._normalised_with = len(rows)
        stride = -(-len(heldout) // self.config.heldout_rows)
        inputs, targets, ended = self._tensors(rows)
        judged = tuple(t.expand(self.config.members, *t.shape) for t in self._tensors(heldout[::stride]))
        best, loss = [part.detach().clone() for part in self._parts], self._heldout_loss(judged)
        steps = since = 0
        limit = self.config.max_steps if max_steps is None else max_steps
        while steps < limit and since < self.config.patience:
            count = min(self.config.check_steps, limit - steps)
            for _ in range(count):
                size = (self.config.members, self.config.batch)
                chosen = torch.randint(len(inputs), size, generator=self._generator)
                self._step(inputs[chosen], targets[chosen], ended[chosen])
            steps += count
            now = self._heldout_loss(judged)
            since = 0 if (loss - now > self.config.tolerance * loss.abs().clamp(min=0.1)).any() else since + 1
            better = now < loss
            loss[better] = now[better]
            for kept, part in zip(best, self._parts, strict=True):
                kept[better] = part.detach()[better]
        for kept, part in zip(best, self._parts, strict=True):
            part.detach().copy_(kept)
        self.steps += steps
        self.elites = tuple(loss.argsort()[: self.config.elites].tolist())
        return FitReport(steps, loss.double().numpy(), self.elites)

    @property
    def rows_per_step(self) -> int:
        """Rows that `step` takes."""
        return self.config.members * self.config.batch

    def normalise(self, rows: Rows) -> None:
        """Takes means and scales from rows [n, width]."""
        batch = self.layout.unpack(rows)
        inputs = np.concatenate([batch.state, batch.action], axis=1)
        targets = np.concatenate([batch.next_state - batch.state, np.asarray(batch.reward)[:, None]], axis=1)
        scales = inputs.mean(axis=0), spread(inputs), targets.mean(axis=0), spread(targets, 1e-9)
        self._scale = [torch.from_numpy(scale.astype(np.float32)) for scale in scales]

    def step(self, rows: Rows) -> float:
        """One gradient step, of each member on its share of rows [`rows_per_step`, width]; returns the mean loss."""
        parts = (part.unflatten(0, (self.config.members, -1)) for part in self._tensors(rows))
        self.steps += 1
        return self._step(*parts) / self.config.members

    def select(self, heldout: Rows) -> None:
        """Chooses the elites by their loss on held-out rows [n, width]."""
        judged = tuple(t.expand(self.config.members, *t.shape) for t in self._tensors(heldout))
        self.elites = tuple(self._heldout_loss(judged).argsort()[: self.config.elites].tolist())

    def export(self) -> EnsembleNetwork:
        """The present members as plain arrays (copies), the elites first, best first."""
        order = [*self.elites, *sorted(set(range(self.config.members)) - set(self.elites))]
        *layers, upper, lower = (part.detach()[order].numpy() for part in self._parts)
        vectors = {name: v.numpy().copy() for name, v in zip(VECTORS, self._scale, strict=True)}
        return EnsembleNetwork(
            weights=tuple(layers[::2]), biases=tuple(layers[1::2]), limits=np.concatenate([upper, lower], axis=1),
            elites=len(self.elites), clip=MAX_DEVIATION, **vectors,
        )  # fmt: skip

    def adopt(self, network: PredictNetwork | EnsembleNetwork) -> None:
        """Goes on from an exported network of the same shape (the optimiser's moments stay).

        Raises:
            ValueError: it is no ensemble, or its layers are others.
        """
        if not isinstance(network, EnsembleNetwork):
            raise ValueError("a single predict network is not an ensemble")
        limits = network.limits[:, :1], network.limits[:, 1:]
        arrays = [a for pair in zip(network.weights, network.biases, strict=True) for a in pair] + list(limits)
        if [a.shape for a in arrays] != [tuple(part.shape) for part in self._parts]:
            raise ValueError(f"an ensemble of layers {[w.shape for w in network.weights]} is not one of this shape")
        for part, array in zip(self._parts, arrays, strict=True):
            part.detach().copy_(torch.from_numpy(array.copy()))
        self._scale = [torch.from_numpy(getattr(network, name).copy()) for name in VECTORS]
        self.elites = tuple(range(network.elites))

    def predict(self, states: Any, actions: Any) -> OutputDistribution:
        """What every member expects of states [batch, num_state] and actions [batch, num_action] (arrays, tensors)."""
        states, inputs = self._inputs(states, actions)
        inputs = inputs.expand(self.config.members, *inputs.shape)
        parts = [self._outcome(chunk) for chunk in inputs.split(_CHUNK, dim=1)]
        mean, deviation, termination = (torch.cat(part, dim=1) for part in zip(*parts, strict=True))
        mean[..., :-1] += states
        return OutputDistribution(mean, deviation, termination)

    def sample(self, states: Any, actions: Any, generator: torch.Generator, disagreement: bool = True) -> Sample:
        """One outcome of each row, drawn from a randomly chosen elite's distribution.

        Args:
            states: [batch, num_state] array or tensor, units by the task.
            actions: [batch, num_action].
            generator: source of every random number.
            disagreement: whether to ask all elites for it; without it each row is put to one elite only, which takes
                a fraction of the time.
        """
        states, inputs = self._inputs(states, actions)
        draw = self._draw_from_all if disagreement else self._draw_from_one
        parts = [draw(chunk, generator) for chunk in inputs.split(_CHUNK)]
        drawn, terminated, spreads = (torch.cat(part) for part in zip(*parts, strict=True))
        return Sample(drawn[:, :-1] + states, drawn[:, -1], terminated, spreads)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values from which `load` goes on exactly."""
        return {
            "format": _FORMAT,
            "config": self.config.model_dump_json(),
            "layout": [self.layout.num_state, self.layout.num_action],
            "weights": self._flat.detach().clone(),
            "optimiser": self.optimiser.state(),
            "scale": [scale.clone() for scale in self._scale],
            "normalised_with": self._normalised_with,
            "elites": list(self.elites),
            "steps": self.steps,
            "generator": self._generator.get_state(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave.

        Raises:
            ConfigError: it is of another format, configuration or layout, or incomplete.
        """
        try:
            layout = [self.layout.num_state, self.layout.num_action]
            if state["format"] != _FORMAT or state["layout"] != layout:
                raise ConfigError(
                    f"ensemble: saved with format {state['format']} for widths {state['layout']}; here are format "
                    f"{_FORMAT} and widths {layout}: take the checkpoint of this task and version, or train anew"
                )
            if EnsembleConfig.model_validate_json(state["config"]) != self.config:
                raise ConfigError("ensemble: saved with another configuration; give the same, or train anew")
            self._flat.data.copy_(state["weights"])
            self.optimiser.load(state["optimiser"])
            self._scale = [scale.clone() for scale in state["scale"]]
            self._normalised_with, self.steps = int(state["normalised_with"]), int(state["steps"])
            self.elites = tuple(state["elites"])
            self._generator.set_state(state["generator"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"ensemble: the saved state is damaged ({error}); take another one") from None

    def _initialise(self) -> None:
        """Truncated normal weights with deviation 1 / (2 sqrt(inputs)) as in PETS; soft limits of the log variance."""
        with torch.no_grad():
            for part in self._parts[:-2:2]:
                bound = 0.5 * part.shape[1] ** -0.5
                torch.nn.init.trunc_normal_(part, 0.0, bound, -2 * bound, 2 * bound, generator=self._generator)
            self._parts[-2].fill_(self.config.max_log_variance)
            self._parts[-1].fill_(self.config.min_log_variance)

    def _step(self, inputs: Tensor, targets: Tensor, ended: Tensor) -> float:
        self._gradient.zero_()
        mean, log_variance, logit = self._forward(inputs)
        limits = (self._parts[-2] - self._parts[-1]).sum()
        loss = _loss(mean, log_variance, logit, targets, ended).sum()
        (loss + 0.01 * limits / self._outputs).backward()
        self._flat.grad = self._gradient
        self.optimiser.step()
        return float(loss.detach())

    def _forward(self, x: Tensor, members: Sequence[int] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised mean and log variance [members, batch, outputs]; logit of termination [members, batch]."""
        parts = self._parts if members is None else [part[list(members)] for part in self._parts]
        *hidden, weight, bias, upper, lower = parts
        for w, b in zip(hidden[::2], hidden[1::2], strict=True):
            x = functional.silu(torch.baddbmm(b, x, w))
        mean, logit, raw = torch.baddbmm(bias, x, weight).split([self._outputs, 1, self._outputs], dim=2)
        log_variance = upper - functional.softplus(upper - raw)
        log_variance = lower + functional.softplus(log_variance - lower)
        return mean, log_variance, logit[..., 0]

    def _outcome(self, x: Tensor, members: Sequence[int] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Of standardised inputs [members, batch, inputs]: mean change and reward, deviation, termination."""
        with torch.no_grad():
            mean, log_variance, logit = self._forward(x, members)
            _, _, offset, scale = self._scale
            return mean * scale + offset, (0.5 * log_variance).exp() * scale, logit.sigmoid()

    def _heldout_loss(self, judged: tuple[Tensor, ...]) -> Tensor:
        """[members] mean over held-out rows."""
        inputs, targets, ended = judged
        with torch.no_grad():
            total = torch.zeros(self.config.members)
            for x, y, d in zip(*(t.split(_CHUNK, dim=1) for t in (inputs, targets, ended)), strict=True):
                total += _loss(*self._forward(x), y, d) * x.shape[1]
        return torch.nan_to_num(total / inputs.shape[1], nan=math.inf)

    def _draw_from_all(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Change and reward [batch, outputs], termination and disagreement [batch]: every elite is asked."""
        mean, deviation, termination = self._outcome(x.expand(len(self.elites), *x.shape), self.elites)
        chosen = torch.randint(len(self.elites), (len(x),), generator=generator), torch.arange(len(x))
        apart = (mean / self._scale[3]).var(dim=0, correction=0).mean(dim=1).sqrt()
        return *_draw(mean[chosen], deviation[chosen], termination[chosen], generator), apart

    def _draw_from_one(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """The same with each row put to one elite: the rows are shuffled and dealt out, some twice to fill up."""
        count, elites = len(x), len(self.elites)
        order = torch.randperm(count, generator=generator)
        dealt = order[torch.arange(-(-count // elites) * elites) % count]
        outcome = self._outcome(x[dealt].view(elites, -1, x.shape[1]), self.elites)
        mean, deviation, termination = (
            torch.empty_like(part.flatten(0, 1)[:count]).index_copy_(0, order, part.flatten(0, 1)[:count])
            for part in outcome
        )
        return *_draw(mean, deviation, termination, generator), torch.full((count,), math.nan)

    def _inputs(self, states: Any, actions: Any) -> tuple[Tensor, Tensor]:
        """The states as a tensor, and the standardised inputs [batch, num_state + num_action]."""
        states = torch.as_tensor(states, dtype=torch.float32)
        x = torch.cat([states, torch.as_tensor(actions, dtype=torch.float32)], dim=1)
        return states, ((x - self._scale[0]) / self._scale[1]).clamp_(-MAX_DEVIATION, MAX_DEVIATION)

    def _tensors(self, rows: Rows) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised inputs [n, inputs], targets [n, outputs] and ends [n] of rows [n, width]."""
        batch = self.layout.unpack(np.ascontiguousarray(rows, np.float32))
        states, inputs = self._inputs(batch.state, batch.action)
        change = torch.as_tensor(batch.next_state) - states
        targets = torch.cat([change, torch.as_tensor(batch.reward)[:, None]], dim=1)
        ended = torch.as_tensor(batch.terminated, dtype=torch.float32)
        return inputs, (targets - self._scale[2]) / self._scale[3], ended


def _loss(mean: Tensor, log_variance: Tensor, logit: Tensor, targets: Tensor, ended: Tensor) -> Tensor:
    """[members] negative log likelihood: of the outputs, mean over them and without its constant, plus of the end."""
    nll = 0.5 * ((mean - targets).square() * (-log_variance).exp() + log_variance).mean(dim=(1, 2))
    ends = functional.binary_cross_entropy_with_logits(logit, ended, reduction="none")
    return nll + ends.mean(dim=1)


def _draw(mean: Tensor, deviation: Tensor, termination: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    noise = torch.randn(mean.shape, generator=generator)
    return mean + deviation * noise, torch.rand(termination.shape, generator=generator) < termination
