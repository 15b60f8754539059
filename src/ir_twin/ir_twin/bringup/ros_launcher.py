# SPDX-License-Identifier: Apache-2.0
"""The bringup for ``ros2 launch``: the launch files in ``launch/`` are made of this and of nothing else."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from ir_common import process_start
from ir_common.config import EXIT_CONFIG, ConfigError
from ir_twin.bringup import start_checks
from ir_twin.bringup.arguments import arguments_of, choices_of, default_of, parse
from ir_twin.bringup.description import StackDescription, describe
from ir_twin.bringup.restart_counts import FILE, add_restart
from ir_twin.bringup.spec import MAX_RESTARTS, RESTART_DELAY, NodeSpec
from ir_twin.bringup.supervisor import command, installed, written_parameters

_CLAIMS = contextlib.ExitStack()  # held while this launcher lives


def launch_description(part: str = "") -> LaunchDescription:
    """Declares the arguments of a part of the stack, or of the whole, and starts what the description says."""
    declared = [
        DeclareLaunchArgument(
            name,
            default_value=default_of(field),
            description=field.description,
            **({"choices": choices} if (choices := choices_of(field)) else {}),
        )
        for name, field in arguments_of(part).items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start, args=[part])])


def _start(context: LaunchContext, part: str) -> list[Any]:
    try:
        stack, directory = _described(context, part)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(EXIT_CONFIG) from None
    notes = [LogInfo(msg=note) for note in [f"logs: {directory}", *stack.notes]]
    return [*notes, *(action for spec in reversed(stack.nodes) for action in _actions(spec, directory))]


def _described(context: LaunchContext, part: str) -> tuple[StackDescription, Path]:
    """What will run, once everything is looked at that can be wrong."""
    start_checks.domain(os.environ)
    given = {name: LaunchConfiguration(name).perform(context) for name in arguments_of(part)}
    arguments = parse([f"{name}:={value}" for name, value in given.items() if value], part)
    directory = start_checks.run_directory()
    stack = describe(arguments, directory, part)
    for spec in stack.nodes:
        installed(spec)
    names = [spec.full_name for spec in stack.nodes]
    parts = {spec.part for spec in stack.nodes}
    _CLAIMS.enter_context(start_checks.alone(parts, names, os.environ, arguments.namespace))
    return stack, directory


def _actions(spec: NodeSpec, directory: Path) -> list[Any]:
    """The process, and what is to be done when it ends."""
    how = {
        "respawn": True,
        "respawn_delay": RESTART_DELAY,
        "respawn_max_retries": MAX_RESTARTS,
        "additional_env": {**spec.environment, **process_start.told(spec.nice, spec.realtime)},
        "output": "screen",
    }
    if spec.ours:
        process = Node(
            package=spec.package,
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace,
            exec_name=spec.label,
            parameters=[str(written_parameters(spec, directory))],  # launch_ros itself refuses an empty list
            arguments=list(spec.arguments),
            ros_arguments=["--log-level", spec.log_level] if spec.log_level else [],
            **how,
        )
    else:
        process = ExecuteProcess(cmd=command(spec, directory), name=spec.label, **how)
    return [process, RegisterEventHandler(OnProcessExit(target_action=process, on_exit=_watch(spec, directory / FILE)))]


def _watch(spec: NodeSpec, counts: Path) -> Callable[[Any, LaunchContext], list[Any]]:
    """What ends the launch: a required process that is done ends it well, a node that cannot run ends it with status 1.

    What starts again is counted in the file `counts`, as by the other launcher.

    The launcher has no action that fails; an exception in a handler ends everything in good order, with that status.
    """
    deaths = 0

    def ended(event: Any, context: LaunchContext) -> list[Any]:
        nonlocal deaths
        deaths += 1
        if context.is_shutdown:
            return []
        if spec.required and event.returncode == 0:
            return [EmitEvent(event=Shutdown(reason=f"{spec.full_name} is done"))]
        if event.returncode == EXIT_CONFIG:
            raise RuntimeError(f"{spec.full_name}: wrong configuration; its last line says which")
        if deaths > MAX_RESTARTS:
            raise RuntimeError(f"{spec.full_name} ended with status {event.returncode} after {MAX_RESTARTS} restarts")
        add_restart(counts, spec.full_name)
        return []

    return ended
