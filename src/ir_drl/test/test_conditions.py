# SPDX-License-Identifier: Apache-2.0
"""Conditions of an environment: late and lost commands, noise, other bodies, and the memory that goes with them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_drl.environments.conditions import Conditions, LateCommands, blurred, draw, read_conditions
from ir_drl.environments.task_env import TaskEnv

ROOT = Path(__file__).resolve().parents[3]
WORLD = ROOT / "worlds" / "robot_field.sdf"


def make(model="hopper", **settings):
    return TaskEnv(model, WORLD, **settings)


def in_force(env, count, seed=1):
    """The first action in force in each of the first control steps, where step k sends k / 1000 from k = 1 on."""
    env.reset(seed=seed)
    return [env.step(np.array([k / 1000, 0.0], np.float32))[4]["action"][0] * 1000 for k in range(1, count + 1)]


@pytest.mark.parametrize("delay", [0, 1, 3, 7])
def test_a_constant_delay_shifts_actions_by_whole_control_steps(delay):
    seen = in_force(make("cart", conditions={"delay": (delay, delay)}), 10)
    assert seen == pytest.approx([max(k - delay, 0) for k in range(1, 11)], abs=1e-4)


def test_half_a_step_of_delay_acts_within_the_same_step():
    on_time, late = make(), make(conditions={"delay": (0.5, 0.5)})
    push = np.array([0.0, 0.5, 0.5], np.float32)
    for env in (on_time, late):
        env.reset(seed=2)
    first, second = (env.step(push) for env in (on_time, late))
    assert np.array_equal(first[4]["action"], second[4]["action"])
    assert not np.array_equal(first[0], second[0])


def test_latency_of_several_control_steps_is_drawn_anew_for_each_command():
    """0 to 0.3 s for the cart at 0.1 s: what is in force is 0 to 3 steps old, and never older than what was."""
    seen = np.array(in_force(make("cart", latency=0.3), 60))
    ages = np.arange(1, 61) - seen
    assert set(np.rint(ages[5:]).astype(int)) >= {0, 1, 2} and ages.max() < 3.1
    assert (np.diff(seen) > -1e-4).all(), "one that was overtaken is not carried out"


def test_all_commands_lost_leave_the_safe_action_in_force():
    assert in_force(make("cart", conditions={"loss": (0.999999, 0.999999)}), 20) == [0.0] * 20


def test_late_ones_among_others_are_overtaken():
    seen = np.array(in_force(make("cart", conditions={"spikes": (0.5, 0.5), "spike": 2}), 80))
    assert (np.diff(seen) >= 0).all() and 20 < (np.diff(seen) > 0).sum() < 80


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=40))
def test_late_commands_against_a_slow_reference(sent):
    """At each instant in force is the newest of those that arrived by then."""
    commands, force = LateCommands(), -1
    arrivals = [None if lost else now + late for now, (late, lost) in enumerate(sent)]
    for now, arrival in enumerate(arrivals):
        commands.send(np.array([now]), arrival)
        for _, action in commands.take(now + 1):
            force = int(action[0])
        there = [k for k in range(now + 1) if arrivals[k] is not None and arrivals[k] <= now]
        assert force == max(there, default=-1)


def test_an_episode_draws_within_the_ranges():
    conditions = read_conditions(ROOT / "config" / "training" / "conditions.yaml")
    rng = np.random.default_rng(0)
    drawn = [draw(conditions, rng) for _ in range(400)]
    assert all(one.delay + one.jitter <= conditions.latest + 1e-9 for one in drawn)
    steady = np.mean([one.jitter == 0.0 for one in drawn])
    assert conditions.steady - 0.1 < steady < conditions.steady + 0.2
    for name in ("mass", "friction", "loss", "spikes"):
        values = np.array([getattr(one, name) for one in drawn])
        low, high = getattr(conditions, name)
        assert low <= values.min() < low + 0.05 * (high - low) and high - 0.05 * (high - low) < values.max() <= high


def test_a_varied_body_has_its_factor_of_mass_and_friction_and_is_put_back():
    env = make("spider", conditions={"mass": (1.25, 1.25), "friction": (0.5, 0.5)})
    plain = make("spider")
    for _ in range(2):  # not 1.25 squared
        env.reset(seed=3)
    bodies, geoms = env.simulation.views["spider"].bodies, env.simulation.views["spider"].geoms
    for name, factor in (("body_mass", 1.25), ("body_inertia", 1.25)):
        expected = getattr(plain.simulation.model, name)[bodies] * factor
        assert getattr(env.simulation.model, name)[bodies] == pytest.approx(expected)
    friction = plain.simulation.model.geom_friction
    assert env.simulation.model.geom_friction[geoms, 0] == pytest.approx(friction[geoms, 0] / 2)
    others = np.setdiff1d(np.arange(len(friction)), geoms)
    assert np.array_equal(env.simulation.model.geom_friction[others], friction[others])
    with pytest.raises(ValueError, match="positive"):
        env.simulation.vary("spider", 0.0, 1.0)


def test_noise_is_as_large_as_said():
    rng, seen = np.random.default_rng(0), np.array([0.0, 2.0])
    errors = np.array([blurred(seen, 0.1, rng) - seen for _ in range(4000)]).std(axis=0)
    assert errors == pytest.approx([0.01, 0.21], rel=0.1)
    assert blurred(seen, 0.0, rng) is seen


def test_observations_are_extended_by_actions_and_the_space_says_so():
    env = make("cart", conditions={"delay": (1, 1)}, memory=2)
    observation, _ = env.reset(seed=1)
    assert env.observation_space.shape == observation.shape == (16 + 3 * 2,)
    assert observation[16:].tolist() == [0.0] * 6
    for action in ([0.1, 0.0], [0.2, 0.0]):
        observation = env.step(np.array(action, np.float32))[0]
    assert observation[16::2] == pytest.approx([0.1, 0.2, 0.1])


def test_the_same_seed_gives_the_same_conditions_and_noise():
    def run(seed):
        env = make("hopper", conditions=ROOT / "config" / "training" / "conditions.yaml", memory=4)
        seen = [env.reset(seed=seed)[0]]
        seen += [env.step(np.full(3, 0.1, np.float32))[0] for _ in range(8)]
        return np.concatenate(seen)

    assert np.array_equal(run(4), run(4)) and not np.array_equal(run(4), run(5))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"conditions": {"delay": (3, 1)}}, "delay.*the first must not be greater"),
        ({"conditions": {"lag": 1}}, "lag"),
        ({"conditions": {"mass": (0, 1)}}, "mass"),
        ({"conditions": 3}, "a file or a mapping"),
        ({"conditions": "no_such.yaml"}, "no_such.yaml"),
        ({"memory": -1}, "memory must be at least 0"),
        ({"latency": -0.1}, "latency must be at least 0"),
    ],
)
def test_wrong_settings_are_refused(settings, reason):
    with pytest.raises(ConfigError, match=reason):
        make("cart", **settings)


def test_no_conditions_are_the_perfect_link():
    assert read_conditions(None) == Conditions() == read_conditions({})
