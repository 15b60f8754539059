# SPDX-License-Identifier: Apache-2.0
"""The training that an agent makes that learns live."""

from __future__ import annotations

from typing import Any

from ir_drl.assisted.assisted_config import PACES, AssistedConfig
from ir_drl.live.live_config import NOTHING, LiveAgentConfig
from ir_dynamics.dynamics_config import GAN_PRESETS

LOG_STD = -2.0
"""Of an actor that begins with a policy, before the squashing: it explores by 0.13 of half an action's range."""
ENVIRONMENTS = {"hopper_hop": "ir/HopperHop-v0"}
"""What a task's pace is called by in `PACES`."""


def agent_training(config: LiveAgentConfig, task: str) -> AssistedConfig:
    """The training that an agent for a task makes: the algorithm's, with networks as small as a shared core bears.

    There is no veto of the training model's own: in the stack the robot's twin judges what is proposed.
    """
    sac: dict[str, Any] = {"hidden": config.hidden}
    algorithm = config.algorithm
    if algorithm == "paper":
        algorithm = "gan"
    else:
        sac |= {"batch": 128, "actor_every": 2}
    given: dict[str, Any] = {"algorithm": algorithm, "seed": config.seed, "sac": sac, "capacity": 300_000}
    if algorithm != "sac":
        given["twin"] = {"veto": "none"}
    if config.algorithm in ("predict", "gan"):
        given["twin"] |= {"preset": "live", "first_fit_steps": 500, "fit_steps": 125, "gan_steps": 50}
    elif config.algorithm == "paper":
        given["twin"] |= {"preset": "paper", "gan": GAN_PRESETS["paper"].model_dump()}
    if config.learn_from != NOTHING:
        # Critics first: an actor that knows how to stand is not to be led by critics that know nothing. With one-step
        # returns and slow targets their values of a policy that stands would take 20,000 updates to rise. And what they
        # say of actions that nobody tried is no knowledge: the actor stays near the version that has proved itself.
        sac |= {"actor_after": 3000, "target_rate": 0.01, "initial_alpha": 0.02, "tune_entropy": False, "anchor": 0.2}
        given |= {"start_steps": 250, "return_steps": 10}
    made = AssistedConfig.model_validate(given)
    if made.task_pace:
        made = made.model_copy(update={"pace": PACES.get(ENVIRONMENTS.get(task, ""))})
    return made
