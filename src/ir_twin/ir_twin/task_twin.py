# SPDX-License-Identifier: Apache-2.0
"""What the robot twins of one task share: the network in use, and the threshold or limit it is held to."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_dynamics.ensemble_network import EnsembleNetwork, Risk
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.transitions import Transition, TransitionLayout
from ir_twin.twin_config import VetoConfig
from ir_twin.verdict import Array
from ir_twin.verdict_outcomes import RiskLimit
from ir_twin.veto import Threshold


class Forecast(NamedTuple):
    """What is expected of one action."""

    reward: float = math.nan
    """Of the next step, dimensionless."""
    risk: float = math.nan
    """Probability of a terminal state within `risk_steps`, or risk to go; NaN under the reward rule."""
    each: NDArray[np.floating] = np.array([np.nan])
    """[elites] the risk as each of them sees it."""


class TaskTwin:
    """What the robots of one task share: network and threshold. One network learns from all of them.

    Args:
        name: of the task.
        layout: widths of state and action.
        reward_window: recent rewards behind the automatic threshold.
    """

    def __init__(self, name: str, layout: TransitionLayout, reward_window: int) -> None:
        self.name, self.layout = name, layout
        self.threshold = Threshold(reward_window)
        self.risk_limit = RiskLimit()
        self.model: ModelVersion | None = None
        self._fresh: list[Transition] = []

    @property
    def version(self) -> int:
        """Of the network in use, 0: none yet."""
        return self.model.version if self.model else 0

    def adopt(self, model: ModelVersion, config: VetoConfig) -> str | None:
        """Takes a new version into use; returns a new objection to the given threshold, if there is one."""
        objection = self.reconsider(config)  # of the steps until now, as the old version sees them
        self.model = model
        return objection

    def recall(self, predicted: ArrayLike, rewards: ArrayLike, config: VetoConfig) -> None:
        """Takes in what the network in use predicts [n] of steps that it did not learn from, and what they gave [n].

        So there is a threshold from the first proposal on, by outcomes and errors that were measured.
        """
        real = np.asarray(rewards, np.float64)
        for reward in real.tolist():
            self.threshold.add(reward)
        self.threshold.compare(np.asarray(predicted, np.float64), real, config)
        self.threshold.update(config)

    def experience(self, transition: Transition) -> None:
        """Takes a real step in."""
        self.threshold.add(float(transition.reward))
        if self.model is not None:
            self._fresh.append(transition)

    def reconsider(self, config: VetoConfig) -> str | None:
        """Compares predictions with what came of it and sets the threshold anew.

        Returns an objection to the given threshold that was not there before.
        """
        if self._fresh and self.model is not None:
            states, actions = (np.stack([step[i] for step in self._fresh]) for i in (0, 1))
            real = np.array([step.reward for step in self._fresh])
            self.threshold.compare(self.model.network.predict(states, actions).reward, real, config)
            self._fresh.clear()
        self.risk_limit.update(config)
        before = self.threshold.refused
        self.threshold.update(config)
        return self.threshold.refused if before is None else None

    def limit(self, config: VetoConfig) -> float:
        """Threshold or risk limit of the rule in use; NaN: none yet."""
        return self.risk_limit.value if config.by_risk else self.threshold.value

    def forecast(self, states: Array, actions: Array, safe_action: Array, config: VetoConfig) -> list[Forecast]:
        """What the network in use expects of states [batch, num_state] and actions [batch, num_action].

        Under the risk rule, what is done after ``actions`` is the safe action.
        """
        if self.model is None:
            return [Forecast()] * len(actions)
        rewards = self.model.network.predict(states, actions).reward.tolist()
        if not config.by_risk:
            return [Forecast(reward) for reward in rewards]
        risk, each = self.risk(states, actions, safe_action, config)
        return [Forecast(*one) for one in zip(rewards, risk.tolist(), each.T, strict=True)]

    def risk(self, states: Array, actions: Array, safe_action: Array, config: VetoConfig) -> Risk:
        """The risk of each row under the rule in use, see `forecast`; NaN without a network that knows it."""
        network = self.model.network if self.model else None
        if not isinstance(network, EnsembleNetwork):
            unknown = np.full(len(actions), np.nan, np.float32)
            return Risk(unknown, unknown[None])
        if config.rule == "risk":
            return network.risk(states, actions, safe_action, config.risk_steps)
        return network.risk_to_go(states, actions)

    def able(self, config: VetoConfig) -> bool:
        """Whether the network in use has learnt what the rule asks."""
        network = self.model.network if self.model else None
        if config.rule == "risk_to_go":
            return isinstance(network, EnsembleNetwork) and network.to_go is not None
        return network is not None
