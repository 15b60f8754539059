# SPDX-License-Identifier: Apache-2.0
"""The policy that an agent begins with."""

from __future__ import annotations

from pathlib import Path

from ir_common.config import ConfigError
from ir_drl.live.live_config import NOTHING, SHIPPED, LiveAgentConfig
from ir_drl.policies import TRAINED, NetworkPolicy, load_policy
from ir_sim.tasks import FreeTask, Task


def first_policy(config: LiveAgentConfig, task: Task) -> NetworkPolicy | None:
    """The policy that an agent for a task begins with; None: it begins with nothing.

    Raises:
        ConfigError: it is not there or does not fit, or the task has no reward to learn from.
    """
    if isinstance(task, FreeTask):
        raise ConfigError(f"learn: {task.name} has no reward to learn from; give its robot a task")
    if config.learn_from == NOTHING:
        return None
    path = Path(config.learn_from).expanduser()
    if config.learn_from == SHIPPED:
        path = TRAINED / f"{task.name}.npz"
        if not path.exists():
            raise ConfigError(f"learn_from: the stack ships no policy for {task.name}; give nothing, or a policy file")
    policy = load_policy(path, task)
    if policy.memory.length not in (0, config.memory):
        raise ConfigError(
            f"{path}: remembers {policy.memory.length} actions, an agent that learns live {config.memory}; give another"
        )
    widths = tuple(len(bias) for _, bias in policy.layers[:-1])
    if widths != config.hidden:
        raise ConfigError(
            f"{path}: has hidden layers of {widths} neurons, an agent that learns live with {config.algorithm} of "
            f"{config.hidden}; give another, or learn_from:=nothing"
        )
    return policy
