# SPDX-License-Identifier: Apache-2.0
"""A task over ROS topics: the simulator and the robots' node in processes of their own, run in lockstep."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from ir_drl.environments import environment_id

ROOT = Path(__file__).resolve().parents[3]
WORLD, BRIDGE = ROOT / "worlds" / "robot_field.sdf", ROOT / "config" / "bridge.yaml"
pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def simulation(ros_domain):
    """The two nodes of the robots' side, with a cart and a hopper."""
    common = ["--ros-args", "-p", f"world:={WORLD}", "-p", "robots:=['cart','hopper']"]
    nodes = {
        "simulator_node": ["-p", f"bridge_file:={BRIDGE}", "-p", "paused:=true", "-p", "cameras:=false"],
        "robots_node": ["-p", "use_sim_time:=true"],
    }
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    processes = [
        subprocess.Popen([sys.executable, "-m", f"ir_sim.{module}", *common, *more], env=environment)
        for module, more in nodes.items()
    ]
    yield
    for process in processes:
        process.terminate()
    assert [process.wait(10) for process in processes] == [0, 0]


def make(model: str):
    return gymnasium.make(environment_id(model, ros=True), world=WORLD, timeout=30.0)


def test_gymnasium_finds_nothing_wrong_and_a_seed_repeats(simulation) -> None:
    environment = make("hopper")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*(infinity|recommend|render).*")
        check_env(environment.unwrapped, skip_render_check=True)

    def run(seed: int) -> np.ndarray:
        observation, _ = environment.reset(seed=seed)
        environment.action_space.seed(1)
        seen = [observation]
        for _ in range(60):
            observation, reward, terminated, truncated, _ = environment.step(environment.action_space.sample())
            seen.append(np.append(observation, reward))
            if terminated or truncated:
                seen.append(environment.reset()[0])
        return np.concatenate(seen)

    first = run(1)
    assert np.array_equal(first, run(1)) and not np.array_equal(first, run(2))
    environment.close()


def test_the_cart_does_what_it_is_told_and_strangers_are_noticed(simulation) -> None:
    environment = make("cart").unwrapped
    observation, _ = environment.reset(seed=1)
    before = observation[0]
    for _ in range(10):
        observation, reward, terminated, truncated, _ = environment.step(np.array([1.0, 0.0], np.float32))
        assert not (terminated or truncated)
    assert observation[2] == pytest.approx(1.0, abs=0.05) and observation[0] != before and np.isfinite(reward)
    environment._last.step += 1  # as if a state had been lost
    with pytest.raises(RuntimeError, match="follows on step"):
        environment.step(np.zeros(2, np.float32))
    environment.close()


def test_environments_of_one_robot_take_turns(simulation) -> None:
    """As a training and its evaluation do; the states of one wait unread at the other."""
    training, evaluation = make("cart").unwrapped, make("cart").unwrapped
    for seed, steps in ((1, 5), (2, 12), (3, 8)):
        for environment, speed in ((training, 0.5), (evaluation, 1.0)):
            environment.reset(seed=seed)
            for _ in range(steps):
                environment.step(np.array([speed, 0.0], np.float32))
            assert environment._last.step == steps
    with pytest.raises(RuntimeError, match="call reset first"):
        training.step(np.zeros(2, np.float32))
    training.close()
    evaluation.close()


def test_nobody_there_is_told_in_time(ros_domain) -> None:
    with pytest.raises(TimeoutError, match="is the simulator running"):
        gymnasium.make(environment_id("cart", ros=True), world=WORLD, simulator="/nobody", timeout=0.5)
