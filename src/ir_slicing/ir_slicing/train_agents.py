# SPDX-License-Identifier: Apache-2.0
"""Trains the weights that live agents start from: Algorithm 1 of MAFL in the slicing environment, one global model."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ir_slicing.agent_weights import AgentWeights, save
from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.environment import EnvironmentConfig, SlicingEnvironment
from ir_slicing.learning.traffic import TrafficConfig, generate
from ir_slicing.learning.training import TrainingConfig, asking, evaluate, train

FORECAST_ERROR = 0.1
"""Deviation of the logarithm of the forecast's error in training: about what a trained twin leaves."""


def environment(seed: int, steps: int, envs: int) -> SlicingEnvironment:
    """With forecasts as good as a trained twin's: the next need times log-normal noise."""
    config = EnvironmentConfig()
    made = SlicingEnvironment(config, generate(TrafficConfig(devices=20), steps, envs, seed), seed)
    noise = np.random.default_rng([seed, 3]).standard_normal((steps, envs, made.slices))
    ahead = np.stack([made.need_at(min(t + 1, steps - 1)).blocks for t in range(steps)])
    return SlicingEnvironment(config, made.traffic, seed, ahead * np.exp(FORECAST_ERROR * noise))


def trained(seed: int, steps: int, envs: int) -> tuple[AgentWeights, DDPG]:
    """Trains the agents of the environment's slices together; their average is the model, and theirs."""
    config = DDPGConfig()
    made = environment(seed, min(steps, 600), envs)
    agent = DDPG(config, made.slices, seed)
    train(made, agent, TrainingConfig(steps=steps), seed)
    mean = agent.weights().mean(axis=0)
    agent.load_weights(np.repeat(mean[None], made.slices, axis=0))
    return AgentWeights(config.hidden, agent.architecture, mean), agent


def main() -> None:
    """Entry point of the executable ``train_agents``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "file", type=Path, help="NPZ file for the weights (parameter weights_file of manager and agents)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything [0]")
    parser.add_argument("--steps", type=int, default=3000, help="steps of all environments [3000]")
    parser.add_argument("--envs", type=int, default=4, help="parallel environments [4]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    weights, agent = trained(given.seed, given.steps, given.envs)
    test = environment(given.seed + 1, 200, given.envs)
    for name, policy in (("agents", asking(agent)), ("proportional", rules.proportional), ("equal", rules.equal)):
        print(f"{name}: reward {evaluate(test, policy).reward.mean():.4f} on traffic that they have not seen")
    save(given.file, weights)
    print(given.file)
