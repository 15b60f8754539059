# SPDX-License-Identifier: Apache-2.0
"""A task over ROS topics in lockstep with Gazebo: on a stand-in that behaves as a real gz-sim 8 was seen to."""

from collections import deque
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gz_stack import make, stand_in

from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_drl.environments.ros_env import RosTaskEnv
from ir_interfaces.msg import TaskState
from ir_sim.ros_task_messages import action_to_command

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def gazebo(ros_domain, tmp_path_factory):
    with stand_in(tmp_path_factory.mktemp("gz"), "hopper", "spider"):
        yield


@pytest.mark.parametrize(("model", "episodes", "steps"), [("hopper", 12, 60), ("spider", 5, 12)])
def test_episodes_follow_each_other_whether_the_robot_fell_or_not(gazebo, model, episodes, steps) -> None:
    environment = make(model)
    environment.action_space.seed(1)
    falls, begins = 0, []
    for _ in range(episodes):
        observation, _ = environment.reset(seed=1)
        begins.append(observation)
        for _ in range(steps):
            observation, _, terminated, _, info = environment.step(environment.action_space.sample())
            if terminated:
                falls += info["cause"] == "fall"
                break
    assert falls >= episodes // 2 if model == "hopper" else falls == 0
    height = {"hopper": 0, "spider": 2}[model]
    at_start = {"hopper": 1.25, "spider": 0.14}[model]
    assert [float(one[height]) for one in begins] == pytest.approx([at_start] * episodes, abs=0.08)
    environment.close()


@pytest.mark.parametrize("model", ["hopper", "spider"])
def test_resets_at_once_begin_alike_though_their_readings_have_the_stamps_of_before(gazebo, model) -> None:
    environment = make(model)
    asked, reset = [], environment._lockstep.reset
    environment._lockstep.reset = lambda seed: (asked.append(seed), reset(seed))
    begins = []
    for _ in range(4):
        environment.reset(seed=1)
        state = environment._last
        begins.append((to_nanoseconds(state.header.stamp), state.episode - state.step, list(state.observation)))
    assert len(asked) == 4, "one each"
    assert len({stamp for stamp, _, _ in begins}) == 1
    assert [episode for _, episode, _ in begins] == list(range(begins[0][1], begins[0][1] + 4))
    assert all(observation == begins[0][2] for _, _, observation in begins)
    environment.close()


def test_a_robot_that_was_put_back_by_itself_acts_after_a_reset_too(gazebo) -> None:
    """It falls and is created anew; Gazebo gives it back without its plug-ins when the world begins anew."""
    environment = make("hopper")
    environment.reset(seed=1)
    for _ in range(60):
        state = environment._last.header.stamp
        environment._commands.publish(action_to_command(environment.task, np.array([1.0, -1.0, 1.0]), state))
        environment._lockstep.step(20)
        with suppress(TimeoutError):  # the world stands for a few iterations, in which Gazebo must not remove anything
            environment._peer.wait(lambda: False, "nothing", 0.03)
    episodes = environment._shared.newest
    assert episodes >= environment._last.episode + 1, "it was put back"
    for _ in range(2):
        observation, _ = environment.reset(seed=1)
        assert observation[0] == pytest.approx(1.25, abs=0.08)
        for _ in range(5):
            environment.step(np.full(3, 0.1, np.float32))
    environment.close()


def test_what_is_asked_amiss_is_told(gazebo) -> None:
    environment = make("hopper")
    environment.reset(seed=1)
    environment._last.step += 1  # as if a state had been lost
    with pytest.raises(RuntimeError, match="follows on step"):
        environment.step(np.full(3, 0.1, np.float32))
    environment.close()


def test_a_state_from_before_a_reset_is_not_the_first_one_after_it() -> None:
    """That of the episode which follows a goal at once, and is on its way when the world is reset."""
    environment: Any = object.__new__(RosTaskEnv)
    environment.task = SimpleNamespace(control_period=0.04)
    for stamp, first in ((2_300_000_000, False), (80_000_000, False), (120_000_000, True), (160_000_000, False)):
        state = TaskState()
        state.header.stamp = to_stamp(stamp)
        environment._states = deque([state])
        assert environment._is_of(120_000_000) is first
