# SPDX-License-Identifier: Apache-2.0
"""Trains the weights that live agents start from: Algorithm 1 of MAFL in the live setting, one global model.

Writes the weights, and beside them a JSON file that says how they were made and how they did in rehearsals.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ir_common.config import ConfigError, load_yaml
from ir_common.provenance import commit_of
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SlicesFile
from ir_slicing.learning.agent_weights import AgentWeights, digest, save
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.policy_training import PolicyTrainingConfig, train
from ir_slicing.live.live_training import SLICES, environment
from ir_slicing.live.load_steps import judge
from ir_slicing.live.slice_agent_config import SliceAgentConfig

AGENT = DDPGConfig(rate=1e-3, noise=0.05)
REHEARSALS = range(5000, 5030)
"""Seeds of the load steps on which the weights are judged."""


def trained(
    carrier: Carrier, live: SliceAgentConfig, seed: int, steps: int, envs: int, agent: DDPGConfig = AGENT
) -> AgentWeights:
    """Trains the agents of the environment's slices together; their average is the model.

    Args:
        carrier: of the slices file.
        live: of the live agents.
        seed: of everything.
        steps: of all environments.
        envs: parallel environments.
        agent: networks and learning.
    """
    made = environment(carrier, live, min(steps, 600), envs, seed)
    learner = DDPG(agent, made.slices, seed)
    train(made, learner, PolicyTrainingConfig(steps=steps), seed)
    return AgentWeights(agent.hidden, learner.architecture, learner.weights().mean(axis=0))


def rehearsed(carrier: Carrier, live: SliceAgentConfig, weights: AgentWeights, seeds: range) -> dict[str, Any]:
    """How the policies do on random load steps in simulated time (`load_steps.judge`)."""
    agent = DDPG(DDPGConfig(hidden=weights.hidden), 1, 0)
    agent.load_weights(weights.values[None])
    return {
        "learned": asdict(judge(carrier, "learned", live, agent, seeds)),
        "proportional": asdict(judge(carrier, "proportional", live, None, seeds)),
        "static": asdict(judge(carrier, "static", live, None, seeds)),
    }


def main() -> None:
    """Entry point of the executable ``train_agents``."""
    parser = argparse.ArgumentParser(prog="train_agents", description=__doc__)
    parser.add_argument(
        "file", type=Path, help="NPZ file for the weights (parameter weights_file of manager and agents)"
    )
    parser.add_argument(
        "--slices-file", type=Path, default=Path("config/slices.yaml"), help="whose carrier [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything [0]")
    parser.add_argument("--steps", type=int, default=2000, help="steps of all environments [2000]")
    parser.add_argument("--envs", type=int, default=4, help="parallel environments [4]")
    given = parser.parse_args()
    try:
        carrier = load_yaml(given.slices_file, SlicesFile).carrier
    except ConfigError as error:
        sys.exit(f"train_agents: {error}")
    torch.set_num_threads(1)
    live = SliceAgentConfig()
    weights = trained(carrier, live, given.seed, given.steps, given.envs)
    save(given.file, weights)
    found = rehearsed(carrier, live, weights, REHEARSALS)
    about = {
        "command": shlex.join(["ros2", "run", "ir_slicing", "train_agents", *sys.argv[1:]]),
        "seed": given.seed,
        "commit": commit_of(__file__),
        "sha256": digest(weights),
        "slices": SLICES,
        "live agents": live.model_dump(mode="json"),
        "training": AGENT.model_dump(mode="json"),
        "rehearsals": {"seeds": [REHEARSALS.start, REHEARSALS.stop - 1], **found},
    }
    given.file.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    for policy, row in found.items():
        print(policy, ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    print(given.file)
