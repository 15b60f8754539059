# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic (Haarnoja et al. 2018, arXiv:1812.05905), the DRL algorithm of IoR section III."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ir_drl.policies.exploring import LOG_STD_MAX, LOG_STD_MIN
from ir_drl.sac.generators import Generators
from ir_drl.sac.network_stack import Backward, NetworkStack, Pass
from ir_drl.sac.sac_config import SACConfig
from ir_drl.sac.samplers import Sampler
from ir_dynamics.transitions import TransitionLayout

METRICS = ("critic_loss", "q", "entropy", "alpha")


class SAC:
    """The soft actor-critic agent: a squashed Gaussian actor, two critics with targets, and an entropy coefficient.

    Actions are in [-1, 1] everywhere here; whoever drives a robot scales them to the task's bounds.
    The formulas of an update, in the order in which it does them, are in `update`; their gradients are written out
    rather than recorded by autograd (docs/method/sac.md says why; a test compares updates with a plain implementation).

    Args:
        config: hyper-parameters.
        layout: of the transitions that it learns from; actions in [-1, 1].
        seed: of the generators "initial", "replay", "update" and "explore".
        device: of the networks; random numbers are drawn on the CPU, so that they do not depend on it.
    """

    def __init__(
        self, config: SACConfig, layout: TransitionLayout, seed: int, device: str | torch.device = "cpu"
    ) -> None:
        self.config, self.layout, self.device = config, layout, torch.device(device)
        self.random = Generators(seed, "initial", "replay", "update", "explore")
        self.updates = 0
        n, m, batch = layout.num_state, layout.num_action, config.batch
        self.actor = NetworkStack(1, (n, *config.hidden, 2 * m), self.device, extra=1)
        self.critics = NetworkStack(4, (n + m, *config.hidden, 1), self.device)  # two critics, then their targets
        self.actor.initialise(self.random["initial"], 1)
        self.critics.initialise(self.random["initial"], 2)
        self.online, self.targets = self.critics.flat[:2], self.critics.flat[2:]
        self.targets.copy_(self.online)
        self.log_alpha = self.actor.extra[0, 0]
        self.log_alpha.fill_(math.log(config.initial_alpha))
        self._target_entropy = float(-m) if config.target_entropy is None else config.target_entropy
        self._actor_optimiser = self._optimiser(self.actor.flat, config.actor_rate or config.learning_rate)
        self._critic_optimiser = self._optimiser(self.online, config.learning_rate)
        self.anchor = NetworkStack(1, self.actor.widths, self.device, extra=1) if config.anchor else None
        self._make_passes(batch)
        if self.anchor is not None:
            self.anchor.flat.copy_(self.actor.flat)
            self._anchor_pass = Pass(self.anchor, (0, 1), batch)
        self._rows = np.zeros((batch, layout.width), np.float32)
        self._noise = np.zeros((2 * batch, m), np.float32)
        on_host = self.device.type == "cpu"
        self._host_actor = self.actor if on_host else NetworkStack(1, self.actor.widths, torch.device("cpu"), extra=1)
        self._host_passes: dict[int, Pass] = {}
        self._host_updates = -1
        self._sums = torch.zeros(len(METRICS), device=self.device)
        self._summed = np.zeros(len(METRICS))

    def _optimiser(self, flat: Tensor, rate: float) -> torch.optim.Adam:
        flat.grad = torch.zeros_like(flat)
        return torch.optim.Adam([flat], lr=rate, fused=True)

    def _make_passes(self, batch: int) -> None:
        n, both = self.layout.num_state, (0, 2)
        assert self.actor.flat.grad is not None and self.online.grad is not None
        self._policy_pass = Pass(self.actor, (0, 1), 2 * batch)  # rows: next states, then states
        self._next_policy_pass = Pass(self.actor, (0, 1), batch)  # next states alone
        self._policy_back = Backward(self._policy_pass, (0, 1), (batch, 2 * batch), self.actor.flat.grad)
        self._critic_pass = Pass(self.critics, (0, 4), batch)
        self._critic_back = Backward(self._critic_pass, both, (0, batch), self.online.grad)
        self._reevaluation = Pass(self.critics, both, batch)
        self._reevaluation_back = Backward(self._reevaluation, both, (0, batch))
        self._alpha_gradient = self.actor.extra_of(self.actor.flat.grad)
        self._critic_inputs = (
            self._critic_pass.inputs[:2],
            self._critic_pass.inputs[2, :, :n],
            self._critic_pass.inputs[2, :, n:],
        )
        self._reevaluation_inputs = self._reevaluation.inputs[:, :, :n], self._reevaluation.inputs[:, :, n:]

    def update(self, sampler: Sampler) -> None:
        """One gradient step of critics, actor and entropy coefficient on one batch of B transitions (s, a, r, s', d).

        With a~, log pi from `_squash` at s and s', alpha = exp(log_alpha) as before this update (Haarnoja et al. 2018):

        - y = r + gamma (1 - d) (min_i Qtarget_i(s', a~') - alpha log pi(a~'|s')), d = 1 at termination, not truncation
        - critics: J_Q = 1/B sum over i and batch of (Q_i(s, a) - y)^2 / 2 (eq. 5, 6)
        - actor, with the critics just updated: J_pi = 1/B sum of alpha log pi(a~|s) - min_i Q_i(s, a~) (eq. 9)
          + c |Q| (tanh(mean) - tanh(mean of the anchor))^2, with |Q| the batch's mean of |min_i Q_i| and c = ``anchor``
          (Fujimoto and Gu 2021, arXiv:2106.06860, eq. 3, with a policy in place of the data)
        - entropy: J_alpha = -log_alpha 1/B sum of (log pi(a~|s) + target entropy) (eq. 18, with log_alpha for alpha)
        - targets: theta_target += tau (theta - theta_target)

        Actor and entropy take part in each ``actor_every``-th update only, and not in the first ``actor_after``.
        """
        with torch.inference_mode():
            sampler.fill(self._rows)
            self.random["update"].standard_normal(out=self._noise, dtype=np.float32)
            rows = torch.from_numpy(self._rows).to(self.device)
            noise = torch.from_numpy(self._noise).to(self.device)
            self._update(rows, noise)
        self.updates += 1

    def _update(self, rows: Tensor, noise: Tensor) -> None:
        layout, batch = self.layout, self.config.batch
        state = rows[:, layout.state]
        update = self.updates + 1
        improve = update > self.config.actor_after and update % self.config.actor_every == 0
        act = self._policy_pass if improve else self._next_policy_pass
        act.inputs[0, :batch] = rows[:, layout.next_state]
        if improve:
            act.inputs[0, batch:] = state
        mean, log_std = act.forward()[0].chunk(2, dim=1)
        actions, log_probability, std = _squash(mean, log_std, noise[: len(mean)])
        alpha = self.log_alpha.exp()
        self._update_critics(rows, actions[:batch], alpha * log_probability[:batch])
        if improve:
            log_probability = log_probability[batch:].mean()
            clipped = (log_std[batch:] < LOG_STD_MIN) | (log_std[batch:] > LOG_STD_MAX)
            slope = noise[batch:] * std[batch:]
            self._update_actor(state, actions[batch:], mean[batch:], slope, clipped, log_probability, alpha)
            self._sums[2] -= log_probability
            self._sums[3] += alpha
        self.targets.lerp_(self.online, self.config.target_rate)
        self._summed += (1, 1, improve, improve)

    def _update_critics(self, rows: Tensor, next_action: Tensor, entropy_term: Tensor) -> None:
        """Steps the critics; ``entropy_term`` [batch]: alpha log pi(a~'|s')."""
        layout, batch = self.layout, self.config.batch
        pair, next_state, action = self._critic_inputs
        pair.copy_(rows[:, layout.pair])
        next_state.copy_(rows[:, layout.next_state])
        action.copy_(next_action)
        self._critic_pass.inputs[3] = self._critic_pass.inputs[2]
        q = self._critic_pass.forward().squeeze(2)
        value = torch.minimum(q[2], q[3]).sub_(entropy_term).mul_(1.0 - rows[:, layout.terminated])
        target = torch.add(rows[:, layout.reward], value, alpha=self.config.discount)
        error = (q[:2] - target).div_(batch)
        self._critic_back.parameters(error.unsqueeze(2))
        self._critic_optimiser.step()
        self._sums[0] += error.square_().sum().mul_(0.5 * batch)
        self._sums[1] += q[0].mean()

    def _update_actor(
        self,
        state: Tensor,
        action: Tensor,
        mean: Tensor,
        slope: Tensor,
        clipped: Tensor,
        log_probability: Tensor,
        alpha: Tensor,
    ) -> None:
        """Steps actor and entropy coefficient.

        With a = tanh(u), u = mean + std noise: d log pi/du = 2 a, d log pi/d log std = -1 apart from that through u.
        ``slope``: du/d log std = std noise. ``clipped``: where log std was limited and gives no gradient.
        """
        batch = self.config.batch
        self._reevaluation_inputs[0].copy_(state)
        self._reevaluation_inputs[1].copy_(action)
        q = self._reevaluation.forward()
        first = q[0] <= q[1]
        of_minimum = torch.stack((first, ~first)).to(q.dtype).mul_(-1.0 / batch)
        by_action = self._reevaluation_back.inputs(of_minimum, self.layout.num_state).sum(0)
        share = alpha / batch
        by_mean = by_action * (1.0 - action.square()) + share * 2.0 * action
        by_log_std = (by_mean * slope - share).masked_fill_(clipped, 0.0)
        if self.anchor is not None:
            by_mean += self._anchored(state, mean, float(torch.minimum(q[0], q[1]).abs().mean()))
        self._policy_back.parameters(torch.cat((by_mean, by_log_std), dim=1).unsqueeze(0))
        if self.config.tune_entropy:
            self._alpha_gradient.copy_(-(log_probability + self._target_entropy))
        self._actor_optimiser.step()

    def _anchored(self, state: Tensor, mean: Tensor, value: float) -> Tensor:
        """Gradient [batch, n_act] with respect to the mean of the squared distance from the anchor's action."""
        self._anchor_pass.inputs[0].copy_(state)
        wanted = torch.tanh(self._anchor_pass.forward()[0, :, : self.layout.num_action])
        done = torch.tanh(mean)
        weight = 2.0 * self.config.anchor * value / self.config.batch
        return (done - wanted).mul_(1.0 - done.square()).mul_(weight)

    def act(self, observation: NDArray[Any], explore: bool = False) -> NDArray[np.float32]:
        """Takes the policy's actions for one observation or several.

        Args:
            observation: [n_obs] or [n, n_obs].
            explore: draw from the policy (generator "explore") rather than take tanh of its mean.

        Returns:
            [n_act] or [n, n_act], in [-1, 1].
        """
        with torch.inference_mode():
            if self._host_actor is not self.actor and self._host_updates != self.updates:
                self._host_actor.flat.copy_(self.actor.flat)
                self._host_updates = self.updates
            count = 1 if observation.ndim == 1 else len(observation)
            policy = self._host_passes.get(count)
            if policy is None:
                policy = self._host_passes[count] = Pass(self._host_actor, (0, 1), count)
            np.copyto(policy.inputs[0].numpy(), observation, casting="same_kind")
            head = policy.forward()[0].numpy()
        mean, log_std = head[:, : self.layout.num_action], head[:, self.layout.num_action :]
        if explore:
            noise = self.random["explore"].standard_normal(mean.shape, np.float32)
            mean = mean + np.exp(np.clip(log_std, LOG_STD_MIN, LOG_STD_MAX)) * noise
        action = np.tanh(mean)
        return action[0] if observation.ndim == 1 else action

    def actor_layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """(weights [out, in], biases [out]) of the actor, first to last; the last gives means, then log std."""
        flat = self.actor.flat.cpu().double().clone()
        return [(layer[0, :-1].T.numpy(), layer[0, -1].numpy()) for layer in self.actor.layers_of(flat)]

    def policy_layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """(weights [out, in], biases [out]) of the mean's network, first to last, as `ir_drl.policies` keeps them."""
        *layers, (weight, bias) = self.actor_layers()
        return [*layers, (weight[: self.layout.num_action], bias[: self.layout.num_action])]

    def go_back(self, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Sets the actor to earlier `actor_layers`, with its moments at zero; critics and entropy coefficient stay."""
        _set(self.actor, layers)
        with torch.inference_mode():  # as they were made
            for moments in self._actor_optimiser.state.values():
                for name in ("exp_avg", "exp_avg_sq", "step"):
                    moments[name].zero_()
        self._host_updates = -1

    def anchor_to(self, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> None:
        """Keeps the actor near an actor of these `actor_layers` from now on, where ``anchor`` is not zero."""
        if self.anchor is not None:
            _set(self.anchor, layers)

    def begin_with(self, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]], log_std: float) -> None:
        """Lets the actor begin with a policy of the same hidden layers, and with one log std everywhere.

        Args:
            layers: as of `policy_layers`. Inputs that the policy does not have, at the end, count for nothing.
            log_std: before the squashing.

        Raises:
            ValueError: the policy's layers are others.
        """
        ours = [layer[0] for layer in self.actor.layers]
        wanted = [(layer.shape[0] - 1, layer.shape[1]) for layer in ours]
        wanted[-1] = wanted[-1][0], self.layout.num_action
        given = [weight.shape[::-1] for weight, _ in layers]
        fits = len(given) == len(wanted) and given[0][0] <= wanted[0][0] and given[0][1] == wanted[0][1]
        if not fits or given[1:] != wanted[1:]:
            raise ValueError(f"a policy of layers {given} does not fit an actor of layers {wanted}")
        for layer, (weight, bias) in zip(ours, layers, strict=True):
            layer.zero_()
            layer[: weight.shape[1], : len(weight)] = torch.from_numpy(np.array(weight.T, np.float32))
            layer[-1, : len(bias)] = torch.from_numpy(np.array(bias, np.float32))
        ours[-1][-1, self.layout.num_action :] = log_std
        if self.anchor is not None:
            self.anchor.flat.copy_(self.actor.flat)
        self._host_updates = -1

    def metrics(self) -> dict[str, float]:
        """Means over the updates since the last call, of what had any. Entropy in nats; q is the first critic's."""
        sums = zip(METRICS, self._sums.tolist(), self._summed, strict=True)
        means = {name: float(total / count) for name, total, count in sums if count}
        self._sums.zero_()
        self._summed[:] = 0
        return means

    def state(self) -> dict[str, Any]:
        """Everything that the agent's future depends on: plain values and its own tensors, not copies."""
        return {
            "actor": self.actor.flat,
            "critics": self.critics.flat,
            **({} if self.anchor is None else {"anchor": self.anchor.flat}),
            "actor_optimiser": self._actor_optimiser.state_dict(),
            "critic_optimiser": self._critic_optimiser.state_dict(),
            "random": self.random.state(),
            "updates": self.updates,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Takes over what `state` gave; raises ValueError if it does not fit this agent's networks."""
        stacks = {"actor": self.actor, "critics": self.critics}
        if self.anchor is not None:
            stacks["anchor"] = self.anchor
        for name, stack in stacks.items():
            if state[name].shape != stack.flat.shape:
                raise ValueError(f"{name}: parameters are {list(state[name].shape)}, expected {list(stack.flat.shape)}")
            stack.flat.copy_(state[name])
        self._actor_optimiser.load_state_dict(state["actor_optimiser"])
        self._critic_optimiser.load_state_dict(state["critic_optimiser"])
        self.random.load(state["random"])
        self.updates = int(state["updates"])
        self._host_updates = -1
        self.metrics()


def _set(stack: NetworkStack, layers: Sequence[tuple[NDArray[Any], NDArray[Any]]]) -> None:
    """Sets the one network of a stack to (weights [out, in], biases [out]), first to last."""
    for layer, (weight, bias) in zip(stack.layers, layers, strict=True):
        layer[0, :-1] = torch.from_numpy(np.array(weight.T, np.float32))
        layer[0, -1] = torch.from_numpy(np.array(bias, np.float32))


def _squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Actions a = tanh(u), u = mean + std noise, their log-probabilities, and std (Haarnoja et al. 2018, appendix C).

    log pi(a) = sum over the action's parts of -noise^2/2 - log std - log(2 pi)/2 - log(1 - tanh(u)^2), where
    log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)) neither overflows nor loses digits.

    Args:
        mean, log_std, noise: [rows, actions].

    Returns:
        [rows, actions], [rows], [rows, actions].
    """
    log_std = log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)
    std = log_std.exp()
    u = torch.addcmul(mean, std, noise)
    squashed = (u + torch.nn.functional.softplus(-2.0 * u) - math.log(2.0)).mul_(2.0)
    each = squashed.sub_(log_std).sub_(noise.square(), alpha=0.5).sub_(0.5 * math.log(2.0 * math.pi))
    return torch.tanh(u), each.sum(1), std
