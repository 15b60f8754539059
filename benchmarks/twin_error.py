# SPDX-License-Identifier: Apache-2.0
"""Held-out error of the twin's networks against persistence and a linear model, and the ensemble's calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from harness import Axis, Goal, Options, Result, interval, main
from numpy.typing import NDArray
from scipy import stats

from ir_drl.policies import RandomPolicy, make_policy
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.sac_config import SACConfig
from ir_drl.sac.training_config import TrainingConfig
from ir_dynamics.calibration import SHARES, half_widths
from ir_dynamics.dynamics_config import PRESETS, EnsembleConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.ensemble_network import EnsembleNetwork
from ir_dynamics.predict_network import Prediction, PredictionError, prediction_errors, spread
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.transitions import Rows, Transition, TransitionLayout, heldout_mask
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import Episode, Task, make_task

WORLD = Path(__file__).resolve().parents[1] / "worlds" / "robot_field.sdf"
HOPPER = "Hopper-v5"
ROBOTS = ("hopper", "cart", "spider")
NAMES = ("z", "torso", "thigh", "leg", "foot", "vx", "vz", "w torso", "w thigh", "w leg", "w foot")
NOMINAL = SHARES[SHARES < 0.96]
MODELS = ("persistence", "linear", "paper", "paper_normalised", "ensemble")


@dataclass(frozen=True)
class Size:
    """Transitions and gradient steps."""

    transitions: int
    """One in seven of them is held out."""
    steps: int


@dataclass(frozen=True)
class Data:
    """Transitions of a task, in whole blocks of 16 either trained on or held out."""

    layout: TransitionLayout
    train: Rows
    test: Transition
    scale: NDArray[np.float64]

    @classmethod
    def of(cls, layout: TransitionLayout, rows: Rows) -> Data:
        """Splits rows in the order in which they were made."""
        held = (np.arange(len(rows)) // 16) % 7 == 3
        test = layout.unpack(rows[held])
        return cls(layout, rows[~held], test, spread(test.next_state))


def hopper_v5(size: Size, seed: int) -> Data:
    """What a small SAC (2 x 64) meets while it learns Hopper-v5, from random actions to hopping."""
    config = TrainingConfig(
        sac=SACConfig(hidden=(64, 64), batch=128), seed=seed, epochs=size.transitions // 1000, evaluation_episodes=0,
        capacity=size.transitions, start_steps=min(5000, size.transitions // 2),
    )  # fmt: skip
    trainer = AgentTrainer(lambda: gymnasium.make(HOPPER), config, HOPPER)
    for _ in trainer.run():
        pass
    trainer.close()
    return Data.of(trainer.layout, trainer.replay.rows)


def robot(model: str, size: Size, seed: int) -> Data:
    """What one robot meets in the embedded simulator, episode by episode under a policy with more or less noise."""
    world = compose(WORLD, (model,))
    task, simulation, rng = make_task(model, world), Simulation(world, seed, cameras=False), np.random.default_rng(seed)
    episode = Episode(task, world.goals(model))
    layout = TransitionLayout(len(task.observation_names), len(task.action_names))
    policies = [make_policy(task, seed=seed), RandomPolicy(task)]
    period = round(task.control_period / world.time_step)
    rows = np.empty((size.transitions, layout.width), np.float32)
    step, policy, noise, action = episode.begin(simulation.sensors(model)), policies[0], 0.0, task.safe_action
    for row in rows:
        if step.ended:
            if episode.needs_reset(step):
                simulation.reset_robot(model)
            step = episode.begin(simulation.sensors(model))
            policy, noise = policies[int(rng.random() < 0.3)], rng.uniform(0.0, 0.5)
            policy.reset(int(rng.integers(2**31)))
        reach = (task.action_high - task.action_low) / 2
        wanted = task.clip(policy.act(step.observation) + noise * reach * rng.normal(size=layout.num_action))
        action = 0.5 * action + 0.5 * wanted if isinstance(policy, RandomPolicy) and noise < 0.25 else wanted
        command(simulation, task, model, action)
        simulation.step(period)
        before, step = step.observation, episode.advance(simulation.sensors(model), action)
        row[:] = layout.pack(Transition(before, action, step.reward, step.observation, step.terminated))
    return Data.of(layout, rows)


def command(simulation: Simulation, task: Task, name: str, action: NDArray[np.float64]) -> None:
    """Gives an action to the robot of the simulator."""
    if task.velocities:
        simulation.drive(name, float(action[0]), float(action[1]))
    else:
        gear = 200.0 if task.command == "joint_effort" else 1.0
        simulation.move_joints(name, task.action_names, list(action * gear))


def errors(data: Data, size: Size, seed: int) -> tuple[dict[str, PredictionError], dict[str, Any]]:
    """Held-out errors of each model, and the ensemble's calibration."""
    train, test = data.layout.unpack(data.train), data.test
    reward = float(np.mean(train.reward))
    found = {"persistence": Prediction(test.state, np.full(len(test.state), reward, np.float32))}
    found["linear"] = linear(train, test)
    for preset in ("paper", "paper_normalised"):
        trainer, rng = PredictTrainer(PRESETS[preset], data.layout, seed), np.random.default_rng(seed)
        trainer.normalise(data.train)
        for _ in range(size.steps):
            trainer.step(data.train[rng.integers(len(data.train), size=trainer.rows_per_step)])
        found[preset] = trainer.export().predict(test.state, test.action)
    ensemble = Ensemble(EnsembleConfig(max_steps=size.steps), data.layout, seed)
    report = ensemble.fit(data.train)
    outcome, elites = ensemble.predict(test.state, test.action), list(ensemble.elites)
    mean = outcome.mean[elites].mean(dim=0).numpy()
    found["ensemble"] = Prediction(mean[:, :-1], mean[:, -1])
    served, held = ensemble.export(), heldout_mask(0, len(data.train))  # those that `fit` has held out
    calibration = calibrated(served, data.layout.unpack(data.train[held]), test)
    calibration |= terminations(test.terminated, outcome.termination[elites].mean(dim=0).numpy())
    calibration["ensemble_steps"] = report.steps
    return {name: prediction_errors(guess, test, data.scale) for name, guess in found.items()}, calibration


def linear(train: Transition, test: Transition) -> Prediction:
    """Least squares from (s, a, 1) to (s' - s, r)."""

    def design(batch: Transition) -> NDArray[np.float64]:
        return np.column_stack([batch.state, batch.action, np.ones(len(batch.state))]).astype(np.float64)

    target = np.column_stack([train.next_state - train.state, train.reward])
    guess = design(test) @ np.linalg.lstsq(design(train), target, rcond=None)[0]
    return Prediction((guess[:, :-1] + test.state).astype(np.float32), guess[:, -1].astype(np.float32))


def calibrated(network: EnsembleNetwork, heldout: Transition, test: Transition) -> dict[str, Any]:
    """Share of outcomes within the central interval for each nominal share, all outputs together.

    Half widths are those measured on transitions that the fit held out and, for comparison, the normal distribution's.
    """
    widths = half_widths(network.residuals(heldout))
    assert widths is not None
    z = np.abs(network.residuals(test))
    covered = np.array([np.mean(z <= widths[:, k]) for k in range(len(NOMINAL))])
    normal = np.array([np.mean(z <= stats.norm.ppf(0.5 + share / 2)) for share in NOMINAL])
    distance, before = (float(np.mean(np.abs(one - NOMINAL))) for one in (covered, normal))
    return {"covered": covered, "calibration_error": distance, "of_the_normal_distribution": before}


def terminations(real: Any, probability: NDArray[Any]) -> dict[str, Any]:
    """How well the probability of termination is calibrated and tells apart."""
    flagged, real = probability > 0.5, np.asarray(real, bool)
    return {
        "terminated_share": float(real.mean()),
        "terminated_predicted": float(probability.mean()),
        "termination_precision": float(real[flagged].mean()) if flagged.any() else None,
        "termination_recall": float(flagged[real].mean()) if real.any() else None,
        "brier": float(np.mean((probability - real) ** 2)),
        "brier_of_the_mean": float(real.mean() * (1 - real.mean())),
    }


def run(options: Options) -> Result:
    """Hopper-v5 with the paper's numbers of transitions, our robots with fewer."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    paper = Size(2100, 100) if options.quick else Size(70_000, 5000)
    ours = Size(210, 50) if options.quick else Size(10_500, 2500)
    made = {HOPPER: [hopper_v5(paper, seed) for seed in options.seed_list]}
    made |= {model: [robot(model, ours, seed) for seed in options.seed_list] for model in ROBOTS}
    tables: dict[str, Any] = {}
    curves: dict[str, NDArray[Any]] = {}
    series: dict[str, Any] = {}
    for task, each in made.items():
        size = paper if task == HOPPER else ours
        found = [errors(data, size, seed) for data, seed in zip(each, options.seed_list, strict=True)]
        tables[task] = {
            name: {
                "state": float(np.mean([one[name].state for one, _ in found])),
                "reward": float(np.mean([one[name].reward for one, _ in found])),
                "state_dimensions": np.mean([one[name].state_dimensions for one, _ in found], axis=0),
            }
            for name in MODELS
        }
        tables[task]["reward_deviation"] = float(np.mean([np.std(data.test.reward) for data in each]))
        tables[task]["calibration"] = [calibration for _, calibration in found]
        curves[task] = np.mean([calibration["covered"] for _, calibration in found], axis=0)
        if task == HOPPER:
            rewards = [np.std(data.test.reward) for data in each]
            for name in MODELS:
                rows = [
                    [*one[name].state_dimensions, one[name].reward / deviation]
                    for (one, _), deviation in zip(found, rewards, strict=True)
                ]
                series[name] = interval(rows)
    picture(curves, options.out / "twin-error-calibration.png")
    hopper, apart = tables[HOPPER], {task: float(np.mean(np.abs(curve - NOMINAL))) for task, curve in curves.items()}
    better = hopper["ensemble"]["state"] / hopper["paper"]["state"]
    return Result(
        x=Axis("dimension of Hopper-v5", "", [*NAMES, "reward"]),
        y="held-out RMS error (standard deviations)",
        series=series,
        parameters={
            "transitions": {HOPPER: paper.transitions, "our robots": ours.transitions},
            "held_out": "1 of 7, whole blocks of 16",
            "gradient_steps": {HOPPER: paper.steps, "our robots": ours.steps},
            "behaviour": "Hopper-v5: SAC 2 x 64 from its first step on; ours: the task's policy or random, noisy",
            "ensemble": EnsembleConfig().model_dump(),
        },
        paper={"transitions": "60,000 to train, 10,000 to test (section III); no error is given"},
        goals=[
            Goal("state error of the ensemble relative to the paper's network, Hopper-v5", "< 1", better, better < 1),
            *(Goal(f"calibration error, {task}", "< 0.1", error, error < 0.1) for task, error in apart.items()),
        ],
        tables=tables,
        draw=draw,
    )


def draw(axes: Any) -> None:
    """Errors differ by orders of magnitude, and names are long."""
    axes.set_yscale("log")
    axes.tick_params(axis="x", rotation=60)


def picture(curves: dict[str, NDArray[Any]], path: Path) -> None:
    """Share of outcomes within the predicted intervals against their nominal share."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(4.8, 4.4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, label="calibrated")
    for task, curve in curves.items():
        axes.plot(NOMINAL, curve, marker="o", markersize=3, label=task)
    axes.set_xlabel("nominal share of the central interval")
    axes.set_ylabel("held-out outcomes within it")
    axes.set_title("twin-error: calibration of the ensemble")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


if __name__ == "__main__":
    main("twin-error", run, seeds=3, quick_seeds=1)
