# SPDX-License-Identifier: Apache-2.0
"""A task's learner trains, judges and publishes; a version that got worse is not taken."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_dynamics import BEGIN, CONFIG, LAYOUT, rows, toy, version

from ir_dynamics import model_checkpoint
from ir_dynamics.model_version import Begin, ModelVersion, RolledBack, begin_at
from ir_dynamics.task_learner import TaskLearner
from ir_dynamics.transitions import heldout_mask, layout_of

torch.set_num_threads(1)


def test_held_out_transitions_are_never_trained_on() -> None:
    learner, rows = TaskLearner(CONFIG, BEGIN), toy(1000)
    for part in np.array_split(rows, 37):
        learner.add(part)
    mask = heldout_mask(0, 1000)
    np.testing.assert_array_equal(learner.heldout.rows, rows[mask])
    np.testing.assert_array_equal(learner.replay.rows, rows[~mask])


def test_versions_count_up_and_their_error_falls() -> None:
    """Chance: predicting the mean reward errs by the reward's deviation, sqrt(2)."""
    learner = TaskLearner(CONFIG, BEGIN)
    learner.add(toy(1000))
    assert not learner.publishable()
    for _ in range(CONFIG.initial_steps):
        learner.step()
    first = learner.publish()
    assert not learner.publishable()
    while learner.due():
        learner.step()
    second = learner.publish()
    assert (first.version, second.version, second.transitions) == (1, 2, 1000)
    assert second.error.reward < 0.5 * first.error.reward
    assert second.error.reward < 0.1 * math.sqrt(2)
    assert second.error.state < 0.05


def test_the_same_seed_learns_the_same_weights() -> None:
    networks = []
    for seed in (1, 1, 2):
        learner = TaskLearner(CONFIG.model_copy(update={"seed": seed}), BEGIN)
        learner.add(toy(200))
        for _ in range(5):
            learner.step()
        networks.append(learner.publish().network)
    np.testing.assert_array_equal(networks[0].weights[0], networks[1].weights[0])
    assert (networks[0].weights[0] != networks[2].weights[0]).any()


def test_a_learner_begun_from_a_version_goes_on_from_it() -> None:
    learner = TaskLearner(CONFIG, BEGIN)
    learner.add(toy(200))
    learner.step()
    version = learner.publish()
    after = TaskLearner(CONFIG, Begin("toy", LAYOUT, version.version, version.network))
    after.add(toy(200))
    again = after.publish()
    assert again.version == 2
    np.testing.assert_array_equal(again.network.weights[0], version.network.weights[0])


def test_in_simulated_time_versions_come_when_they_are_due() -> None:
    """Transitions every 0.05 s and at most 3 steps for each; the clock is a number."""
    config = CONFIG.model_copy(update={"publish_period": 1.0})
    learner, parts, published = TaskLearner(config, BEGIN), np.split(toy(400), 40), []
    for tick, part in enumerate(parts):
        learner.add(part)
        before = learner.steps
        outcome = learner.learn(steps=3, now=0.05 * tick)
        assert learner.steps - before == (3 if learner.transitions >= config.min_transitions else 0)
        if outcome is not None:
            published.append((tick, outcome.version))
    # 64 transitions with tick 6, 20 steps with tick 12, then once a second
    assert published == [(12, 1), (32, 2)]
    assert learner.learn(steps=0, now=10.0).version == 3 and learner.learn(steps=0, now=11.5) is None, "nothing new"
    while learner.due():
        learner.step()
    assert learner.learn(steps=9, now=11.6).steps == learner.steps == 20 + 2 * 400, "no more than transitions allow"


def test_whatever_the_pace_of_the_clock_the_same_is_learnt() -> None:
    made = []
    for pace in (0.0, 7.0):
        learner = TaskLearner(CONFIG, BEGIN)
        for tick, part in enumerate(np.split(toy(400), 4)):
            learner.add(part)
            learner.learn(steps=25, now=pace * tick)
        made.append(learner.publish().network.weights[0])
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize("preset", ["live", "ensemble"])
def test_a_version_that_got_worse_is_rolled_back(preset: str) -> None:
    """Between two versions the training data are garbage, the held-out ones are not."""
    learner = TaskLearner(CONFIG.model_copy(update={"preset": preset}), Begin("toy", layout_of(preset, 2, 1)))
    learner.add(rows(600, preset))
    for _ in range(150):
        learner.step()
    good = learner.publish()
    assert isinstance(good, ModelVersion)
    trainer, saved, sound = learner._trainer, learner._trainer.state(), learner.replay.rows.copy()
    learner.replay.rows[:, 4:6] *= -50
    for _ in range(60):
        learner.step()
    learner.replay.rows[:] = sound
    outcome = learner.publish()
    assert isinstance(outcome, RolledBack)
    assert (outcome.count, learner.rollbacks, learner.version) == (1, 1, 1)
    assert outcome.error > 1.05 * outcome.best
    for part in ("weights", "optimiser"):  # each member's moments with its own weights, though elites are served first
        torch.testing.assert_close(trainer.state()[part], saved[part], rtol=0.0, atol=0.0)
    assert trainer.steps == 150 + 60
    for _ in range(60):
        learner.step()  # goes on from the good one
    after = learner.publish()
    assert isinstance(after, ModelVersion)
    assert after.version == 2
    assert after.error.reward < 2 * good.error.reward


def test_nan_weights_are_rolled_back() -> None:
    learner = TaskLearner(CONFIG, BEGIN)
    learner.add(toy(300))
    learner.step()
    assert isinstance(learner.publish(), ModelVersion)
    learner.step()
    learner._trainer._linear[0].weight.data.fill_(float("nan"))  # type: ignore[union-attr]
    assert isinstance(learner.publish(), RolledBack)
    assert np.isfinite(learner.step())


def test_the_learner_goes_on_from_a_checkpoint() -> None:
    model = replace(version("live"), version=41)
    learner = TaskLearner(CONFIG, Begin("toy", LAYOUT, model.version, model.network))
    learner.add(toy(300))
    made = learner.publish()
    assert isinstance(made, ModelVersion)
    assert made.version == 42
    np.testing.assert_array_equal(made.network.weights[0], model.network.weights[0])


@pytest.mark.parametrize("preset", ["live", "ensemble"])
def test_what_was_learnt_from_is_gone_on_with(preset: str, tmp_path: Path) -> None:
    """With room for 200, the newest are kept, in their order; what was held out stays held out."""
    config = CONFIG.model_copy(update={"preset": preset, "replay_capacity": 200})
    begin = Begin("toy", layout_of(preset, 2, 1))
    learner, path = TaskLearner(config, begin), model_checkpoint.file_of(tmp_path, "toy")
    for part in np.split(rows(600, preset), 6):
        learner.add(part)
    learner.keep(path)
    again = TaskLearner(config, begin)
    assert again.transitions == 0, "what is built reads no file"
    again.restore(path)
    np.testing.assert_array_equal(again.replay.in_order(), learner.replay.in_order())
    np.testing.assert_array_equal(again.heldout.rows, learner.heldout.rows)
    mask = heldout_mask(0, 600)
    np.testing.assert_array_equal(again.replay.in_order(), rows(600, preset)[~mask][-200:])
    assert again.kept == again.transitions and len(again.heldout) == mask.sum()


def test_a_network_that_goes_on_keeps_its_normalisation_and_counts_what_it_has_seen(tmp_path: Path) -> None:
    """Beside it are 220 of 5,000 transitions, of another spread: it is normalised anew once there are a tenth more."""
    layout, path = layout_of("ensemble", 2, 1), tmp_path / "toy.npz"
    model = replace(version("ensemble"), transitions=5000)
    model_checkpoint.save_rows(path, 3 * rows(200, "ensemble"), rows(20, "ensemble"))
    config = CONFIG.model_copy(update={"preset": "ensemble", "worse_by": 100.0})  # another spread, another network
    learner = TaskLearner(config, begin_at("toy", layout, model))
    learner.restore(path)
    learner.step()
    made = learner.publish()
    assert isinstance(made, ModelVersion)
    assert np.array_equal(made.network.input_mean, model.network.input_mean)
    assert made.transitions == 5000
    learner.add(rows(60, "ensemble"))
    learner.step()
    made = learner.publish()
    assert isinstance(made, ModelVersion) and made.transitions == 5060
    assert not np.array_equal(made.network.input_mean, model.network.input_mean)
