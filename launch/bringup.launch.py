# SPDX-License-Identifier: Apache-2.0
"""``ros2 launch ir_twin bringup.launch.py``: the same stack as ``./ir up``, by the ROS launcher."""

import subprocess

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

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_twin.bringup.arguments import BringupArguments, parse
from ir_twin.bringup.description import describe
from ir_twin.bringup.spec import MAX_RESTARTS, RESTART_DELAY, NodeSpec
from ir_twin.bringup.up import run_directory
from launch import LaunchContext, LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Declares the bringup's arguments and starts what the description says."""
    declared = [
        DeclareLaunchArgument(name, default_value="", description=f"{field.description} (empty: the default)")
        for name, field in BringupArguments.model_fields.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_start)])


def _start(context: LaunchContext) -> list:
    given = {name: LaunchConfiguration(name).perform(context) for name in BringupArguments.model_fields}
    try:
        arguments = parse([f"{name}:={value}" for name, value in given.items() if value])
        stack = describe(arguments, run_directory())
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from None
    notes = [LogInfo(msg=note) for note in stack.notes]
    return [*notes, *(action for spec in reversed(stack.nodes) for action in _actions(spec))]


def _prefix(spec: NodeSpec) -> str | None:
    """What sets a process's scheduling; real-time scheduling as far as it is permitted here."""
    if spec.nice:
        return f"chrt --batch 0 nice -n {spec.nice}"
    realtime = f"chrt --rr {spec.realtime}"
    if spec.realtime and subprocess.run([*realtime.split(), "true"], stderr=subprocess.DEVNULL).returncode == 0:
        return realtime
    return None


def _actions(spec: NodeSpec) -> list:
    restart = {
        "respawn": True,
        "respawn_delay": RESTART_DELAY,
        "respawn_max_retries": MAX_RESTARTS,
        "additional_env": spec.environment,
        "output": "screen",
        "prefix": _prefix(spec),
    }
    if spec.package:
        process = Node(
            package=spec.package,
            executable=spec.executable,
            name=spec.name,
            namespace=spec.namespace,
            parameters=[spec.parameters],
            arguments=list(spec.arguments),
            **restart,
        )
    else:
        process = ExecuteProcess(cmd=[spec.executable, *spec.arguments], name=spec.name, **restart)
    deaths = 0

    def ended(event, _context):  # type: ignore[no-untyped-def]
        nonlocal deaths
        deaths += 1
        finished = spec.required and event.returncode == 0
        if finished or event.returncode == EXIT_CONFIG or deaths > MAX_RESTARTS:
            return [EmitEvent(event=Shutdown(reason=f"{spec.full_name} ended with status {event.returncode}"))]
        return []

    return [process, RegisterEventHandler(OnProcessExit(target_action=process, on_exit=ended))]
