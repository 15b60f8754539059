# SPDX-License-Identifier: Apache-2.0
"""Slices that are not alike: one policy for all, personal last layers, and no federation.

The slices differ in how well their traffic can be foretold: from 2 % to 25 % error. Who knows the future asks for what
it needs, who does not asks for more; one policy for all can do neither. The forecasts are the next needs times
log-normal noise of each slice's own deviation, so that nothing but that differs.
"""

from __future__ import annotations

import numpy as np
import torch
from _kept_pieces import kept
from harness import Axis, Goal, Options, Result, interval, main

from ir_slicing.learning.agents import rules
from ir_slicing.learning.agents.ddpg import DDPG, DDPGConfig
from ir_slicing.learning.device_traffic import TrafficConfig, generate
from ir_slicing.learning.policy_training import Policy, PolicyTrainingConfig, asking, evaluate, foreseeing, train
from ir_slicing.learning.slicing_environment import EnvironmentConfig, SlicingEnvironment

ERRORS = (0.02, 0.25, 0.04, 0.2, 0.03, 0.15)
FORMS = {"one policy for all": 0, "last layers personal": 1, "no federation": None}
ENVS, DEVICES = 2, 20
RATES = tuple(5.0 * rate for rate in TrafficConfig().rates)
"""As many bit/s from 20 devices as from the paper's 100."""


def environment(seed: int, steps: int) -> SlicingEnvironment:
    """Slices with forecasts of unlike quality."""
    config = EnvironmentConfig()
    made = SlicingEnvironment(config, generate(TrafficConfig(devices=DEVICES, rates=RATES), steps, ENVS, seed), seed)
    ahead = np.stack([made.need_at(min(t + 1, steps - 1)).blocks for t in range(steps)])
    noise = np.random.default_rng([seed, 3]).standard_normal(ahead.shape) * ERRORS
    return SlicingEnvironment(config, made.traffic, seed, ahead * np.exp(noise))


def tested(policy: Policy, seed: int, quick: bool) -> float:
    """Reward on a test of other traffic."""
    return float(evaluate(environment(seed + 500, 60 if quick else 300), policy).reward.mean())


def piece(form: str, steps: int, seed: int, quick: bool) -> float:
    """Reward of a form's agents on the test."""
    personal = FORMS[form]
    config = PolicyTrainingConfig(steps=steps, federated=personal is not None, personal_layers=personal or 0)
    agent = DDPG(DDPGConfig(), len(ERRORS), seed)
    train(environment(seed, min(steps, 800)), agent, config, seed)
    return tested(asking(agent), seed, quick)


def run(options: Options) -> Result:
    """All forms, lengths of training and seeds."""
    torch.set_num_threads(1)
    lengths = [200, 320] if options.quick else [500, 1500]
    sources = (
        "agents", "federation", "policy_training.py", "slicing_environment.py", "satisfaction.py", "device_traffic.py",
        "../allocation/carrier_sharing.py",
    )  # fmt: skip
    found = {
        form: np.array(
            [
                [
                    kept(
                        "slicing-personal", {"piece": f"{form} {steps} {seed}", "errors": ERRORS}, sources,
                        lambda form=form, steps=steps, seed=seed: piece(form, steps, seed, options.quick),  # type: ignore[misc]
                    )
                    for steps in lengths
                ]
                for seed in options.seed_list
            ]
        )
        for form in FORMS
    }  # fmt: skip
    best = [
        kept(
            "slicing-personal", {"piece": f"bound {seed}{' quick' * options.quick}", "errors": ERRORS}, sources,
            lambda seed=seed: tested(foreseeing(rules.clairvoyant), seed, options.quick),  # type: ignore[misc]
        )
        for seed in options.seed_list
    ]  # fmt: skip
    names = list(FORMS)
    gain = 100.0 * (found[names[1]] / found[names[0]] - 1.0)
    at_end = interval(gain[:, -1:])
    return Result(
        Axis("training steps", "", lengths),
        "mean reward (14) on the test",
        {form: interval(values) for form, values in found.items()},
        {"forecast errors": ERRORS, "devices": DEVICES, "environments": ENVS, "agent": DDPGConfig().model_dump()},
        {"section VI": "policies for non-IID slices are the paper's future work"},
        [
            Goal(
                f"reward that personal last layers gain over one policy for all, {lengths[-1]} steps",
                "> 0, with its 95 % interval",
                f"{at_end['mean'][0]:+.2f} % +- {at_end['ci95'][0]:.2f}",
                at_end["mean"][0] > at_end["ci95"][0],
            )
        ],
        {
            "gain of personal last layers (%)": interval(gain),
            "reward, of the clairvoyant bound's (%)": {
                form: interval(100.0 * values / np.array(best)[:, None]) for form, values in found.items()
            },
        },
    )


if __name__ == "__main__":
    main("slicing-personal", run)
