# SPDX-License-Identifier: Apache-2.0
"""Policies: what a robot does, as a function of its observation."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from ir_drl.policies.cart import CartPolicy
from ir_drl.policies.policy import Policy, RandomPolicy
from ir_drl.policies.spider import SpiderPolicy
from ir_sim.action_memory import ActionMemory
from ir_sim.network_policy import NetworkPolicy, load_policy, save_policy
from ir_sim.tasks import CartNavigation, SpiderPatrol, Task

__all__ = [
    "CHOICES",
    "TRAINED",
    "ActionMemory",
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


TRAINED = Path(__file__).parent / "trained"
"""Policies that come with the stack: of each task a file TASK.npz, and in TASK.json what made it."""
CHOICES = ("trained", "scripted")
"""Words in place of a file."""


def make_policy(task: Task, chosen: Path | None = None, seed: int = 0) -> Policy:
    """The policy of a task.

    Args:
        chosen: a policy file; or ``trained``, the one that comes with the stack; or ``scripted``, written by hand: the
            cart drives by lidar, the spider walks a gait, every other robot acts at random. None: trained where there
            is one.

    Raises:
        ConfigError: the policy file is missing, damaged or does not fit the task.
    """
    policy: Policy
    trained = TRAINED / f"{task.name}.npz"
    word = str(chosen or CHOICES[not trained.exists()])
    if word not in CHOICES:
        policy = load_policy(Path(word), task)
    elif word == "trained":
        policy = load_policy(trained, task)
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
