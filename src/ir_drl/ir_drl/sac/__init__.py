# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic: agent, replay, checkpoints, training loop; docs/method/sac.md explains it."""

from ir_drl.sac.agent import SAC
from ir_drl.sac.agent_replay import MixedSampler, ReplayBuffer, Sampler, UniformSampler
from ir_drl.sac.sac_config import SACConfig

__all__ = ["SAC", "MixedSampler", "ReplayBuffer", "SACConfig", "Sampler", "UniformSampler"]
