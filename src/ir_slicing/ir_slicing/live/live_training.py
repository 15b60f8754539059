# SPDX-License-Identifier: Apache-2.0
"""Algorithm 1 of MAFL in the live setting: agents learn in rehearsals, with the cell, the manager and the slice
forecasters that they will live with, and are averaged every tau reports.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from pydantic import Field

from ir_common.config import Config
from ir_radio.model.carrier import Carrier
from ir_slicing.allocation.slice_policies import PolicyName
from ir_slicing.learning.agent_weights import AgentWeights
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.federation.averaging_server import ServerConfig
from ir_slicing.learning.federation.round import Federation
from ir_slicing.live.load_steps import SLICES, acting, rehearse
from ir_slicing.live.rehearsal import Rehearsal
from ir_slicing.live.scenes import KINDS, SceneKind, scene
from ir_slicing.live.slice_agent_config import SliceAgentConfig
from ir_slicing.live.slice_sight import state_size, states_of

NAMES = tuple(f"slice_{m}" for m in range(SLICES))


class LiveTrainingConfig(Config):
    """A training run of live agents."""

    scenes: int = Field(18, ge=1, description="random scenes, `scenes.KINDS` in turn")
    reports: int = Field(400, ge=10, description="report periods of a scene; forecasters have one after 200")
    period: int = Field(20, ge=1, description="tau: reports between two rounds")


def train_live(
    carrier: Carrier, live: SliceAgentConfig, training: LiveTrainingConfig, agent: DDPGConfig, seed: int
) -> AgentWeights:
    """Trains the agents of the slices of random scenes; their average is the model. Same seed, same weights.

    Args:
        carrier: of the slices file.
        live: of the live agents.
        training: how long.
        agent: networks and learning.
        seed: of everything.
    """
    learner = DDPG(agent, SLICES, seed, state_size(live))
    federation = Federation(ServerConfig(), learner, NAMES)
    for k in range(training.scenes):
        _scene(learner, federation, carrier, live, training, seed * 1_000_003 + k, KINDS[k % len(KINDS)])
    return AgentWeights(agent.hidden, learner.architecture, learner.weights().mean(axis=0))


def _scene(
    learner: DDPG, federation: Federation, carrier: Carrier, live: SliceAgentConfig, training: LiveTrainingConfig,
    seed: int, kind: SceneKind,
) -> None:  # fmt: skip
    """One scene, with a gradient step after each report."""
    run = Rehearsal(scene(carrier, kind, seed, training.reports), "learned", live, judged=False)
    asked, before, learnt = None, None, 0
    while not run.over:
        views, _ = run.next(asked)
        seen = [(sight, view) for sight, view in zip(run.sights, views, strict=True) if view is not None]
        if len(seen) < SLICES:
            continue
        state = states_of(live, [sight.observe(view) for sight, view in seen])
        if before is not None:
            reward = np.array([sight.reward(view) for sight, view in seen])
            learner.remember(before[0][None], before[1][None], reward[None], state[None])
            losses = learner.update()
            learnt += losses is not None
            if losses is not None and learnt % training.period == 0:
                federation.round(learner, training.period, np.ones(SLICES, bool))
        action = learner.act(state[None], explore=True)[0]
        before = state, action
        asked = np.array([sight.ask(float(a), view) for (sight, view), a in zip(seen, action, strict=True)])


@dataclass(frozen=True)
class SceneJudgement:
    """Shares over held-out scenes of a kind.

    Attributes:
        missed: of the reports of all slices, in which they missed their bound.
        worst: the same, of the slice with most misses in each scene.
    """

    missed: float
    worst: float


def judge_scenes(
    carrier: Carrier, policy: PolicyName, live: SliceAgentConfig, weights: AgentWeights | None, seeds: range,
    reports: int = 400, after: int = 250,
) -> dict[str, SceneJudgement]:  # fmt: skip
    """A policy in scenes of the given seeds, by kind; the reports before ``after`` do not count."""
    agent = None if weights is None else acting(live, weights)
    found: dict[str, SceneJudgement] = {}
    for kind in KINDS:
        runs = [rehearse(scene(carrier, kind, seed, reports), policy, live, agent)[after:] for seed in seeds]
        met = np.array([[period.met for period in run] for run in runs])  # [run, report, slice]
        each = 1.0 - met.mean(axis=1)
        found[kind] = SceneJudgement(float(each.mean()), float(each.max(axis=1).mean()))
    return found


def gate_of(learned: dict[str, SceneJudgement], rule: dict[str, SceneJudgement]) -> float:
    """1: in no kind of held-out scenes do agents miss more than the rule that they correct; else 0."""
    return float(all(learned[kind].missed <= rule[kind].missed for kind in rule))


def told(found: dict[str, SceneJudgement]) -> dict[str, dict[str, float]]:
    """A judgement as plain data."""
    return {kind: asdict(one) for kind, one in found.items()}
