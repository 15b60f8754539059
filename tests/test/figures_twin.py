# SPDX-License-Identifier: Apache-2.0
"""Figures of the digital twin, for `test_same_figures`."""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from figures import COMPUTED, LEARNT, area, short

from ir_common.journal import Journaled
from ir_dynamics.dynamics_config import GAN_PRESETS, PRESETS, EnsembleConfig, NetworkConfig, RiskConfig
from ir_dynamics.ensemble import Ensemble
from ir_dynamics.gan import GAN
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack
from ir_dynamics.predict_network import PredictionError
from ir_dynamics.predict_trainer import PredictTrainer
from ir_dynamics.replay_buffer import ReplayBuffer
from ir_dynamics.risk_trainer import RiskTrainer
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.termination_labels import TerminationLabels
from ir_dynamics.transitions import TransitionMaker, heldout_mask, layout_of
from ir_sim.tasks import make_task
from ir_twin.fleet_twins import FleetTwins
from ir_twin.judgement import judge_all
from ir_twin.latency_histogram import LatencyHistogram
from ir_twin.robot_twin import RobotTwin
from ir_twin.task_twin import TaskTwin
from ir_twin.twin_config import LearnerConfig, TwinConfig, VetoConfig
from ir_twin.twin_journal import TwinJournal, TwinReplay

WIDTH, ACTIONS, PERIOD = 3, 2, 0.05
SAFE = np.zeros(ACTIONS)
PLAIN, WHOLE = layout_of("live", WIDTH, ACTIONS), layout_of("ensemble", WIDTH, ACTIONS)
ENSEMBLE = EnsembleConfig(members=3, elites=2, hidden=(24, 24), batch=32, max_steps=150, check_steps=25)
RISK = RiskConfig(members=2, hidden=(16, 16), batch=64, steps=150, min_transitions=100)


class Walker:
    """A point that drifts away from 0 and falls beyond 2.5; episodes are cut off after 60 steps."""

    def __init__(self, seed: int) -> None:
        self.rng, self.episode = np.random.default_rng(seed), 0
        self.begin()

    def begin(self) -> dict[str, Any]:
        """The first state of an episode."""
        self.episode, self.step = self.episode + 1, 0
        self.state = self.rng.normal(0.0, 0.3, WIDTH)
        return self.content(np.zeros(0), 0.0)

    def move(self, action: np.ndarray) -> dict[str, Any]:
        """The state after an action."""
        x, y, z = self.state
        push, turn = np.clip(action, -1.0, 1.0)
        self.state = np.array(
            [1.04 * x + 0.2 * y + 0.3 * push, 0.9 * y + 0.25 * push, 0.8 * z + 0.3 * math.sin(x) * turn]
        )
        self.state += self.rng.normal(0.0, 0.01, WIDTH)
        self.step += 1
        return self.content(np.clip(action, -1.0, 1.0), 1.0 - abs(self.state[0]))

    def content(self, action: np.ndarray, reward: float) -> dict[str, Any]:
        """As a TaskState has it."""
        return {
            "episode": self.episode, "step": self.step, "observation": self.state.copy(), "action": action.copy(),
            "reward": float(reward), "terminated": bool(abs(self.state[0]) > 2.5), "truncated": self.step >= 60,
        }  # fmt: skip


def stream(seed: int, count: int) -> Iterator[dict[str, Any]]:
    """Task states of a walker under random actions; one in 40 is lost, one in 200 is damaged."""
    walker = Walker(seed)
    told = walker.begin()
    for _ in range(count):
        ended = told["terminated"] or told["truncated"]
        if walker.rng.random() < 1 / 200:
            told["observation"][1] = np.nan
        if walker.rng.random() > 1 / 40:
            yield told
        told = walker.begin() if ended else walker.move(walker.rng.normal(0.0, 0.7, ACTIONS))


@functools.cache
def rows_of(preset: str, seed: int = 1, count: int = 1600) -> tuple[np.ndarray, tuple[int, ...]]:
    """Transitions of a stream as a preset has them, and the chain's counts."""
    layout, packed = layout_of(preset, WIDTH, ACTIONS), []
    maker, hindsight = TransitionMaker(layout), TerminationLabels(0.5 if layout.ahead else 0.0, PERIOD)
    for content in stream(seed, count):
        packed += map(layout.pack, hindsight.follow(maker.feed(**content), maker))
    packed += map(layout.pack, hindsight.end())
    return np.stack(packed), (maker.made, maker.gaps, maker.rejected)


def asked(layout: Any, count: int = 50) -> tuple[np.ndarray, np.ndarray]:
    """States and actions to ask networks about."""
    rng = np.random.default_rng(8)
    return rng.normal(size=(count, layout.num_state)), rng.uniform(-1, 1, (count, layout.num_action))


@functools.cache
def ensemble() -> tuple[Ensemble, Any]:
    model = Ensemble(ENSEMBLE, WHOLE, seed=4)
    return model, model.fit(rows_of("ensemble")[0])


@functools.cache
def risk_trainer() -> tuple[RiskTrainer, list[float]]:
    trainer, losses, rows = RiskTrainer(RISK, WHOLE, seed=5), [], rows_of("ensemble")[0]
    while trainer.fresh is None:
        losses.append(trainer.step(rows, len(rows)))
    return trainer, losses


def trained(config: NetworkConfig, steps: int) -> tuple[PredictTrainer, list[float]]:
    trainer, rows = PredictTrainer(config, PLAIN, seed=6), rows_of("live")[0]
    replay, rng = ReplayBuffer(PLAIN, 1000), np.random.default_rng(9)
    mask = heldout_mask(0, len(rows))
    replay.add(rows[~mask])
    trainer.normalise(replay.rows)
    return trainer, [trainer.step(replay.sample(rng, trainer.rows_per_step)) for _ in range(steps)]


@area(COMPUTED)
def twin_transitions() -> dict[str, Any]:
    made = {}
    for preset in ("live", "ensemble"):
        rows, counts = rows_of(preset)
        replay = ReplayBuffer(layout_of(preset, WIDTH, ACTIONS), 500)
        for part in np.array_split(rows, 7):
            replay.add(part)
        sample = replay.sample(np.random.default_rng(2), 20)
        made[preset] = [rows.shape, counts, short(rows), short(rows[:, -1]), short(replay.in_order()), short(sample)]
    histogram = LatencyHistogram()
    for value in np.random.default_rng(3).exponential(1e-3, 500):
        histogram.add(value)
    held = int(heldout_mask(5, 777).sum())
    return made | {"latency": [histogram.quantile(q) for q in (0.5, 0.99)], "held": held}


@area(LEARNT)
def twin_network() -> dict[str, Any]:
    made = {}
    small = {"hidden": (32, 32), "batch": 64}
    for name in PRESETS:
        trainer, losses = trained(PRESETS[name].model_copy(update=small), 150)
        network, batch = trainer.export(), PLAIN.unpack(rows_of("live", 2, 300)[0])
        told = network.predict(*asked(PLAIN))
        error = network.errors(batch, batch.next_state.std(axis=0))
        made[name] = [short(losses), losses[-1], told.next_state[0], short(told.next_state), short(told.reward),
                      error.reward, error.state, error.state_dimensions]  # fmt: skip
    return made


@area(LEARNT)
def twin_ensemble() -> dict[str, Any]:
    model, report = ensemble()
    states, actions = asked(WHOLE)
    all_asked, one_asked = (
        model.sample(states, actions, torch.Generator().manual_seed(3), disagreement=told) for told in (True, False)
    )
    outcome, network = model.predict(states, actions), model.export()
    told, outlook = network.predict(states, actions), network.outlook(states, actions)
    risk = network.risk(states, actions, SAFE, 3)
    return {
        "fit": [report.steps, report.heldout_loss, report.elites],
        "outcome": [short(part) for part in outcome],
        "sample": [short(all_asked.next_state), short(all_asked.reward), short(all_asked.disagreement)],
        "one_each": [short(one_asked.next_state), short(one_asked.reward), int(one_asked.terminated.sum())],
        "served": [short(told.next_state), short(told.reward), *(short(part) for part in outlook)],
        "risk": [short(risk.risk), short(risk.each), risk.risk[:3]],
    }


@area(LEARNT)
def twin_risk_to_go() -> dict[str, Any]:
    trainer, losses = risk_trainer()
    assert trainer.fresh is not None
    ahead = trainer.fresh.ahead(*asked(WHOLE))
    error = trainer.fresh.error(WHOLE.unpack(rows_of("ensemble", 2, 400)[0]))
    due = [trainer.due(count) for count in (99, 10**6)]
    return {"losses": short(losses), "ahead": [short(ahead), ahead[:, 0]], "error": error, "due": due}


@area(LEARNT)
def twin_gan() -> dict[str, Any]:
    made = {}
    for name, steps in (("paper", 15), ("improved", 30)):
        gan = GAN(GAN_PRESETS[name].model_copy(update={"hidden": 24, "batch": 32}), PLAIN, seed=7)
        gan.fit(rows_of("live")[0], steps)
        states, actions = gan.sample(40, torch.Generator().manual_seed(1))
        close = gan.judge(rows_of("live", 2, 300)[0])
        # the classifier's accuracy is a count over some 280 pairs: one at its border may change sides
        made[name] = [short(states), short(actions), close.distance, close.reference, round(close.accuracy, 1)]
    return made


def version(network: Any, number: int) -> ModelVersion:
    return ModelVersion("walk", number, network, 100, 10, PredictionError(0.1, 0.1, np.zeros(WIDTH)), 0.1)


def verdicts(rule: str, **changes: Any) -> dict[str, Any]:
    """Three robots of a task, their commands some steps late, under a rule that is enforced."""
    if rule == "reward":
        layout, network = PLAIN, trained(PRESETS["live"].model_copy(update={"hidden": (32, 32)}), 150)[0].export()
    else:
        layout, network = WHOLE, replace(ensemble()[0].export(), to_go=risk_trainer()[0].fresh)
    config = VetoConfig(mode="enforce", rule=rule, trial_steps=50, **changes)
    task = TaskTwin("walk", layout, reward_window=300)
    robots = [RobotTwin(name, task, SAFE, lambda action: np.clip(action, -1.0, 1.0)) for name in "abc"]
    walkers = [Walker(20 + k) for k in range(3)]
    waiting: list[list[np.ndarray]] = [[SAFE] * (1 + k) for k in range(3)]
    told = [walker.begin() for walker in walkers]
    rng, made, said, expected = np.random.default_rng(10), [], [], 0
    for step in range(400):
        now = step * 50_000_000
        if step in (60, 200):
            said.append(task.adopt(version(network, 1 + step // 200), config))
        if step % 40 == 39:
            said.append(task.reconsider(config))
        for robot, one in zip(robots, told, strict=True):
            robot.observe(now, "walk", **one)
            expected += robot.compensates(config) and robot.expect() is not None
        actions: list[np.ndarray | None] = [rng.normal(0.0, 0.8, ACTIONS) for _ in robots]
        if step % 97 == 96:
            actions[1] = None
        verdict = judge_all(robots, actions, now + (10**9 if step == 150 else 0), config)
        made += verdict
        for k, walker in enumerate(walkers):
            waiting[k].append(verdict[k].sent)
            if told[k]["terminated"] or told[k]["truncated"]:
                told[k], waiting[k] = walker.begin(), [SAFE] * (1 + k)
            else:
                told[k] = walker.move(waiting[k].pop(0))
        said += [robot.alarm(config) for robot in robots]
    return {
        "reasons": [{reason.name: n for reason, n in robot.counts.items() if n} for robot in robots],
        "sent_as": dict(Counter(one.sent_as.name for one in made)),
        "accepted": [robot.accepted for robot in robots],
        "probes": [robot.probes for robot in robots],
        "late": [robot.delay.steps for robot in robots],
        "expected": int(expected),
        "sent": short([one.sent for one in made]),
        "rewards": short([one.predicted_reward for one in made]),
        "risks": [short([one.risk for one in made]), short([one.sent_risk for one in made])],
        "limits": [task.threshold.value, task.risk_limit.value],
        "said": sum(line is not None for line in said),
        "episodes": [walker.episode for walker in walkers],
    }


@area(LEARNT)
def twin_verdicts() -> dict[str, Any]:
    return {
        "reward": verdicts("reward", threshold_quantile=0.1, false_veto_share=0.2),
        "given": verdicts("reward", threshold=0.3, max_veto_share=1.0, max_consecutive_vetoes=2),
        "risk": verdicts("risk", risk_limit=0.1, risk_steps=3, max_consecutive_vetoes=3),
        "risk_to_go": verdicts("risk_to_go", risk_limit=0.3, risk_candidates=16, max_consecutive_vetoes=0),
        "few": verdicts("risk", risk_limit=0.1, risk_steps=2, risk_candidates=0, on_no_model="safe"),
    }


@area(LEARNT)
def twin_learner() -> dict[str, Any]:
    made = {}
    for preset, steps in (("live", 60), ("ensemble", 6)):
        rows = rows_of(preset)[0]
        layout, told = layout_of(preset, WIDTH, ACTIONS), list[Any]()
        learner = TaskLearner(LearnerConfig(preset=preset, initial_steps=2, seed=3), Begin("walk", layout))
        for part in np.array_split(rows, 3):
            learner.add(part)
            target, losses = learner.steps + steps, []
            while learner.steps < target and learner.due():
                losses.append(learner.step())
            outcome = learner.publish()
            network = outcome.best if isinstance(outcome, RolledBack) else outcome.network
            told.append([type(outcome).__name__, learner.steps, len(losses), short(losses)])
            if isinstance(outcome, ModelVersion):
                error = outcome.error
                told[-1] += [outcome.version, outcome.transitions, error.reward, error.state, error.ahead]
                told[-1].append(short(network.predict(*asked(layout)).next_state))
        made[preset] = told
    return made


@area(COMPUTED)
def twin_journal() -> dict[str, Any]:
    """Twins that are repeated from their journal say what they said."""
    task = make_task("hopper", None)
    n, m = len(task.observation_names), len(task.action_names)
    layout = layout_of("live", n, m)
    config = TwinConfig(robots=("hopper",), mode="enforce", reward_window=500, threshold=-0.05, max_veto_share=1.0)
    shared = TaskTwin(task.name, layout, config.reward_window)
    twin = RobotTwin("hopper", shared, task.safe_action, task.clip)
    fleet = FleetTwins([shared], [twin])
    journal = TwinJournal(config, fleet, {"hopper": task})
    calls = Journaled(fleet, journal)
    calls.apply("settings", config)
    rng, verdicts = np.random.default_rng(5), []
    for step in range(150):
        if step == 30:
            calls.apply("adopt", task.name, version(PredictTrainer(PRESETS["live"], layout, 7).export(), 1))
        content = {
            "episode": step // 70, "step": step % 70, "observation": rng.normal(size=n),
            "action": rng.uniform(-1, 1, m) if step % 70 else [], "reward": float(rng.normal()),
            "terminated": step % 70 == 69,
        }  # fmt: skip
        calls.apply("observe", "hopper", step * 8_000_000, task.name, content)
        verdicts += calls.apply("judge", [("hopper", rng.normal(size=m))], step * 8_000_000)
    (_, begin), *entries = map(json.loads, journal.take()[1].splitlines())
    repeated = TwinReplay(**begin)
    said = [content for call, *arguments in entries for _, _, content in repeated.apply(call, *arguments)]
    same = sum(one["sent"] == verdict.sent.tolist() for one, verdict in zip(said, verdicts, strict=True))
    return {"same": same, "totals": repeated.totals(), "calls": dict(Counter(call for call, *_ in entries))}
