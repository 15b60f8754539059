# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic: agent, replay, checkpoints, training loop; docs/sac.md explains it."""

from ir_drl.sac.agent import SAC
from ir_drl.sac.config import SACConfig
from ir_drl.sac.replay import MixedSampler, ReplayBuffer, Sampler, UniformSampler

__all__ = ["SAC", "MixedSampler", "ReplayBuffer", "SACConfig", "Sampler", "UniformSampler"]
