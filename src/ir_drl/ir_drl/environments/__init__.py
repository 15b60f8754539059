# SPDX-License-Identifier: Apache-2.0
"""Gymnasium environments of the robots' tasks: ``import ir_drl.environments`` registers them.

``ir/CartNavigation-v0``, ``ir/SpiderPatrol-v0`` and ``ir/HopperHop-v0`` run a task on the embedded simulator in
process; ``ir/HopperStand-v0`` trains what the hopper does alone; ``ir/RosCartNavigation-v0`` and so on run a task over
ROS topics, in lockstep with a simulator node.
"""

from __future__ import annotations

import gymnasium

from ir_sim.tasks import TASKS

__all__ = ["STAND", "environment_id", "register"]

STAND = "ir/HopperStand-v0"


def environment_id(model: str, ros: bool = False) -> str:
    """Id of the environment of a robot model's task."""
    return f"ir/{'Ros' if ros else ''}{TASKS[model].__name__}-v0"


def register() -> None:
    """Registers every task's environments with Gymnasium; calling it again changes nothing."""
    for model in TASKS:
        for ros, entry in ((False, "task_env:TaskEnv"), (True, "ros_env:RosTaskEnv")):
            name = environment_id(model, ros)
            if name not in gymnasium.registry:
                gymnasium.register(name, entry_point=f"ir_drl.environments.{entry}", kwargs={"model": model})
    if STAND not in gymnasium.registry:
        gymnasium.register(STAND, entry_point="ir_drl.environments.stand_env:StandEnv")


register()
