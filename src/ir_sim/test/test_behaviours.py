# SPDX-License-Identifier: Apache-2.0
"""What robots do alone: the hopper comes to rest and stays on its feet; the others take their safe action."""

import json

import numpy as np
import pytest
from conftest import WORLD

from ir_sim.behaviours import FOLDER, StandStill, behaviour_of
from ir_sim.sdf import compose
from ir_sim.simulation import Simulation
from ir_sim.tasks import CartNavigation, Episode, HopperHop, SpiderPatrol


@pytest.mark.parametrize("task", [CartNavigation(), SpiderPatrol()], ids=lambda task: task.name)
def test_cart_and_spider_take_their_safe_action_whatever_they_see(task):
    behaviour = behaviour_of(task)
    assert isinstance(behaviour, StandStill)
    assert np.array_equal(behaviour.act(np.ones(len(task.observation_names))), task.safe_action)


def alone(field, behaviour, speed, seconds=5.0):
    """Heights (m) and forward velocities (m/s) of a hopper that is left alone at a speed, and whether it fell."""
    task, simulation = HopperHop(), Simulation(field, 1, cameras=False)
    view, seen, fell = simulation.views["hopper"], [], False
    simulation.data.qvel[view.dofs[0]] = speed
    episode = Episode(task, np.empty((0, 2)))
    step = episode.begin(simulation.sensors("hopper"))
    for _ in range(round(seconds / task.control_period)):
        action = task.clip(behaviour.act(step.observation))
        simulation.move_joints("hopper", task.action_names, (action * task.action_scale).tolist())
        simulation.step(4)
        step = episode.advance(simulation.sensors("hopper"), action)
        seen.append(step.observation[[0, 5]])
        if fell := step.terminated:
            break
    return np.array(seen), fell


@pytest.mark.parametrize("speed", [0.0, 0.5, 1.0])
def test_the_hopper_comes_to_rest_and_does_not_drift(hoppers, speed):
    seen, fell = alone(hoppers, behaviour_of(HopperHop()), speed)
    assert not fell
    assert np.abs(seen[-250:, 1].mean()) < 0.03, "of the last two seconds"


def test_without_its_behaviour_it_would_fall(hoppers):
    assert alone(hoppers, StandStill(HopperHop()), 1.0)[1]


def test_behaviours_come_with_what_made_them():
    files = sorted(FOLDER.glob("*.npz"))
    assert [file.stem for file in files] == ["hopper_hop"]
    for file in files:
        about = json.loads(file.with_suffix(".json").read_text())
        assert about["task"] == file.stem and about["command"].startswith("./ir run ir_drl train ") and about["commit"]


@pytest.fixture(scope="module")
def hoppers():
    return compose(WORLD, ["hopper"])
