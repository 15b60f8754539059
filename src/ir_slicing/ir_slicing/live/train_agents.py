# SPDX-License-Identifier: Apache-2.0
"""Trains the weights that live agents start from: Algorithm 1 of MAFL in the live setting, one global model.

Writes the weights, and beside them a JSON file that says how they were made and how they did in scenes and load steps
that they were not trained on. Where agents that correct the policy forecast do worse there than it does alone, the gate
in the file is closed: they correct nothing.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from ir_common.config import ConfigError, load_yaml
from ir_common.provenance import commit_of
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SlicesFile
from ir_slicing.learning.agent_weights import AgentWeights, digest, save
from ir_slicing.learning.agents.ddpg import DDPGConfig
from ir_slicing.live.live_training import LiveTrainingConfig, gate_of, judge_scenes, told, train_live
from ir_slicing.live.load_steps import acting, judge
from ir_slicing.live.slice_agent_config import SliceAgentConfig

AGENT = DDPGConfig(rate=1e-3, noise=0.1, epsilon_steps=1500, first_weight=0.0)
HELD_OUT = range(9000, 9004)
"""Seeds of the scenes that decide on the gate."""
REHEARSALS = range(5000, 5030)
"""Seeds of the load steps on which the weights are judged."""


def rehearsed(carrier: Carrier, live: SliceAgentConfig, weights: AgentWeights, seeds: range) -> dict[str, Any]:
    """How the policies do on random load steps in simulated time (`load_steps.judge`)."""
    agent = acting(live, weights)
    return {
        policy: asdict(judge(carrier, policy, live, agent if policy == "learned" else None, seeds))
        for policy in ("learned", "forecast", "proportional", "static")
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
    default = LiveTrainingConfig()
    parser.add_argument("--action", choices=("correction", "relative"), default="correction", help="as of slice_agents")
    parser.add_argument("--seed", type=int, default=0, help="of everything [0]")
    parser.add_argument("--scenes", type=int, default=default.scenes, help="random scenes [%(default)s]")
    parser.add_argument("--reports", type=int, default=default.reports, help="report periods of each [%(default)s]")
    given = parser.parse_args()
    try:
        carrier = load_yaml(given.slices_file, SlicesFile).carrier
    except ConfigError as error:
        sys.exit(f"train_agents: {error}")
    if given.scenes < 1 or given.reports < 10:
        sys.exit("train_agents: --scenes takes 1 and more, --reports 10 and more")
    torch.set_num_threads(1)
    live, training = (
        SliceAgentConfig(action=given.action),
        LiveTrainingConfig(scenes=given.scenes, reports=given.reports),
    )
    weights = train_live(carrier, live, training, AGENT, given.seed)
    learned = judge_scenes(carrier, "learned", live, weights, HELD_OUT)
    rule = judge_scenes(carrier, "forecast", live, None, HELD_OUT)
    if given.action == "correction":
        weights = replace(weights, gate=gate_of(learned, rule))
    save(given.file, weights)
    found = rehearsed(carrier, live, weights, REHEARSALS)
    about = {
        "command": shlex.join(["ros2", "run", "ir_slicing", "train_agents", *sys.argv[1:]]),
        "seed": given.seed,
        "commit": commit_of(__file__),
        "sha256": digest(weights),
        "live agents": live.model_dump(mode="json"),
        "training": {**training.model_dump(), "agent": AGENT.model_dump(mode="json")},
        "gate": weights.gate,
        "held-out scenes": {
            "seeds": [HELD_OUT.start, HELD_OUT.stop - 1], "learned, gate open": told(learned), "forecast": told(rule),
        },
        "rehearsals": {"seeds": [REHEARSALS.start, REHEARSALS.stop - 1], **found},
    }  # fmt: skip
    given.file.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")
    for policy, row in found.items():
        print(policy, ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
    print(
        f"gate {'open' if weights.gate else 'closed'}: held-out scenes, learned {told(learned)}, forecast {told(rule)}"
    )
    print(given.file)
