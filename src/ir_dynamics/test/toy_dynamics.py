# SPDX-License-Identifier: Apache-2.0
"""Transitions of a robot whose dynamics are known, and networks that are learnt from them in a moment."""

import numpy as np

from ir_dynamics.dynamics_config import FittingConfig
from ir_dynamics.model_version import Begin, ModelVersion
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.transitions import UNKNOWN, Rows, TransitionLayout, layout_of

LAYOUT = TransitionLayout(num_state=2, num_action=1)
BEGIN = Begin("toy", LAYOUT)
CONFIG = FittingConfig(seed=3, initial_steps=20, publish_period=0.1, steps_per_transition=2.0)


def toy(count: int, seed: int = 0) -> Rows:
    """Transitions of a double integrator, x' = x + 0.1 v, v' = v + 0.1 a, with reward -x^2."""
    rng = np.random.default_rng(seed)
    state, action = rng.normal(size=(count, 2)), rng.uniform(-1, 1, size=(count, 1))
    following = state + 0.1 * np.column_stack([state[:, 1], action[:, 0]])
    return np.column_stack([state, action, -(state[:, 0] ** 2), following, np.zeros(count)]).astype(np.float32)


def rows(count: int, preset: str) -> Rows:
    """Toy transitions as a preset learns from them; nobody saw what was ahead."""
    if preset != "ensemble":
        return toy(count)
    made, still = LAYOUT.unpack(toy(count)), np.zeros((count, 1), np.float32)
    states = np.hstack([made.state, still]), np.hstack([made.next_state, made.action])
    others = made.reward, made.terminated, np.full(count, UNKNOWN)
    return np.column_stack([states[0], made.action, others[0], states[1], *others[1:]]).astype(np.float32)


def version(preset: str) -> ModelVersion:
    learner = TaskLearner(CONFIG.model_copy(update={"preset": preset}), Begin("toy", layout_of(preset, 2, 1)))
    learner.add(rows(300, preset))
    for _ in range(3):
        learner.step()
    made = learner.publish()
    assert isinstance(made, ModelVersion)
    return made
