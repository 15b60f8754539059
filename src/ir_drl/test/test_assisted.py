# SPDX-License-Identifier: Apache-2.0
"""Training with a model of the robot: mixing, gate, vetoes, exact resume, the algorithms as sets of defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from assisted_cart import Cart, KnownModel, make, policy, settings

import ir_drl.environments  # noqa: F401 (registers them)
from ir_common.config import ConfigError, validate
from ir_drl.assisted import ALGORITHMS, Assistant, AssistedConfig, TrainingModelConfig, make_trainer
from ir_drl.assisted.training_models import ModelPrediction
from ir_drl.assisted.training_veto import FallVeto, RewardVeto
from ir_drl.policies import make_policy
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.training_config import TrainingConfig
from ir_dynamics.gan import GAN, Closeness
from ir_dynamics.transitions import Transition


def test_rollouts_try_what_the_policy_would_not(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make("best", twin={"action_noise": 0.5})
    observations = np.linspace(-1.0, 1.0, 2000).reshape(1000, 2).astype(np.float32)
    monkeypatch.setattr(trainer.hooks, "_explore", policy)
    tried, own = trainer.hooks._first_actions(observations), policy(observations)
    np.testing.assert_array_equal(tried[1::2], own[1::2])
    assert 0.3 < np.abs(tried[::2] - own[::2]).mean() < 0.5 and np.abs(tried).max() <= 1.0
    assert make("predict").hooks._first_actions(observations) is None
    trainer.close()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
def test_batches_mix_robot_and_model_as_configured(share: float) -> None:
    trainer = make("predict", epochs=2, twin={"share": share, "veto": "none"})
    list(trainer.run())
    batch = np.empty((20, trainer.layout.width), np.float32)
    trainer.hooks.buffer.rows[:, trainer.layout.reward] = 99.0
    trainer.sampler.fill(batch)
    assert (batch[:, trainer.layout.reward] == 99.0).sum() == round(20 * share)
    assert trainer.records[-1].metrics["twin_transitions"] > 0


def test_the_models_share_falls_to_nothing_and_then_it_rests() -> None:
    config = TrainingModelConfig(share=0.8, share_until=4)
    assert [config.share_in(epoch) for epoch in range(1, 7)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0, 0.0])
    trainer = make("predict", epochs=3, twin={"share": 0.8, "share_until": 2, "veto": "none"}, return_steps=3)
    records = trainer.run()
    next(records)  # random actions, mostly
    assert "twin_transitions" in next(records).metrics
    fits = trainer.hooks.state()["fits"]
    assert "twin_transitions" not in next(records).metrics and trainer.hooks.state()["fits"] == fits > 0
    batch = np.empty((20, trainer.layout.width), np.float32)
    trainer.hooks.buffer.rows[:, trainer.layout.reward] = 99.0
    trainer.sampler.fill(batch)
    assert not (batch[:, trainer.layout.reward] == 99.0).any()
    assert set(np.unique(batch[:, -1])) <= {np.float32(1.0), np.float32(1.0 - trainer.config.sac.discount**2)}


class Doubtful(KnownModel):
    error = 1.01


def test_a_model_that_is_not_good_enough_is_neither_learnt_from_nor_asked() -> None:
    trainer = make("predict", twin={"max_error": 1.0})
    trainer.hooks.model = Doubtful()
    trainer.hooks._veto.judge = None  # would fail if it were asked
    list(trainer.run())
    assert len(trainer.hooks.buffer) == 0 and trainer.hooks.model.fitted > 90
    Doubtful.error = 0.99
    assert trainer.hooks.trusted
    trainer.hooks.before_updates(91)
    assert len(trainer.hooks.buffer) == 64


def test_a_model_that_was_good_enough_once_rests_until_it_is_again() -> None:
    trainer = make("predict", twin={"share": 0.75, "max_error": 1.0, "veto": "none"})
    trainer.hooks.model = model = KnownModel()
    list(trainer.run())
    assert len(trainer.hooks.buffer) == 200
    for error, share in ((2.0, 0.0), (0.5, 0.75)):
        model.error = error
        trainer.hooks.before_updates(100)
        assert trainer.sampler.share == share


def test_the_vetos_threshold_is_of_the_latest_rewards() -> None:
    """The buffer holds 1,000 transitions, which are numbered by their rewards."""
    trainer = make("predict")
    for last, first in ((30, 0), (1000, 0), (1234, 234)):
        for number in range(getattr(trainer, "filled", 0), last):
            step = Transition(np.zeros(2), np.zeros(1), number, np.zeros(2), False)
            trainer.replay.add(trainer.layout.pack(step))
        trainer.filled = last
        assert np.array_equal(trainer.hooks._recent_rewards(), np.arange(first, last))


def test_the_model_is_fitted_and_rolled_out_in_periods() -> None:
    trainer = make("predict", twin={"veto": "none", "length": (1, 3), "length_epochs": (1, 3), "capacity": 10_000})
    trainer.hooks.model = KnownModel()
    told = [record.metrics for record in trainer.run()]
    assert "twin_error" not in told[0]  # random actions in the first 90 steps
    assert 1.5 < told[1]["rollout_steps"] <= 2.0 < told[2]["rollout_steps"] <= 3.0
    assert trainer.hooks._fits == 4 and trainer.agent.updates == 150


def test_reward_veto_takes_a_better_action() -> None:
    """r = -(x + 0.3 v) - 0 does not depend on the action of this step: so look at a model whose reward is it."""
    model = KnownModel()
    model.predict = lambda s, a: ModelPrediction(s, a[:, 0], s[:, 0] > 9)  # type: ignore[method-assign]
    drawn = np.array([[-0.9], [0.1], [0.5], [-1.0]])
    veto = RewardVeto(TrainingModelConfig(veto_candidates=4, reward_quantile=0.5), model, lambda s, explore: drawn)
    action = np.array([-0.5])
    assert veto.judge(np.zeros(2), action) is action  # no threshold yet
    veto.update(np.zeros(600))
    assert veto.threshold == 0.0
    assert veto.judge(np.zeros(2), action) == 0.1  # the first that passes
    assert veto.judge(np.zeros(2), np.array([0.0])) == 0.0
    veto.threshold = 0.7
    assert veto.judge(np.zeros(2), action) == 0.5  # none passes: the best


def test_fall_veto_looks_ahead() -> None:
    """At x = 1, v = 1 the first push decides: braking fully ends before the edge, pushing on does not."""
    config = TrainingModelConfig(veto="fall", fall_steps=6, fall_particles=2, veto_candidates=3)

    def calm_or_not(state: np.ndarray, explore: bool) -> np.ndarray:
        return np.full((len(state), 1), 0.3 if explore else -1.0)

    veto = FallVeto(config, KnownModel(), calm_or_not)
    state = np.array([1.0, 1.0])
    np.testing.assert_array_equal(veto.risks(state, np.array([[1.0], [-1.0]])), [1.0, 0.0])
    assert veto.judge(state, np.array([1.0])) == -1.0
    action = np.array([-0.9])
    assert veto.judge(state, action) is action


def judged_as(monkeypatch: pytest.MonkeyPatch, passes: bool) -> None:
    """Spares the time and the transitions that a real judgement of the GAN takes."""
    monkeypatch.setattr("ir_drl.assisted.generated_starts.MIN_HELDOUT", 1)
    monkeypatch.setattr(GAN, "judge", lambda self, rows: Closeness(0.2, 0.1, 0.6, passes))


@pytest.mark.parametrize("passes", [True, False])
def test_generated_starts_are_used_only_once_they_pass(passes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    judged_as(monkeypatch, passes)
    trainer = make("gan", epochs=2, twin={"generated_share": 0.25, "veto": "none"})
    metrics = list(trainer.run())[-1].metrics
    assert metrics["generated_share"] == (0.25 if passes else 0.0) and metrics["gan_distance"] == 2.0
    rows, layout = trainer.hooks.buffer.rows, trainer.layout
    real = {tuple(row) for row in trainer.replay.rows[:, layout.state]}
    assert metrics["rollout_steps"] == 1.0 and np.abs(rows[:, layout.action]).max() <= 1.0
    made_up = sum(tuple(row) not in real for row in rows[:, layout.state])
    assert made_up >= 32 if passes else made_up == 0


def outcome(trainer: Any) -> list[Any]:
    kept = [(r.epoch, r.falls, r.training_returns, r.evaluation_returns, r.metrics) for r in trainer.records]
    return [*trainer.agent.critics.flat.flatten().tolist(), *trainer.hooks.buffer.rows.flatten().tolist(), *kept]


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "sac"])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(
    algorithm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged_as(monkeypatch, True)
    changes: dict[str, Any] = {
        "epochs": 3,
        "twin": {"veto": "fall" if algorithm == "best" else "reward", "reward_quantile": 0.3, "share_until": 6},
    }
    whole = make(algorithm, **changes)
    list(whole.run())
    first = make(algorithm, **changes | {"epochs": 2})
    list(first.run())
    first.save(tmp_path / "a.pt")
    second = make(algorithm, **changes)
    second.load(tmp_path / "a.pt")
    list(second.run())
    assert outcome(second) == outcome(whole)
    assert whole.records[-1].metrics["vetoes"] > 0 or algorithm == "best"
    assert len(whole.hooks.buffer) == 200


def test_sac_is_plain_sac_and_takes_its_old_checkpoints(tmp_path: Path) -> None:
    config = settings("sac", epochs=1)
    plain = TrainingConfig(**config.model_dump(exclude={"algorithm", "twin", "task_pace", "demonstrations"}))
    old = AgentTrainer(Cart, plain, "cart")
    list(old.run())
    old.save(tmp_path / "a.pt")
    new = make("sac", epochs=1)
    assert not isinstance(new.hooks, Assistant)
    list(new.run())
    assert torch.equal(new.agent.critics.flat, old.agent.critics.flat)
    again = make("sac", twin={"share": 0.5}, epochs=1)
    with pytest.raises(ConfigError, match=r"twin\.\w+ = "):
        again.load(tmp_path / "a.pt")
    make_trainer(Cart, AssistedConfig(**plain.model_dump()), "cart").load(tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("algorithm", "task", "pace", "cap"),
    [
        ("best", "Hopper-v5", None, 1.5),
        ("best", "cart", None, np.inf),
        ("best", "Hopper-v5", {"cap": 3.0}, 3.0),
        ("sac", "Hopper-v5", None, np.inf),
    ],
)
def test_best_has_the_pace_of_its_task(algorithm: str, task: str, pace: dict[str, float] | None, cap: float) -> None:
    trainer = make_trainer(Cart, settings(algorithm, pace=pace), task)
    assert trainer.curriculum.cap == cap and (trainer.config.pace is None) == (cap == np.inf)


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path: Path) -> None:
    trainer = make("predict", epochs=1)
    list(trainer.run())
    trainer.save(tmp_path / "a.pt")
    with pytest.raises(ConfigError, match="algorithm = predict, asked for is gan"):
        make("gan", epochs=1).load(tmp_path / "a.pt")


def test_an_algorithm_is_a_set_of_defaults() -> None:
    assert AssistedConfig() == AssistedConfig(algorithm="sac")
    assert AssistedConfig(algorithm="predict").twin.veto == "reward"
    assert AssistedConfig(algorithm="gan").twin.generated_share == 0.5
    best = AssistedConfig.model_validate({"algorithm": "best", "twin": {"share": 0.5}})
    assert best.twin.model == "ensemble" and best.twin.share == 0.5
    assert AssistedConfig.model_validate_json(best.model_dump_json()) == best
    growing = TrainingModelConfig(length=(1, 5), length_epochs=(10, 20))
    assert [growing.rollout_length(epoch) for epoch in (1, 10, 15, 20, 99)] == [1, 1, 3, 5, 5]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"algorithm": "bets"}, "algorithm"),
        ({"twin": {"shared": 0.5}}, "did you mean 'share'"),
        ({"twin": {"length": (0, 1)}}, "at least 1"),
        ({"twin": {"length_epochs": (5, 5)}}, "must be greater"),
        ({"pace": {"cap": 1.0}, "demonstrations": {"steps": 9}}, "leave out pace or demonstrations"),
    ],
)
def test_wrong_settings_are_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(AssistedConfig, given, "run.yaml")


SHOWN = {"demonstrations": {"steps": 60, "share": 0.25}, "sac": {"hidden": (8,), "batch": 8}}


def test_demonstrations_are_the_scripted_controllers_and_part_of_each_batch():
    config = AssistedConfig(**SHOWN, seed=3, evaluation_episodes=0)
    trainers = [make_trainer(lambda: gymnasium.make("ir/CartNavigation-v0"), config, "cart") for _ in range(2)]
    shown = [trainer.sampler._shown.rows for trainer in trainers]
    assert len(shown[0]) == 60 and np.array_equal(*shown)
    task, layout = trainers[0].environment.unwrapped.task, trainers[0].layout
    scripted = make_policy(task, Path("scripted"))
    wanted = np.array([scripted.act(row.astype(float)) for row in shown[0][:, layout.state]])
    done = task.action_low + (shown[0][:, layout.action] + 1) / 2 * (task.action_high - task.action_low)
    assert 0.01 < np.abs(done - wanted).mean() < 0.2  # with noise; a random controller is 0.7 away
    trainers[0].replay.add(np.zeros(layout.width, np.float32))
    batch = np.ones((8, layout.width), np.float32)
    trainers[0].sampler.fill(batch)
    of_robot = (batch == 0).all(axis=1)
    assert of_robot.tolist() == [False] * 2 + [True] * 6
    for trainer in trainers:
        trainer.close()


def test_what_has_no_scripted_controller_shows_nothing():
    with pytest.raises(ConfigError, match=r"demonstrations\.steps: cart has no scripted controller"):
        make_trainer(Cart, AssistedConfig(**SHOWN), "cart")
    with pytest.raises(ConfigError, match="no scripted controller"):
        make_trainer(lambda: gymnasium.make("ir/HopperHop-v0"), AssistedConfig(**SHOWN), "hopper")
