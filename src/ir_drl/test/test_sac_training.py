# SPDX-License-Identifier: Apache-2.0
"""The training loop: it learns, counts falls, resumes exactly, and refuses what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from ir_common.config import ConfigError
from ir_drl.sac import SACConfig, run_checkpoint
from ir_drl.sac.agent_trainer import AgentTrainer
from ir_drl.sac.reward_curriculum import RewardCurriculum, RewardCurriculumConfig
from ir_drl.sac.training_config import TrainingConfig
from ir_drl.sac.training_hooks import TrainingHooks
from ir_dynamics.transitions import Transition

torch.set_num_threads(1)  # the networks are too small for more


class Point(gymnasium.Env[np.ndarray, np.ndarray]):
    """A point on a line, 20 steps to reach 0; beyond 1.5 it has fallen. The action, -2 to 2, moves it by a tenth."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Box(-2.0, 2.0, (1,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.steps = float(self.np_random.uniform(-1.0, 1.0)), 0
        return np.array([self.x]), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert self.action_space.contains(action), action
        self.x, self.steps = self.x + 0.1 * float(action[0]), self.steps + 1
        return np.array([self.x]), -abs(self.x), abs(self.x) > 1.5, self.steps >= 20, {}


SMALL = TrainingConfig(
    sac=SACConfig(hidden=(32, 32), batch=64, learning_rate=3e-3, discount=0.9),
    seed=1,
    epochs=4,
    epoch_steps=250,
    start_steps=100,
    capacity=700,
    evaluation_episodes=20,
)


def settings(**changes: Any) -> TrainingConfig:
    return SMALL.model_copy(update=changes)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_learns_to_reach_a_point(seed: int) -> None:
    """Within 1,000 steps every one of 20 episodes ends at the target.

    Going straight to 0 costs at most 1 + 0.8 + … + 0.2 = 3 an episode. Of random policies (uniform actions) about one
    episode in ten costs less; 20 in a row do by a chance of about 1e-20.
    """
    trainer = AgentTrainer(Point, settings(seed=seed), "point")
    records = list(trainer.run())
    assert min(records[-1].evaluation_returns) > -3.3
    assert len(records) == 4 and records[-1].steps == 1000


def test_with_returns_of_several_steps_it_learns_too_and_keeps_the_steps_apart() -> None:
    trainer = AgentTrainer(Point, settings(return_steps=3), "point")
    records = list(trainer.run())
    assert min(records[-1].evaluation_returns) > -3.3
    layout, single, triple = trainer.layout, trainer.replay.rows, trainer.n_step_replay.rows
    assert np.abs(single[:, layout.next_state] - single[:, layout.state]).max() < 0.2 + 1e-6
    assert np.abs(triple[:, layout.next_state] - triple[:, layout.state]).max() > 0.3
    assert set(np.round(np.unique(triple[:, layout.terminated]), 6)) <= {np.float32(0.19), np.float32(1.0)}


class Pay(Point):
    """Pays 1 a step, and ends by itself after 3 steps in the first episode, after 5 in each later one."""

    episodes = 0

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        observation, *_ = super().step(action)
        ended = self.steps >= (3 if self.episodes == 0 else 5)
        self.episodes += ended
        return observation, 1.0, ended, False, {}


def test_the_cap_rises_after_epochs_that_earned_it() -> None:
    curriculum = RewardCurriculum(RewardCurriculumConfig(cap=2.0, allowance=0.5, growth=1.5, falls=1, reached=0.8))
    assert [curriculum.shaped(reward) for reward in (-3.0, 1.0, 2.0, 9.0)] == [-3.5, 0.5, 1.5, 1.5]
    assert curriculum.end_epoch(falls=0) == {"reward_cap": 2.0} and curriculum.cap == 2.0, "0.5 on average"
    for falls, cap in ((2, 2.0), (1, 3.0)):
        assert curriculum.shaped(1.5) == 1.0 and curriculum.shaped(1.7) == pytest.approx(1.2)
        curriculum.end_epoch(falls)
        assert curriculum.cap == cap
    assert RewardCurriculum(None).shaped(9.0) == 9.0 and RewardCurriculum(None).end_epoch(0) == {}


def test_rewards_are_shaped_records_tell_the_rewards_and_a_resumed_run_knows_it(tmp_path: Path) -> None:
    """Every step's reward is 1: it pays 0.5, then 0.6, and 0.1 less each."""
    pace = RewardCurriculumConfig(cap=0.5, allowance=0.1, growth=1.2, falls=1000)
    config = settings(epochs=1, return_steps=2, evaluation_episodes=0, pace=pace)
    trainer = AgentTrainer(Pay, config, "pay")
    (record,) = trainer.run()
    assert set(record.training_returns) == {3.0, 5.0} and record.metrics["reward_cap"] == 0.5
    column = trainer.layout.reward
    np.testing.assert_allclose(trainer.replay.rows[:, column], 0.4, rtol=1e-6)
    assert set(np.round(trainer.n_step_replay.rows[:, column], 6)) == {np.float32(0.4), np.float32(0.76)}
    trainer.save(tmp_path / "c.pt")
    again = AgentTrainer(Pay, config.model_copy(update={"epochs": 2}), "pay")
    again.load(tmp_path / "c.pt")
    (record,) = again.run()
    assert record.metrics["reward_cap"] == pytest.approx(0.6)
    np.testing.assert_allclose(again.replay.rows[-250:, column], 0.5, rtol=1e-6)


def outcome(trainer: AgentTrainer) -> tuple[torch.Tensor, torch.Tensor, list[Any]]:
    kept = [(r.epoch, r.steps, r.falls, r.training_returns, r.evaluation_returns, r.metrics) for r in trainer.records]
    return trainer.agent.actor.flat.detach(), trainer.agent.critics.flat.detach(), kept


@pytest.mark.parametrize("steps", [1, 3])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(tmp_path: Path, steps: int) -> None:
    whole = AgentTrainer(Point, settings(return_steps=steps), "point")
    list(whole.run())
    first = AgentTrainer(Point, settings(epochs=2, return_steps=steps), "point")
    list(first.run())
    first.save(tmp_path / "a.pt")
    second = AgentTrainer(Point, settings(epochs=3, return_steps=steps), "point")
    second.load(tmp_path / "a.pt")
    list(second.run())
    second.save(tmp_path / "a.pt")  # over the first; the buffer is full and has wrapped by now
    third = AgentTrainer(Point, settings(return_steps=steps), "point")
    third.load(tmp_path / "a.pt")
    list(third.run())
    for ours, theirs in zip(outcome(third), outcome(whole), strict=True):
        assert torch.equal(ours, theirs) if isinstance(ours, torch.Tensor) else ours == theirs
    assert third.agent.updates == whole.agent.updates == 900
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


@pytest.mark.parametrize("steps", [1, 3])
def test_a_run_goes_on_from_a_checkpoint_of_the_first_format(tmp_path: Path, steps: int) -> None:
    """Its rows end with next state, reward, terminated, and it says where the next one goes."""
    first = AgentTrainer(Point, settings(epochs=3, return_steps=steps), "point")
    list(first.run())
    first.save(tmp_path / "a.pt")
    content = run_checkpoint.load(tmp_path / "a.pt", "point")
    for name in ("replay", "n_step_replay"):
        if (buffer := content.pop(name)) is not None:
            rows, next_row = buffer["rows"][:, [0, 1, 3, 2, 4]], buffer["added"] % buffer["capacity"]
            content[name] = {"rows": rows, "next": next_row, "capacity": buffer["capacity"]}
    content["reaches"] = content.pop("n_step_replay", None)
    torch.save(run_checkpoint.FIRST_FORMAT | {"task": "point", "content": content}, tmp_path / "old.pt")
    runs = [AgentTrainer(Point, settings(return_steps=steps), "point") for _ in range(2)]
    for run, name in zip(runs, ("a.pt", "old.pt"), strict=True):
        run.load(tmp_path / name)
        list(run.run())
    np.testing.assert_array_equal(runs[0].replay.rows, runs[1].replay.rows)
    assert torch.equal(runs[0].agent.critics.flat, runs[1].agent.critics.flat)


def test_evaluation_does_not_disturb_training() -> None:
    with_it = AgentTrainer(Point, settings(epochs=2), "point")
    without = AgentTrainer(Point, settings(epochs=2, evaluation_episodes=0), "point")
    list(with_it.run())
    list(without.run())
    assert torch.equal(with_it.agent.actor.flat, without.agent.actor.flat)


class Away(TrainingHooks):
    """Sees to it that the point falls."""

    def __init__(self) -> None:
        self.told: list[tuple[float, bool]] = []
        self.steps: list[int] = []

    def propose(self, observation: np.ndarray, action: np.ndarray) -> np.ndarray:
        return np.array([1.0 if observation[0] >= 0 else -1.0], np.float32)

    def transition(self, step: Transition) -> None:
        assert abs(step.next_state[0] - step.state[0] - 0.2 * step.action[0]) < 1e-6
        self.told.append((step.reward, step.terminated))

    def before_updates(self, step: int) -> None:
        self.steps.append(step)

    def metrics(self) -> dict[str, float]:
        return {"told": float(len(self.told))}


def test_falls_are_counted_and_hooks_called() -> None:
    trainer = AgentTrainer(Point, settings(epochs=1), "point")
    trainer.hooks = hooks = Away()
    steps: list[int] = []
    (record,) = trainer.run(steps.append)
    assert record.falls == sum(fell for _, fell in hooks.told) == len(record.training_returns) >= 250 / 8 - 1
    assert trainer.replay.rows[:, trainer.layout.terminated].sum() == record.falls
    assert hooks.steps == list(range(101, 251)) and steps == list(range(1, 251))
    assert record.metrics["told"] == 250 and trainer.agent.updates == 150


def test_time_limits_and_cut_epochs_are_no_falls() -> None:
    trainer = AgentTrainer(Point, settings(epochs=1, epoch_steps=50, start_steps=50), "point")
    trainer.hooks.propose = lambda observation, action: np.zeros(1, np.float32)  # type: ignore[method-assign]
    (record,) = trainer.run()
    assert record.falls == 0 and len(record.training_returns) == 2
    assert not trainer.replay.rows[:, trainer.layout.terminated].any()


def test_divergence_ends_training() -> None:
    trainer = AgentTrainer(Point, settings(epochs=1), "point")
    trainer.agent.log_alpha.data.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        list(trainer.run())


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trainer = AgentTrainer(Point, settings(epochs=1, epoch_steps=110), "point")
    list(trainer.run())
    path = tmp_path_factory.mktemp("sac") / "point.pt"
    trainer.save(path)
    return path


def test_a_checkpoint_of_another_run_is_refused(saved: Path) -> None:
    changed = settings(epoch_steps=110, seed=9)
    with pytest.raises(ConfigError, match="seed = 1, asked for is 9"):
        AgentTrainer(Point, changed, "point").load(saved)
    with pytest.raises(ConfigError, match="of task 'point', wanted is 'other'"):
        AgentTrainer(Point, changed, "other").load(saved)
    with pytest.raises(ConfigError, match="1 observations and 1 actions, task point has 3 and 1"):
        AgentTrainer(lambda: gymnasium.make("Pendulum-v1"), settings(epoch_steps=110), "point").load(saved)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused(saved: Path, tmp_path: Path, kept: float) -> None:
    data, path = saved.read_bytes(), tmp_path / "cut.pt"
    path.write_bytes(data[: int(kept if kept > 1 else kept * len(data))])
    with pytest.raises(ConfigError, match=r"cut\.pt: is no undamaged checkpoint"):
        run_checkpoint.load(path, "point")


def test_an_altered_checkpoint_is_refused(saved: Path, tmp_path: Path) -> None:
    """Numbers that are others than those that were written, in a file that is whole otherwise."""
    data, path = bytearray(saved.read_bytes()), tmp_path / "altered.pt"
    content = run_checkpoint.load(saved, "point")
    numbers = content["replay"]["rows"].numpy().tobytes()[:64]
    data[data.index(numbers) + 3] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"altered\.pt: is no undamaged checkpoint \(.* was altered\)"):
        run_checkpoint.load(path, "point")


def test_a_checkpoint_with_settings_of_another_release_is_refused_in_one_line(saved: Path, tmp_path: Path) -> None:
    content = run_checkpoint.load(saved, "point")
    content["config"] = content["config"].replace('"epochs"', '"eras"')
    run_checkpoint.save(tmp_path / "x.pt", "point", content)
    with pytest.raises(ConfigError, match=r"x\.pt: .*eras") as told:
        AgentTrainer(Point, SMALL, "point").load(tmp_path / "x.pt")
    assert "\n" not in str(told.value)


class Broken(Point):
    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        following, reward, *rest = super().step(action)
        return following, reward if self.steps < 7 else float("nan"), *rest  # type: ignore[return-value]


def test_what_an_environment_must_not_return_is_told() -> None:
    with pytest.raises(ConfigError, match=r"broken, step 7: transition: reward is nan.*; mend the environment"):
        list(AgentTrainer(Broken, SMALL, "broken").run())


def test_updates_begin_with_the_first_n_step_transition() -> None:
    """After 2 steps there is none of 5 yet."""
    list(AgentTrainer(Point, settings(start_steps=1, return_steps=5, epochs=1, epoch_steps=20), "point").run())


def test_files_that_are_no_checkpoints_are_refused(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(ConfigError, match="cannot be read"):
        run_checkpoint.load(path, "point")
    torch.save([1, 2], path)
    with pytest.raises(ConfigError, match="no checkpoint of this trainer"):
        run_checkpoint.load(path, "point")
    torch.save(SMALL, path)  # an object: only plain data is read
    with pytest.raises(ConfigError, match="no undamaged checkpoint"):
        run_checkpoint.load(path, "point")
    for changed, told in (({"format": 99}, "of format 99, wanted is 2"), ({"kind": "cat"}, "of kind 'cat', wanted is")):
        torch.save(torch.load(saved, weights_only=True) | changed, path)
        with pytest.raises(ConfigError, match=told):
            run_checkpoint.load(path, "point")
    run_checkpoint.save(path, "point", {"config": SMALL.model_dump_json(), "layout": [1, 1]})
    with pytest.raises(ConfigError, match="does not fit this run"):
        AgentTrainer(Point, SMALL, "point").load(path)


def test_environments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be vectors"):
        AgentTrainer(lambda: gymnasium.make("CartPole-v1"), SMALL, "cartpole")
