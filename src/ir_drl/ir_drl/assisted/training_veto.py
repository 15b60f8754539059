# SPDX-License-Identifier: Apache-2.0
"""The risk veto in training: actions whose predicted outcome is bad are not done (IoR section III)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ir_drl.assisted.assisted_config import TrainingModelConfig
from ir_drl.assisted.training_models import TrainingModel

Array = NDArray[Any]
Policy = Callable[[Array, bool], Array]
"""Observations [n, n_obs], and whether to explore, to actions [n, n_act]."""
WINDOW = 5000
MIN_REWARDS = 100


class Veto(Protocol):
    """A rule between the agent's action and the robot."""

    def judge(self, observation: Array, action: Array) -> Array:
        """What is done: ``action`` itself, or another where it is vetoed."""

    def update(self, rewards: Array) -> None:
        """Told of the robot's latest rewards [n] whenever the training model was fitted."""


class RewardVeto:
    """IoR's one-step rule: an action is vetoed where its predicted reward is under a threshold.

    The paper does not give the threshold: it is a low quantile of the recent real rewards here. Nor does it say what is
    done instead: here the first of some other actions of the policy that passes, or else the one predicted to be best.
    """

    def __init__(self, config: TrainingModelConfig, model: TrainingModel, policy: Policy) -> None:
        self._config, self._model, self._policy = config, model, policy
        self.threshold = -np.inf

    def update(self, rewards: Array) -> None:
        """See `Veto`."""
        recent = rewards[-WINDOW:]
        if len(recent) >= MIN_REWARDS:
            self.threshold = float(np.quantile(recent, self._config.reward_quantile))

    def judge(self, observation: Array, action: Array) -> Array:
        """See `Veto`."""
        if self._model.predict(observation[None], action[None]).reward[0] >= self.threshold:
            return action
        many = np.tile(observation, (self._config.veto_candidates, 1))
        candidates = self._policy(many, True)
        rewards = self._model.predict(many, candidates).reward
        passing = rewards >= self.threshold
        return np.asarray(candidates[passing.argmax() if passing.any() else rewards.argmax()])


class FallVeto:
    """An action is vetoed where too many of the futures that the model draws from it end in a fall.

    After the action the policy goes on without exploration. Instead of a vetoed action, the candidate with the fewest
    falls is done, in case of a tie the first of: the policy's mean action, others that it draws.
    """

    def __init__(self, config: TrainingModelConfig, model: TrainingModel, policy: Policy) -> None:
        self._config, self._model, self._policy = config, model, policy

    def update(self, rewards: Array) -> None:
        """See `Veto`."""

    def judge(self, observation: Array, action: Array) -> Array:
        """See `Veto`."""
        if self.risks(observation, action[None])[0] < self._config.fall_share:
            return action
        calm = self._policy(observation[None], False)
        others = self._policy(np.tile(observation, (self._config.veto_candidates, 1)), True)
        candidates = np.concatenate([calm, others])
        return np.asarray(candidates[self.risks(observation, candidates).argmin()])

    def risks(self, observation: Array, actions: Array) -> Array:
        """Share [n] of the futures of actions [n, n_act] that fall within `fall_steps`."""
        particles = self._config.fall_particles
        state = np.tile(observation, (len(actions) * particles, 1)).astype(np.float32)
        action, fallen = np.repeat(actions, particles, axis=0), np.zeros(len(state), bool)
        for step in range(self._config.fall_steps):
            predicted = self._model.predict(state, action if step == 0 else self._policy(state, False))
            fallen |= predicted.terminated
            if fallen.all():
                break
            state = np.where(np.isfinite(predicted.next_state), predicted.next_state, state)
        return fallen.reshape(len(actions), particles).mean(axis=1)


def make_veto(config: TrainingModelConfig, model: TrainingModel, policy: Policy) -> Veto | None:
    """Makes the configured rule; None where there is none."""
    kinds: dict[str, type[RewardVeto] | type[FallVeto]] = {"reward": RewardVeto, "fall": FallVeto}
    return kinds[config.veto](config, model, policy) if config.veto in kinds else None
