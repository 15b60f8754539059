# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for what the bringup uses of `launch` and `launch_ros`, which come with a ROS installation only.

Each keeps what it was made with; `run` does what the launcher does with the declared arguments.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


class LaunchDescription(list):
    """The entities of a launch file."""


@dataclass
class DeclareLaunchArgument:
    name: str
    default_value: str | None = None
    description: str = ""
    choices: list[str] | None = None


@dataclass
class OpaqueFunction:
    function: Callable[..., list[Any]]
    args: list[Any]


@dataclass
class LogInfo:
    msg: str


@dataclass
class Shutdown:
    reason: str


@dataclass
class EmitEvent:
    event: Shutdown


class ExecuteProcess:
    """Takes the keywords of launch's ExecuteProcess that there are in Jazzy, and no other."""

    known = frozenset({"cmd", "name", "respawn", "respawn_delay", "respawn_max_retries", "additional_env", "output"})

    def __init__(self, **kwargs: Any) -> None:
        assert kwargs.keys() <= self.known, kwargs.keys() - self.known
        self.kwargs = kwargs

    @property
    def process_name(self) -> str:
        """What the launcher shows before each line, but for the number that it adds."""
        return self.kwargs["name"]


class Node(ExecuteProcess):
    """As launch_ros' Node."""

    known = ExecuteProcess.known - {"cmd"} | {
        *("package", "executable", "namespace", "exec_name", "parameters", "arguments", "ros_arguments", "on_exit"),
    }

    @property
    def process_name(self) -> str:
        return self.kwargs.get("exec_name") or self.kwargs["executable"]


@dataclass
class OnProcessExit:
    target_action: ExecuteProcess
    on_exit: Callable[[Any, Any], list[Any]]


@dataclass
class RegisterEventHandler:
    event_handler: OnProcessExit


@dataclass
class LaunchContext:
    launch_configurations: dict[str, str] = field(default_factory=dict)
    is_shutdown: bool = False


@dataclass
class LaunchConfiguration:
    name: str

    def perform(self, context: LaunchContext) -> str:
        return context.launch_configurations[self.name]


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes them importable under the names of what they stand for."""
    places = {
        "launch": [LaunchContext, LaunchDescription],
        "launch.actions": [
            *(
                DeclareLaunchArgument,
                EmitEvent,
                ExecuteProcess,
                LogInfo,
                OpaqueFunction,
                RegisterEventHandler,
                Shutdown,
            ),
        ],
        "launch.event_handlers": [OnProcessExit],
        "launch.events": [Shutdown],
        "launch.substitutions": [LaunchConfiguration],
        "launch_ros": [],
        "launch_ros.actions": [Node],
    }
    for name, things in places.items():
        module = types.ModuleType(name)
        for thing in things:
            setattr(module, thing.__name__, thing)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "ir_twin.bringup.ros_launcher", raising=False)


def run(description: LaunchDescription, **given: str) -> list[Any]:
    """The actions that the launcher would do for these arguments, in order.

    Raises:
        ValueError: a value is not among the choices of its argument.
    """
    context = LaunchContext()
    actions: list[Any] = []
    for entity in description:
        if isinstance(entity, DeclareLaunchArgument):
            value = given.pop(entity.name, entity.default_value)
            if entity.choices and value not in entity.choices:
                raise ValueError(f"{entity.name}: {value} is none of {entity.choices}")
            context.launch_configurations[entity.name] = value
        else:
            actions += entity.function(context, *entity.args)
    assert not given, given
    return actions
