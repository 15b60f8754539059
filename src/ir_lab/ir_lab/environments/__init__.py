# SPDX-License-Identifier: Apache-2.0
"""Gymnasium environments in which state and action cross a radio: ``import ir_lab.environments`` registers them.

``ir/StackCartNavigation-v0``, ``ir/StackSpiderPatrol-v0`` and ``ir/StackHopperHop-v0`` are a task inside the whole
stack; `RadioLink` puts a radio between any other environment and its agent.
"""

from __future__ import annotations

import gymnasium

from ir_lab.environments.radio_link import RadioLink
from ir_sim.tasks import TASKS

__all__ = ["RadioLink", "register", "stack_environment_id"]


def stack_environment_id(model: str) -> str:
    """Id of the environment of a robot model's task inside the stack."""
    return f"ir/Stack{TASKS[model].__name__}-v0"


def register() -> None:
    """Registers the environments with Gymnasium; calling it again changes nothing."""
    for model in TASKS:
        name = stack_environment_id(model)
        if name not in gymnasium.registry:
            gymnasium.register(name, entry_point="ir_lab.environments.stack_env:StackEnv", kwargs={"model": model})


register()
