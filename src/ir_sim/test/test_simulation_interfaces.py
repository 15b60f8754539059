# SPDX-License-Identifier: Apache-2.0
"""The simulator asked by the services of simulation_interfaces; skipped where that package is not installed."""

import pytest
from conftest import BRIDGE, WORLD
from geometry_msgs.msg import Twist, Vector3
from rclpy.parameter import Parameter

from ir_sim import simulator_node

pytest.importorskip("simulation_interfaces", reason="simulation_interfaces is not installed")
from simulation_interfaces.msg import Result, SimulationState, SimulatorFeatures
from simulation_interfaces.srv import (
    GetEntities,
    GetEntityState,
    GetSimulationState,
    GetSimulatorFeatures,
    ResetSimulation,
    SetSimulationState,
    StepSimulation,
)

pytestmark = pytest.mark.timeout(60)
OK, FAILED, UNSUPPORTED = Result.RESULT_OK, Result.RESULT_OPERATION_FAILED, Result.RESULT_FEATURE_UNSUPPORTED


class Asked:
    """A paused simulator with two robots, and someone who asks it."""

    def __init__(self, ros, monkeypatch):
        values = {"world": str(WORLD), "robots": ["cart", "hopper"], "bridge_file": str(BRIDGE), "cameras": False}
        overrides = [Parameter(name, value=value) for name, value in {**values, "paused": True}.items()]
        original = simulator_node.LeanNode.__init__
        with monkeypatch.context() as patch:
            made = lambda self, name: original(self, name, parameter_overrides=overrides)  # noqa: E731
            patch.setattr(simulator_node.LeanNode, "__init__", made)
            self.simulator = ros.add(simulator_node.SimulatorNode())
        self.simulation, self.ros, self.node = self.simulator.simulation, ros, ros.node()

    def ask(self, kind, name, **fields):
        return self.ros.call(self.node, kind, f"/simulator/{name}", kind.Request(**fields))

    def set(self, state):
        return self.ask(SetSimulationState, "set_simulation_state", state=SimulationState(state=state)).result.result

    def step(self, count):
        return self.ask(StepSimulation, "step_simulation", steps=count).result

    @property
    def state(self):
        return self.ask(GetSimulationState, "get_simulation_state").state.state


@pytest.fixture
def asked(ros, monkeypatch):
    return Asked(ros, monkeypatch)


def test_it_says_what_it_can_do(asked):
    features = asked.ask(GetSimulatorFeatures, "get_simulator_features").features.features
    assert {SimulatorFeatures.STEP_SIMULATION_MULTIPLE, SimulatorFeatures.ENTITY_STATE_GETTING} <= set(features)
    assert SimulatorFeatures.SPAWNING not in features


def test_it_steps_while_it_stands_only(asked):
    assert asked.step(25).result == OK and asked.simulation.steps == 25
    for wrong in (0, 2**40):
        answer = asked.step(wrong)
        assert answer.result == FAILED and "steps" in answer.error_message
    assert asked.set(SimulationState.STATE_PLAYING) == OK
    answer = asked.step(1)
    assert (answer.result, answer.error_message) == (FAILED, "pause the simulation first")


def test_states_follow_each_other_as_the_interface_has_it(asked):
    states, codes = SimulationState, SetSimulationState.Response
    assert asked.state == states.STATE_PAUSED
    assert asked.set(states.STATE_PAUSED) == codes.ALREADY_IN_TARGET_STATE
    assert asked.set(states.STATE_PLAYING) == OK and asked.state == states.STATE_PLAYING
    asked.ros.until(lambda: asked.simulation.steps > 0, what="time")
    assert asked.set(states.STATE_STOPPED) == OK
    assert asked.state == states.STATE_STOPPED and asked.simulation.steps == 0
    assert asked.set(states.STATE_PAUSED) == codes.INCORRECT_TRANSITION
    assert asked.set(states.STATE_QUITTING) == UNSUPPORTED
    assert asked.step(1).result == OK and asked.state == states.STATE_PAUSED


def test_a_reset_does_what_its_scope_says(asked):
    scopes = ResetSimulation.Request
    start = asked.simulation.views["cart"].odometry().position.copy()

    def moved():
        asked.simulator._drive("cart", Twist(linear=Vector3(x=0.5)))
        asked.step(500)
        assert abs(asked.simulation.views["cart"].odometry().position - start).max() > 0.1

    def reset(scope):
        return asked.ask(ResetSimulation, "reset_simulation", scope=scope).result.result

    moved()
    assert reset(scopes.SCOPE_TIME) == UNSUPPORTED and reset(scopes.SCOPE_SPAWNED) == OK
    steps = asked.simulation.steps
    assert reset(scopes.SCOPE_STATE) == OK and asked.simulation.steps == steps
    assert asked.step(1).result == OK
    assert asked.simulation.views["cart"].odometry().position == pytest.approx(start, abs=0.02)
    moved()
    assert reset(scopes.SCOPE_DEFAULT) == OK and asked.simulation.steps == 0


def test_robots_are_its_entities(asked):
    request = GetEntities.Request()
    request.filters.filter = "^h.p+er$"
    answer = asked.ros.call(asked.node, GetEntities, "/simulator/get_entities", request)
    assert (answer.result.result, answer.entities) == (OK, ["hopper"])
    request.filters.filter = "("
    assert asked.ros.call(asked.node, GetEntities, "/simulator/get_entities", request).result.result == FAILED
    asked.simulator._drive("cart", Twist(linear=Vector3(x=0.5)))
    asked.step(500)
    state = asked.ask(GetEntityState, "get_entity_state", entity="cart").state
    truth = asked.simulation.views["cart"].odometry()
    assert [state.pose.position.x, state.pose.position.y] == pytest.approx(truth.position[:2].tolist())
    speed = (state.twist.linear.x**2 + state.twist.linear.y**2) ** 0.5
    assert speed == pytest.approx(0.5, abs=0.1) and state.header.stamp.sec == 1
    answer = asked.ask(GetEntityState, "get_entity_state", entity="crat")
    assert answer.result.result == Result.RESULT_NOT_FOUND and "cart, hopper" in answer.result.error_message
