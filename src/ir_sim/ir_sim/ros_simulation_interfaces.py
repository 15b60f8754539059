# SPDX-License-Identifier: Apache-2.0
"""The services of the package `simulation_interfaces`, beside a simulator's own, where that package is installed.

It is how tools of others ask any simulator for the same things: state, reset, steps, entities.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool

from ir_common.ros_time import to_stamp
from ir_interfaces.srv import ResetRobots, ResetSimulation, StepSimulation
from ir_sim.readings import Odometry
from ir_sim.sdf.poses import from_quaternion

MOST_STEPS = 2**31 - 1
_FEATURES = ("SIMULATION_RESET", "SIMULATION_RESET_TIME", "SIMULATION_RESET_STATE", "SIMULATION_STATE_GETTING",
             "SIMULATION_STATE_SETTING", "SIMULATION_STATE_PAUSE", "STEP_SIMULATION_SINGLE",
             "STEP_SIMULATION_MULTIPLE")  # fmt: skip
_TIME, _STATE, _ALL = 1, 2, 255  # scopes of a reset


class OwnServices(NamedTuple):
    """Handlers of the simulator's own services, which do what is asked for; each takes a request and a response."""

    reset: Callable[[Any, Any], Any]
    """ir_interfaces/ResetSimulation."""
    reset_robots: Callable[[Any, Any], Any]
    """ir_interfaces/ResetRobots; may answer with a Future."""
    pause: Callable[[Any, Any], Any]
    """std_srvs/SetBool."""
    step: Callable[[Any, Any], Any]
    """ir_interfaces/StepSimulation."""


class SimulationInterfaces:
    """Services `~/get_simulator_features`, `~/set_simulation_state` and so on.

    Args:
        node: the simulator.
        own: what it does.
        is_paused: whether it stands.
        now: simulated time, ns.
        entities: names of the robots, with what tells where one is; None where that is not known.

    Raises:
        ModuleNotFoundError: simulation_interfaces is not installed.
    """

    def __init__(
        self, node: Node, own: OwnServices, is_paused: Callable[[], bool], now: Callable[[], int],
        entities: Mapping[str, Callable[[], Odometry] | None],
    ) -> None:  # fmt: skip
        self._messages = importlib.import_module("simulation_interfaces.msg")
        services = importlib.import_module("simulation_interfaces.srv")
        self._own, self._is_paused, self._now, self._entities = own, is_paused, now, entities
        self._stopped = False  # paused and reset, and nothing since
        for name, handle in (
            ("GetSimulatorFeatures", self._on_features), ("GetSimulationState", self._on_get_state),
            ("SetSimulationState", self._on_set_state), ("ResetSimulation", self._on_reset),
            ("StepSimulation", self._on_step), ("GetEntities", self._on_entities),
            ("GetEntityState", self._on_entity_state),
        ):  # fmt: skip
            node.create_service(getattr(services, name), f"~/{_snake(name)}", handle)

    # ------------------------------------------------------------------ what it can do, and what it does

    def _on_features(self, request: Any, response: Any) -> Any:
        known = self._messages.SimulatorFeatures
        names = [*_FEATURES, *(("ENTITY_STATE_GETTING",) if all(self._entities.values()) else ())]
        response.features.features = [getattr(known, name) for name in names if hasattr(known, name)]
        response.features.custom_info = "every physics step is one step; nothing can be spawned"
        return response

    def _on_get_state(self, request: Any, response: Any) -> Any:
        response.state.state = self._state()
        self._say(response, "")
        return response

    def _state(self) -> int:
        states = self._messages.SimulationState
        if not self._is_paused():
            return int(states.STATE_PLAYING)
        return int(states.STATE_STOPPED if self._stopped else states.STATE_PAUSED)

    def _on_set_state(self, request: Any, response: Any) -> Any:
        states, wanted, now = self._messages.SimulationState, request.state.state, self._state()
        if wanted == now:
            self._say(response, "it is in that state already", response.ALREADY_IN_TARGET_STATE)
        elif wanted == states.STATE_PAUSED and now == states.STATE_STOPPED:
            self._say(response, "it is stopped; play it first", response.INCORRECT_TRANSITION)
        elif wanted in (states.STATE_PLAYING, states.STATE_PAUSED, states.STATE_STOPPED):
            failed = self._pause(wanted != states.STATE_PLAYING)
            if not failed and wanted == states.STATE_STOPPED:
                failed = self._reset()
            self._stopped = not failed and wanted == states.STATE_STOPPED
            self._say(response, failed, response.STATE_TRANSITION_ERROR)
        else:
            unsupported = self._messages.Result.RESULT_FEATURE_UNSUPPORTED
            self._say(response, "it can be played, paused and stopped; end the stack to end it", unsupported)
        return response

    def _on_reset(self, request: Any, response: Any) -> Any:
        scope = request.scope or _ALL
        if scope & _TIME and scope & _STATE:
            self._say(response, self._reset())
        elif scope & _STATE:
            return self._put_back(response)
        elif scope & _TIME:
            unsupported = self._messages.Result.RESULT_FEATURE_UNSUPPORTED
            self._say(response, "time begins anew with the robots at their start only: add SCOPE_STATE", unsupported)
        else:
            self._say(response, "")  # nothing was ever spawned
        return response

    def _put_back(self, response: Any) -> Any:
        """Robots at their start, time goes on; a Future where that takes its time."""
        answer = self._own.reset_robots(ResetRobots.Request(), ResetRobots.Response())
        if not isinstance(answer, Future):
            self._say(response, "" if answer.success else answer.message)
            return response
        later: Future = Future()

        def told(done: Future) -> None:
            result = done.result()
            self._say(response, "" if result.success else result.message)
            later.set_result(response)

        answer.add_done_callback(told)
        return later

    def _on_step(self, request: Any, response: Any) -> Any:
        if request.steps > MOST_STEPS:
            self._say(response, f"at most {MOST_STEPS} steps at once")
            return response
        answer = self._own.step(StepSimulation.Request(steps=request.steps), StepSimulation.Response())
        self._stopped = self._stopped and not answer.success
        self._say(response, "" if answer.success else answer.message)
        return response

    def _pause(self, paused: bool) -> str:
        answer = self._own.pause(SetBool.Request(data=paused), SetBool.Response())
        return "" if answer.success else answer.message

    def _reset(self) -> str:
        answer = self._own.reset(ResetSimulation.Request(seed=-1), ResetSimulation.Response())
        return "" if answer.success else answer.message

    # ------------------------------------------------------------------ robots

    def _on_entities(self, request: Any, response: Any) -> Any:
        filters, unsupported = request.filters, self._messages.Result.RESULT_FEATURE_UNSUPPORTED
        if filters.categories or filters.tags.tags or filters.bounds.points:
            self._say(response, "entities can be chosen by name only", unsupported)
            return response
        try:
            wanted = re.compile(filters.filter)
        except re.error as error:
            self._say(response, f"filter {filters.filter!r} is no regular expression: {error}")
            return response
        response.entities = [name for name in self._entities if wanted.search(name)]
        self._say(response, "")
        return response

    def _on_entity_state(self, request: Any, response: Any) -> Any:
        result, name = self._messages.Result, request.entity
        if name not in self._entities:
            known = ", ".join(self._entities) or "none"
            self._say(response, f"no entity {name!r}; there are: {known}", result.RESULT_NOT_FOUND)
            return response
        where = self._entities[name]
        if where is None:
            self._say(response, "ask Gazebo itself where its models are", result.RESULT_FEATURE_UNSUPPORTED)
            return response
        odometry, state = where(), response.state
        state.header.stamp = to_stamp(self._now())
        turn = from_quaternion(odometry.orientation[[3, 0, 1, 2]])  # velocities are in the robot's axes
        _set(state.pose.position, odometry.position)
        _set(state.pose.orientation, odometry.orientation)
        _set(state.twist.linear, turn @ odometry.linear)
        _set(state.twist.angular, turn @ odometry.angular)
        self._say(response, "")
        return response

    def _say(self, response: Any, wrong: str, code: int | None = None) -> None:
        """Puts down how it went: well where nothing is wrong, else with a code (RESULT_OPERATION_FAILED)."""
        result = self._messages.Result
        failed = result.RESULT_OPERATION_FAILED if code is None else code
        response.result.result = failed if wrong else result.RESULT_OK
        response.result.error_message = wrong


def _set(message: Any, values: Any) -> None:
    for name, value in zip("xyzw", np.asarray(values).tolist(), strict=False):
        setattr(message, name, value)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def offer(
    node: Node, own: OwnServices, is_paused: Callable[[], bool], now: Callable[[], int],
    entities: Mapping[str, Callable[[], Odometry] | None],
) -> SimulationInterfaces | None:  # fmt: skip
    """The services where simulation_interfaces is installed; None elsewhere. Args as `SimulationInterfaces`."""
    if importlib.util.find_spec("simulation_interfaces") is None:
        return None
    return SimulationInterfaces(node, own, is_paused, now, entities)
