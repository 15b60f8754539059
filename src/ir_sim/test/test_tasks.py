# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ir_common.config import ConfigError
from ir_sim.tasks import TASKS, CartNavigation, Episode, HopperHop, Sensors, SpiderPatrol, make_task

TASK_OBJECTS = [make_task(model) for model in TASKS]
BY_NAME = {"ids": lambda task: task.name}


def facing(yaw):
    return np.array([0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])


def sensors_for(task, **values):
    count = len(task.joint_names)
    return Sensors(joint_positions=np.zeros(count), joint_velocities=np.zeros(count), **values)


@pytest.mark.parametrize("task", TASK_OBJECTS, **BY_NAME)
def test_layouts_have_the_widths_that_they_name(task):
    assert task.observe(sensors_for(task)).shape == (len(task.observation_names),)
    width = (len(task.action_names),)
    assert task.action_low.shape == task.action_high.shape == task.safe_action.shape == task.action_scale.shape == width
    assert np.all(task.action_low < task.action_high)
    assert np.all(task.clip(task.safe_action) == task.safe_action)
    assert len(set(task.observation_names)) == len(task.observation_names)


@pytest.mark.parametrize("task", TASK_OBJECTS, **BY_NAME)
@given(data=st.data())
def test_batches_give_what_their_rows_give(task, data):
    rows = st.floats(-5, 5)
    before = data.draw(arrays(np.float64, (2, 3, len(task.observation_names)), elements=rows))
    after = data.draw(arrays(np.float64, (2, 3, len(task.observation_names)), elements=rows))
    action = data.draw(arrays(np.float64, (2, 3, len(task.action_names)), elements=st.floats(-1, 1)))
    rewards, ends, goals = task.reward(before, action, after), task.terminated(after), task.reached(after)
    for i in np.ndindex(2, 3):
        assert rewards[i] == pytest.approx(task.reward(before[i], action[i], after[i]))
        assert ends[i] == task.terminated(after[i]) and goals[i] == task.reached(after[i])
        assert task.cause(after[i]) == (task.failure if ends[i] else "goal" if goals[i] else "")


def test_unknown_model_is_told():
    with pytest.raises(ConfigError, match="'dog' has no task; models with one: cart, hopper, spider"):
        make_task("dog")


@pytest.mark.parametrize("model", sorted(TASKS))
def test_action_bounds_agree_with_the_models(field, model):
    task, description = make_task(model, field), field.robots[model].description
    if task.command == "twist":
        assert task.action_low.tolist() == description.drive.velocity_low.tolist()
        assert task.action_high.tolist() == description.drive.velocity_high.tolist()
        return
    assert task.action_names == description.controller.joints
    assert description.controller.by_position == (task.command == "joint_position")
    for k, name in enumerate(task.action_names):
        joint = description.joints[name]
        low, high = (joint.lower, joint.upper) if task.command == "joint_position" else (-joint.effort, joint.effort)
        assert (task.action_low * task.action_scale)[k] == low and (task.action_high * task.action_scale)[k] == high


def test_cart_observes_its_goal_and_sectors():
    task = CartNavigation()
    bearings = np.radians([0.0, 14.0, 16.0, 90.0, -90.0, 179.0])
    ranges = np.array([3.0, 2.0, 1.5, np.inf, np.nan, 1.0])
    values = task.observe(
        Sensors(
            position=np.array([1.0, 1.0, 0.0]),
            orientation=facing(np.pi / 2),
            linear_velocity=np.array([0.4, 0.0, 0.0]),
            angular_velocity=np.array([0.0, 0.0, -0.2]),
            goal=np.array([4.0, 1.0]),
            ranges=ranges,
            bearings=bearings,
        )
    )
    assert values[:4] == pytest.approx([3.0, -np.pi / 2, 0.4, -0.2])
    assert values[4:].tolist() == [2.0, 1.5, 8, 8, 8, 8, 1.0, 8, 8, 8, 8, 8]


def test_cart_reads_a_bump_as_range_zero_and_ends():
    task = CartNavigation()
    values = task.observe(Sensors(bumps=np.array([np.pi / 2]), goal=np.array([2.0, 0.0])))
    assert values[4 + 3] == 0.0 and task.terminated(values) and task.cause(values) == "collision"


def test_cart_reward_by_hand():
    task = CartNavigation()
    before, after = np.full(16, 8.0), np.full(16, 8.0)
    before[0], after[0] = 2.0, 1.9
    assert task.reward(before, np.array([0.5, 0.75]), after) == pytest.approx(5 * 0.1 - 0.02 * (0.25 + 0.25))
    after[0] = 0.1
    assert task.reward(before, np.zeros(2), after) == pytest.approx(5 * 1.9 + 10)
    after[5] = 0.1
    assert task.reward(before, np.zeros(2), after) == pytest.approx(5 * 1.9 + 10 - 10)


def test_spider_reward_and_fall_by_hand():
    task = SpiderPatrol()
    before, after = np.zeros(35), np.zeros(35)
    before[4], after[4] = 2.0, 1.99
    before[2] = after[2] = 0.13
    assert task.reward(before, np.full(12, 0.5), after) == pytest.approx(2 * 0.01 / 0.04 + 0.2 - 0.1 * 0.25)
    for index, value in ((0, 0.9), (1, -0.9), (2, 0.03)):
        fallen = after.copy()
        fallen[index] = value
        assert task.terminated(fallen) and task.cause(fallen) == "fall"


def test_hopper_observation_reward_and_limits_are_those_of_hopper_v5():
    gymnasium = pytest.importorskip("gymnasium")
    reference = gymnasium.make("Hopper-v5").unwrapped
    task = HopperHop()
    reference.reset(seed=0)
    random = np.random.default_rng(1)
    healthy_seen = set()
    for _ in range(60):
        before = reference._get_obs()
        action = random.uniform(-1, 1, 3)
        after, reward, terminated, _, _ = reference.step(action)
        positions = reference.data.qpos - [0, 1.25, 0, 0, 0, 0]
        ours = task.observe(Sensors(joint_positions=positions, joint_velocities=reference.data.qvel))
        assert ours == pytest.approx(after)
        assert bool(task.terminated(ours)) == terminated
        healthy_seen.add(terminated)
        # the displacement over the step against the mean of the velocities before and after it
        assert task.reward(before, action, ours) == pytest.approx(reward, abs=0.15)
    assert healthy_seen == {True, False}


def test_episode_visits_goals_in_turn_and_keeps_each_transition_to_one_goal():
    task = CartNavigation()
    episode = Episode(task, np.array([[1.0, 0.0], [5.0, 0.0]]))
    first = episode.begin(Sensors())
    assert (first.episode, first.step, first.observation[0]) == (1, 0, 1.0)
    reached = episode.advance(Sensors(position=np.array([0.9, 0, 0])), np.zeros(2))
    assert (reached.cause, reached.truncated, reached.terminated) == ("goal", True, False)
    assert reached.observation[0] == pytest.approx(0.1) and reached.reward > 9
    assert not episode.needs_reset(reached) and not episode.running and episode.goals_reached == 1
    with pytest.raises(RuntimeError):
        episode.advance(Sensors(), np.zeros(2))
    second = episode.begin(Sensors(position=np.array([0.9, 0, 0])))
    assert (second.episode, second.observation[0]) == (2, pytest.approx(4.1))
    episode.advance(Sensors(position=np.array([5.0, 0, 0])), np.zeros(2))
    assert episode.goal.tolist() == [1.0, 0.0], "round again"


@pytest.mark.parametrize("task", TASK_OBJECTS, **BY_NAME)
def test_episode_is_cut_off_at_the_time_limit(task):
    episode = Episode(task, np.array([[100.0, 0.0]]))
    still = sensors_for(task, position=np.array([0.0, 0.0, 0.2]))
    episode.begin(still)
    steps = [episode.advance(still, task.safe_action) for _ in range(task.time_limit)]
    assert not any(step.ended for step in steps[:-1])
    assert steps[-1].truncated and not steps[-1].terminated and steps[-1].cause == "time_limit"
    assert episode.needs_reset(steps[-1]) == task.reset_on_time_limit
