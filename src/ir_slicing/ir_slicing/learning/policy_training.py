# SPDX-License-Identifier: Apache-2.0
"""Algorithm 1 of MAFL: agents act, learn, and are averaged every tau steps; and how policies are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ir_common.config import Config
from ir_slicing.learning.agents.ddpg import DDPG
from ir_slicing.learning.agents.dqn import DQN
from ir_slicing.learning.federation.averaging_server import ServerConfig
from ir_slicing.learning.federation.round import Federation
from ir_slicing.learning.slicing_environment import Need, PeriodOutcome, SlicingEnvironment

Floats = NDArray[np.float64]
Policy = Callable[[SlicingEnvironment], Floats]


class PolicyTrainingConfig(Config):
    """A training run."""

    steps: int = Field(1500, ge=1, description="steps of all environments")
    episode: int = Field(25, ge=1, description="steps after which the shares are drawn anew (exploring starts)")
    federated: bool = Field(True, description="average the slices' weights")
    period: int = Field(20, ge=1, description="tau: steps between two rounds")
    personal_layers: int = Field(0, ge=0, description="last layers that stay in the slice")
    absent: float = Field(0.0, ge=0, lt=1, description="probability that a slice is missing from a round")
    server: ServerConfig = ServerConfig()


@dataclass
class TrainingHistory:
    """The course of a training run; lists have one entry a step.

    Attributes:
        reward: mean over environments and slices, with exploration.
        loss: critic loss (16), mean over slices; NaN while the agents warm up.
        traffic: bytes sent by and to all slices until then.
        probes: what `train`'s probe said, every so many steps.
    """

    reward: list[float] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    traffic: list[int] = field(default_factory=list)
    probes: list[float] = field(default_factory=list)


def train(
    environment: SlicingEnvironment, agent: DDPG | DQN, config: PolicyTrainingConfig, seed: int,
    probe: Callable[[], float] | None = None, probe_every: int = 0,
) -> TrainingHistory:  # fmt: skip
    """Runs Algorithm 1; the agent is changed in place. Same seeds, same history.

    Args:
        environment: that it learns in.
        agent: of all slices.
        config: validated.
        seed: of exploring starts and absences.
        probe: looks at the agent every ``probe_every`` steps, and changes nothing.

    Raises:
        ValueError: federation of an agent that has none (DQN).
    """
    federation = None
    if config.federated:
        if not isinstance(agent, DDPG):
            raise ValueError("DQN agents are the baseline without federation; set federated to false")
        names = tuple(profile.name for profile in environment.config.slices)
        federation = Federation(config.server, agent, names, config.personal_layers)
    rng, history = np.random.default_rng([seed, 11]), TrainingHistory()
    state = environment.reset()
    for t in range(1, config.steps + 1):
        action = agent.act(state, explore=True)
        after, outcome, done = environment.step(action)
        agent.remember(state, action, outcome.reward, after)
        losses = agent.update()
        # the traffic is a recording that begins again, not an episode that ends: the last state is bootstrapped too
        state = after
        if done or t % config.episode == 0:
            state = environment.reset(0 if done else environment.step_index, _random_shares(environment, rng))
        if federation and isinstance(agent, DDPG) and t % config.period == 0 and losses is not None:
            present = np.asarray(rng.random(environment.slices) >= config.absent)
            federation.round(agent, environment.envs * config.period, present)
        history.reward.append(float(outcome.reward.mean()))
        history.loss.append(float("nan") if losses is None else float(losses.mean()))
        if probe is not None and t % probe_every == 0:
            history.probes.append(probe())
        history.traffic.append(federation.bytes_up + federation.bytes_down if federation else 0)
    return history


def _random_shares(environment: SlicingEnvironment, rng: np.random.Generator) -> Floats:
    """[env, slice] RB: the present needs times something between a third and three, so that every ratio is seen."""
    return environment.need.blocks * np.exp(rng.uniform(-1.1, 1.1, environment.blocks.shape))


def evaluate(environment: SlicingEnvironment, policy: Policy, steps: int | None = None) -> PeriodOutcome:
    """The outcome of a policy from the first step on: [step, env, slice] each.

    Args:
        environment: is reset first.
        policy: environment -> RB [env, slice] that are asked for.
        steps: at most; nothing: to the end of the traffic.
    """
    environment.reset()
    count = min(steps or environment.steps, environment.steps - 1)
    outcomes = [environment.allocate(policy(environment))[1] for _ in range(count)]
    return PeriodOutcome(
        *(np.stack([getattr(o, n) for o in outcomes]) for n in ("reward", "utilisation", "satisfaction"))
    )


def asking(agent: DDPG | DQN) -> Policy:
    """An agent without exploration as a policy."""

    def policy(environment: SlicingEnvironment) -> Floats:
        return environment.requested(agent.act(environment.observe()))

    return policy


def foreseeing(best: Callable[[SlicingEnvironment, Need], Floats]) -> Policy:
    """A policy that is told the next need, such as `rules.clairvoyant`."""
    return lambda environment: best(environment, environment.need_at(environment.step_index + 1))
