# SPDX-License-Identifier: Apache-2.0
"""Soft actor-critic: agent, samplers, checkpoints, training loop; docs/method/sac.md explains it."""

from ir_drl.sac.agent import SAC
from ir_drl.sac.sac_config import SACConfig
from ir_drl.sac.samplers import MixedSampler, Sampler, UniformSampler

__all__ = ["SAC", "MixedSampler", "SACConfig", "Sampler", "UniformSampler"]
