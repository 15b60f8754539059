# SPDX-License-Identifier: Apache-2.0
"""One update of soft actor-critic written the plain way (modules, autograd, torch's distributions), to compare with."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ir_drl.sac import SAC
from ir_drl.sac.network_stack import NetworkStack


def module_of(stack: NetworkStack, network: int) -> nn.Sequential:
    """The network of a stack as modules."""
    parts: list[nn.Module] = []
    for layer in stack.layers:
        rows, columns = layer.shape[1] - 1, layer.shape[2]
        linear = nn.Linear(rows, columns)
        with torch.no_grad():
            linear.weight.copy_(layer[network, :-1].T)
            linear.bias.copy_(layer[network, -1])
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


class PlainSAC:
    """A copy of an agent's networks and hyper-parameters, in float64 where ``precise``."""

    def __init__(self, agent: SAC, precise: bool = False) -> None:
        kind = torch.float64 if precise else torch.float32
        self.config, self.layout, self.kind = agent.config, agent.layout, kind
        self.actor = module_of(agent.actor, 0).to(kind)
        self.anchor = None if agent.anchor is None else module_of(agent.anchor, 0).to(kind)
        self.critics = [module_of(agent.critics, i).to(kind) for i in (0, 1)]
        self.targets = copy.deepcopy(self.critics)
        self.log_alpha = agent.log_alpha.detach().clone().to(kind).requires_grad_()
        rate = self.config.learning_rate
        self.actor_adam = torch.optim.Adam(self.actor.parameters(), rate)
        self.critic_adam = torch.optim.Adam([p for critic in self.critics for p in critic.parameters()], rate)
        self.alpha_adam = torch.optim.Adam([self.log_alpha], rate)
        self.updates = 0

    def sample(self, observation: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Actions and their log-probabilities, by torch's distributions."""
        mean, log_std = self.actor(observation).chunk(2, 1)
        normal = torch.distributions.Normal(mean, log_std.clamp(-20, 2).exp())
        squash = torch.distributions.transforms.TanhTransform()
        raw = mean + normal.stddev * noise
        action = squash(raw)
        return action, (normal.log_prob(raw) - squash.log_abs_det_jacobian(raw, action)).sum(1)

    def update(self, rows: Tensor, noise: Tensor) -> None:
        """One update; noise [2 batch, actions]: for the next observations, then for the observations."""
        layout, config = self.layout, self.config
        rows, noise = rows.to(self.kind), noise.to(self.kind)
        s, a, n = rows[:, layout.state], rows[:, layout.action], rows[:, layout.next_state]
        r, d = rows[:, layout.reward], rows[:, layout.terminated]
        alpha = self.log_alpha.detach().exp()
        with torch.no_grad():
            next_action, next_log = self.sample(n, noise[: len(rows)])
            pair = torch.cat((n, next_action), 1)
            value = torch.min(*(target(pair)[:, 0] for target in self.targets)) - alpha * next_log
            goal = r + config.discount * (1 - d) * value
        critic_loss = sum(0.5 * (critic(torch.cat((s, a), 1))[:, 0] - goal).square().mean() for critic in self.critics)
        # before any step, as all parts of an update look at the same policy
        action, log = self.sample(s, noise[len(rows) :])
        self.critic_adam.zero_grad()
        critic_loss.backward()
        self.critic_adam.step()
        self.updates += 1
        if self.updates % config.actor_every == 0:
            self.improve(s, action, log, alpha)
        with torch.no_grad():
            for critic, target in zip(self.critics, self.targets, strict=True):
                for p, t in zip(critic.parameters(), target.parameters(), strict=True):
                    t.mul_(1 - config.target_rate).add_(config.target_rate * p)

    def improve(self, s: Tensor, action: Tensor, log: Tensor, alpha: Tensor) -> None:
        """Steps actor and entropy coefficient."""
        config = self.config
        q = torch.min(*(critic(torch.cat((s, action), 1))[:, 0] for critic in self.critics))
        self.actor_adam.zero_grad()
        loss = (alpha * log - q).mean()
        if self.anchor is not None:
            means = [torch.tanh(actor(s).chunk(2, 1)[0]) for actor in (self.actor, self.anchor)]
            loss = loss + config.anchor * q.detach().abs().mean() * (means[0] - means[1]).square().sum(1).mean()
        loss.backward(inputs=list(self.actor.parameters()))
        self.actor_adam.step()
        if config.tune_entropy:
            target = -self.layout.num_action if config.target_entropy is None else config.target_entropy
            self.alpha_adam.zero_grad()
            (-self.log_alpha * (log.detach() + target).mean()).backward()
            self.alpha_adam.step()
