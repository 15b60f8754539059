# SPDX-License-Identifier: Apache-2.0
"""Does ir_drl's SAC learn what stable-baselines3's does? Pendulum-v1, the same network, steps and evaluation starts."""

from __future__ import annotations

import gymnasium
import numpy as np
import stable_baselines3
import torch
from harness import Axis, Goal, Options, Result, interval, main
from scipy import stats

from ir_drl.sac import SACConfig
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.policy_evaluation import evaluate
from ir_drl.sac.training_config import TrainingConfig

TASK = "Pendulum-v1"
SOLVED = -250.0  # mean return of a policy that swings up and holds; one that does nothing gets about -1,200


def settings(seed: int, quick: bool) -> TrainingConfig:
    """One run. The network is smaller than the paper's: Pendulum needs no more, and the algorithm is the same."""
    return TrainingConfig(
        sac=SACConfig(hidden=(64, 64), learning_rate=1e-3),
        seed=seed,
        epochs=2 if quick else 8,
        epoch_steps=600 if quick else 1000,
        start_steps=400 if quick else 1000,
        evaluation_episodes=5 if quick else 20,
    )


def ours(config: TrainingConfig) -> list[float]:
    """Mean evaluation return after each epoch."""
    trainer = AgentTrainer(lambda: gymnasium.make(TASK), config, TASK)
    return [float(np.mean(epoch.evaluation_returns)) for epoch in trainer.run()]


def theirs(config: TrainingConfig) -> list[float]:
    """The same of stable-baselines3."""
    agent = stable_baselines3.SAC(
        "MlpPolicy",
        gymnasium.make(TASK),
        learning_rate=config.sac.learning_rate,
        buffer_size=config.capacity,
        learning_starts=config.start_steps,
        batch_size=config.sac.batch,
        gamma=config.sac.discount,
        tau=config.sac.target_rate,
        gradient_steps=config.updates_per_step,
        policy_kwargs={"net_arch": list(config.sac.hidden)},
        seed=config.seed,
        device="cpu",
    )
    evaluation, means = gymnasium.make(TASK), []

    def act(observation: np.ndarray) -> np.ndarray:
        return agent.predict(observation, deterministic=True)[0]

    for _ in range(config.epochs):
        agent.learn(config.epoch_steps, reset_num_timesteps=False, log_interval=None)
        means.append(float(np.mean(evaluate(evaluation, act, config.seed, config.evaluation_episodes))))
    return means


def run(options: Options) -> Result:
    """Both agents on every seed, on one core."""
    torch.set_num_threads(1)
    config = settings(0, options.quick)
    curves: dict[str, list[list[float]]] = {"ir_drl": [], "stable-baselines3": []}
    for seed in options.seed_list:
        curves["ir_drl"].append(ours(settings(seed, options.quick)))
        curves["stable-baselines3"].append(theirs(settings(seed, options.quick)))
    first, second = (np.array(curve)[:, -1] for curve in curves.values())
    test = stats.ttest_ind(first, second, equal_var=False)
    p = float(test.pvalue) if len(first) > 1 else float("nan")
    low = float(min(first.mean(), second.mean()))
    return Result(
        x=Axis("environment steps", "", [config.epoch_steps * (k + 1) for k in range(config.epochs)]),
        y="mean evaluation return",
        series={name: interval(curve) for name, curve in curves.items()},
        parameters={"task": TASK, "training": config.model_dump(exclude={"seed"}), "torch": torch.__version__},
        goals=[
            Goal("final returns agree within seed noise (Welch's t-test)", "p > 0.05", p, p > 0.05),
            Goal("both have learnt the task: the worse one's mean return", f">= {SOLVED:g}", low, low >= SOLVED),
        ],
        tables={"final_returns": {"ir_drl": first, "stable-baselines3": second}, "curves": curves},
    )


if __name__ == "__main__":
    main("drl-agreement", run)
