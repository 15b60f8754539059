# SPDX-License-Identifier: Apache-2.0
"""Policies: what a robot does, as a function of its observation."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from ir_drl.policies.cart import CartPolicy
from ir_drl.policies.network import NetworkPolicy, load_policy, save_policy
from ir_drl.policies.policy import Policy, RandomPolicy
from ir_drl.policies.spider import SpiderPolicy
from ir_sim.tasks import CartNavigation, SpiderPatrol, Task

__all__ = [
    "CartPolicy",
    "NetworkPolicy",
    "Policy",
    "RandomPolicy",
    "SpiderPolicy",
    "episode_seed",
    "load_policy",
    "make_policy",
    "save_policy",
]


def make_policy(task: Task, policy_file: Path | None = None, seed: int = 0) -> Policy:
    """The policy of a task: that of the file where there is one, otherwise the task's own.

    The cart drives by lidar, the spider walks a gait, every other robot acts at random.

    Raises:
        ConfigError: the policy file is damaged or does not fit the task.
    """
    policy: Policy
    if policy_file is not None:
        policy = load_policy(policy_file, task)
    elif isinstance(task, CartNavigation):
        policy = CartPolicy(task)
    elif isinstance(task, SpiderPatrol):
        policy = SpiderPolicy(task)
    else:
        policy = RandomPolicy(task)
    policy.reset(seed)
    return policy


def episode_seed(seed: int, robot: str, episode: int) -> int:
    """The seed of one robot's episode: another for every robot and episode, the same in every run."""
    return int(np.random.SeedSequence([seed, zlib.crc32(robot.encode()), episode]).generate_state(1)[0])
