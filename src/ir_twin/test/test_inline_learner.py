# SPDX-License-Identifier: Apache-2.0
"""The learner in the model's time: steps by simulated time alone, the same versions for the same calls."""

from pathlib import Path

import numpy as np
import torch

from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import ModelVersion
from ir_dynamics.transitions import Transition, TransitionLayout
from ir_sim.tasks import make_task
from ir_twin.inline_learner import InlineLearner
from ir_twin.twin_config import LearnerConfig, TwinConfig
from ir_twin.twin_engine import LearnerPort, TwinEngine
from ir_twin.verdict import Proposed

torch.set_num_threads(1)
LAYOUT = TransitionLayout(2, 1)
CONFIG = LearnerConfig(min_transitions=48, initial_steps=10, publish_period=2.0)


def transition(rng: np.random.Generator) -> Transition:
    state, action = rng.normal(size=2), rng.normal(size=1)
    return Transition(state, action, float(state[0]), 0.9 * state + 0.1 * action, 0.0)


def learnt(config: LearnerConfig, seconds: float = 10.0, rate: float = 50.0, quiet: float = 0.0) -> InlineLearner:
    """A learner that was given 20 transitions a second of each of two tasks, after a time without any."""
    learner, rng = InlineLearner(config, lambda line: None, rate), np.random.default_rng(4)
    port: LearnerPort = learner
    for name in ("a", "b"):
        port.declare(name, LAYOUT)
    learner.advance(0.0)
    learner.advance(quiet)
    for step in range(round(20 * seconds)):
        for name in ("a", "b"):
            port.add(name, transition(rng))
        learner.advance(quiet + (step + 1) / 20)
    return learner


def steps(learner: InlineLearner) -> int:
    return sum(task.learner.steps for task in learner._tasks.values() if task.learner)


def test_the_same_calls_give_the_same_versions() -> None:
    first, second = learnt(CONFIG).poll(), learnt(CONFIG).poll()
    assert [(one.task, one.version) for one in first] == [(one.task, one.version) for one in second]
    for one, other in zip(first, second, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one.network.weights, other.network.weights, strict=True))
        assert (one.error.reward, one.transitions, one.steps) == (other.error.reward, other.transitions, other.steps)


def test_simulated_time_allows_so_many_steps_and_no_more() -> None:
    """Rests are not saved up; no transition is waited for longer than its own steps take."""
    assert steps(learnt(CONFIG, rate=30.0)) == steps(learnt(CONFIG, rate=30.0, quiet=100.0))
    plenty, few = steps(learnt(CONFIG, rate=1000.0)), steps(learnt(CONFIG, rate=10.0))
    assert 70 <= few <= 80  # ten seconds less those until there was something to learn from
    assert plenty > 3 * few
    learner = learnt(CONFIG)
    before = steps(learner)
    learner.advance(10.0)
    learner.advance(5.0)
    assert steps(learner) == before, "time stood still, or went back"


def test_versions_come_a_publish_period_apart() -> None:
    learner, rng, times = InlineLearner(CONFIG, lambda line: None), np.random.default_rng(4), []
    learner.declare("a", LAYOUT)
    for step in range(200):
        learner.add("a", transition(rng))
        learner.advance(step / 20)
        times += [step / 20] * len(learner.poll())
    assert len(times) > 2 and min(np.diff(times)) >= CONFIG.publish_period
    assert learner.sent("a") == 200


def test_it_writes_what_it_has_learnt_and_goes_on_from_it(tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"checkpoints": str(tmp_path), "preset": "live", "worse_by": 10.0})
    learner = learnt(config)
    learner.close()
    newest = [one for one in learner.poll() if one.task == "a"][-1]
    path = model_checkpoint.file_of(tmp_path, "a")
    assert model_checkpoint.load(path, "a", LAYOUT, "live").version == newest.version
    assert sum(map(len, model_checkpoint.load_rows(path, LAYOUT))) == 200
    again = InlineLearner(config, lambda line: None)
    again.declare("a", LAYOUT)
    again.resume(newest)
    rng = np.random.default_rng(5)
    for tick in range(100):
        again.add("a", transition(rng))  # what is new allows steps
        again.advance(tick / 20)
    (version, *_) = again.poll()
    assert version.version == newest.version + 1 and 201 <= version.transitions <= 300


def test_a_twin_learns_in_the_models_time() -> None:
    """An engine with it: the reward rule comes to be, and vetoes what gives little."""
    task, said = make_task("cart", None), []
    n, m = len(task.observation_names), len(task.action_names)
    config = TwinConfig(robots=("cart",), mode="enforce", trial_steps=50, threshold_quantile=0.2, false_veto_share=0.2)
    learner = InlineLearner(config, said.append, steps_per_second=200.0)
    engine, rng, versions, vetoed = (
        TwinEngine(config, {"cart": task}, learner, said.append),
        np.random.default_rng(1),
        0,
        0,
    )
    sent = np.zeros(m)
    for step in range(600):
        now = (step + 1) * task.control_period
        engine.observe(
            "cart", round(now * 1e9), task.name, episode=0, step=step, observation=rng.normal(size=n) * 0.1,
            action=task.clip(sent) if step else [], reward=float(task.clip(sent)[0]), terminated=False, truncated=False,
        )  # fmt: skip
        (verdict,) = engine.judge([Proposed("cart", rng.uniform(task.action_low, task.action_high))], round(now * 1e9))
        sent = verdict.sent
        vetoed += verdict.sent_safe_action
        learner.advance(now)
        engine.exchange()
        if step % 10 == 9:
            engine.reconsider()
    versions = engine.status("cart")["model_version"]
    assert versions > 3 and 0 < vetoed < 300, (versions, vetoed, said)
    assert isinstance(engine.twins.tasks[task.name].model, ModelVersion)
