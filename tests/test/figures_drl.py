# SPDX-License-Identifier: Apache-2.0
"""Figures of policies, controllers, SAC and training with a twin, for `test_same_figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from figures import COMPUTED, LEARNT, area, short

from ir_drl.assisted import AssistedConfig, make_trainer
from ir_drl.controller import Controller, Input
from ir_drl.policies import episode_seed, make_policy
from ir_drl.sac import SAC, MixedSampler, SACConfig, UniformSampler
from ir_drl.sac.n_step_returns import NStepReturns
from ir_drl.sac.reward_curriculum import RewardCurriculumConfig
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.transitions import Transition, TransitionLayout
from ir_sim.tasks import make_task

ROBOTS = ("cart", "spider", "hopper")


class Mass(gymnasium.Env[np.ndarray, np.ndarray]):
    """A mass on a line, pushed by the action; beyond 1.5 it has fallen; 30 steps."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.uniform(-0.5, 0.5, 2), 0
        return self.state, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        (x, v), self.steps = self.state, self.steps + 1
        self.state = np.array([x + 0.3 * v, 0.9 * v + 0.5 * float(action[0])])
        return self.state, 1.0 - abs(self.state[0]), bool(abs(self.state[0]) > 1.5), self.steps >= 30, {}


def transitions(layout: TransitionLayout, count: int, capacity: int, seed: int) -> ReplayBuffer:
    """A buffer of random ones."""
    rng, buffer = np.random.default_rng(seed), ReplayBuffer(layout, capacity, action_limit=1.0)
    for _ in range(count):
        state = rng.normal(size=layout.num_state)
        action = rng.uniform(-1, 1, layout.num_action)
        reward, following = float(rng.normal()), 0.9 * state + 0.1 * action.sum()
        buffer.add(layout.pack(Transition(state, action, reward, following, bool(rng.random() < 0.1))))
    return buffer


def as_recorded(buffer: ReplayBuffer) -> np.ndarray:
    """Rows with their columns as they were recorded: state, action, next state, reward, terminated."""
    layout, columns = buffer.layout, np.arange(buffer.layout.width)
    order = np.r_[columns[layout.pair], columns[layout.next_state], layout.reward, layout.terminated]
    return buffer.rows[:, order]


@area(LEARNT)
def drl_sac() -> dict[str, Any]:
    layout, made = TransitionLayout(5, 2), {}
    for name, changes in (
        ("plain", {}), ("fixed", {"tune_entropy": False, "initial_alpha": 0.2}), ("late", {"actor_every": 2}),
    ):  # fmt: skip
        agent = SAC(SACConfig(hidden=(24, 24), batch=32, learning_rate=1e-3, **changes), layout, seed=3)
        real, twin = transitions(layout, 150, 100, 1), transitions(layout, 80, 100, 2)
        samplers = UniformSampler(real, agent.random["replay"]), MixedSampler(real, twin, 0.3, agent.random["replay"])
        for number in range(80):
            agent.update(samplers[number % 2])
        observation = np.random.default_rng(4).normal(size=(30, 5)).astype(np.float32)
        layers = [short(part) for layer in agent.policy_layers() for part in layer]
        acts = agent.act(observation), agent.act(observation, explore=True)
        made[name] = [agent.updates, agent.metrics(), *map(short, acts), acts[0][0], *layers]
    return made


def settings(algorithm: str, **changes: Any) -> AssistedConfig:
    twin = {
        "preset": "live", "period": 40, "first_fit_steps": 30, "fit_steps": 10, "starts": 64, "capacity": 300,
        "max_error": 1e6, "gan": {"hidden": 8, "batch": 16, "critic_steps": 1, "max_accuracy": 1.0,
        "max_distance_ratio": 1e6}, "gan_steps": 5,
        "ensemble": {"members": 2, "elites": 1, "hidden": (16,), "batch": 32, "check_steps": 10},
    }  # fmt: skip
    given: dict[str, Any] = {
        "algorithm": algorithm, "sac": {"hidden": (16, 16), "batch": 20}, "seed": 3, "epochs": 2, "epoch_steps": 130,
        "start_steps": 80, "updates_per_step": 1, "capacity": 1000, "evaluation_episodes": 2,
        "twin": twin | changes.pop("twin", {}),
    }  # fmt: skip
    return AssistedConfig.model_validate(given | changes)


def trained(algorithm: str, task: str = "mass", environment: Any = Mass, **changes: Any) -> dict[str, Any]:
    trainer = make_trainer(environment, settings(algorithm, **changes), task)
    records = [
        [r.epoch, r.steps, r.falls, r.training_returns, r.evaluation_returns, r.metrics] for r in trainer.run()
    ]  # fmt: skip
    rows = [short(as_recorded(trainer.replay)), short(as_recorded(trainer.n_step_replay))]
    actor, critics = short(trainer.agent.actor.flat), short(trainer.agent.critics.flat)
    trainer.close()
    return {"epochs": records, "rows": rows, "actor": actor, "critics": critics, "updates": trainer.agent.updates}


@area(LEARNT)
def drl_training() -> dict[str, Any]:
    pace = RewardCurriculumConfig(cap=0.6, allowance=0.1, growth=1.2, falls=1000)
    return {
        "sac": trained("sac"),
        "returns": trained("sac", return_steps=3, pace=pace),
        "predict": trained("predict"),
        "gan": trained("gan"),
        "best": trained("best", twin={"action_noise": 0.5, "length": (1, 3), "length_epochs": (1, 2)}),
        "falls": trained("predict", twin={"model": "ensemble", "veto": "fall", "fall_steps": 3, "fall_particles": 2}),
    }


@area(COMPUTED)
def drl_returns() -> dict[str, Any]:
    made = {}
    for steps in (1, 3, 5):
        returns, rng, out = NStepReturns(steps, 0.9), np.random.default_rng(5), []
        for number in range(60):
            place, end = np.array([float(number)]), rng.random()
            out += returns.follow(Transition(place, -place, float(rng.normal()), place + 1, end < 0.1))
            if end > 0.9:
                returns.cut()
        made[steps] = [len(out), short([one.reward for one in out]), short([one.terminated for one in out]),
                       short([one.next_state for one in out])]  # fmt: skip
    return made


@area(COMPUTED)
def drl_controllers() -> dict[str, Any]:
    """Policies that come with the stack and scripted ones, asked by controllers; some of the input is bad."""
    made = {}
    for robot in ROBOTS:
        task = make_task(robot)
        width = len(task.observation_names)
        for chosen in ("trained", "scripted"):
            controller = Controller(task, make_policy(task, Path(chosen)), robot, 3, 0.5, exploration=0.1)
            rng, actions, faults = np.random.default_rng(6), [], []
            for step in range(120):
                observation = np.abs(rng.normal(size=width)) if robot == "cart" else rng.normal(size=width)
                if step % 20 == 7:
                    observation[1] = np.nan
                name, stamp = ("other" if step % 30 == 3 else task.name), 0.1 * step - (step % 25 == 9)
                given = Input(stamp, name, step // 40, observation, terminated=step % 40 == 39)
                decision = controller.on_state(given, step % 40, 0.1 * step)
                assert decision is not None
                actions.append(decision.action)
                faults.append(bool(decision.fault))
            actions.append(controller.stale().action)
            made[f"{robot}_{chosen}"] = [short(actions), actions[0], dict(controller.faults), sum(faults)]
    return made | {"seeds": [episode_seed(1, "cart", 2), episode_seed(2**31, "spider", 0)]}
