# SPDX-License-Identifier: Apache-2.0
"""What runs in the stack: plain data that both launchers turn into processes."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ir_common import stack_namespace
from ir_common.config import ConfigError
from ir_sim import gazebo_words
from ir_sim.bridge import gz_service_names, load_rows
from ir_sim.sdf import compose, write_gz_bridge, write_gz_world
from ir_sim.sdf.gazebo import RENDERED
from ir_sim.tasks import robot_task
from ir_slicing.learning.federation.update_keys import make_master
from ir_twin.bringup.arguments import BringupArguments, twin_parameters
from ir_twin.bringup.parameter_file import with_parameters
from ir_twin.bringup.restart_counts import FILE
from ir_twin.bringup.spec import NodeSpec

_MAP_SIZE = 24.0
"""Side of the square on which the radio is mapped, m: the field of the worlds that come with the stack."""


@dataclass
class StackDescription:
    """What runs, and what the user should know of it.

    Attributes:
        nodes: in the order in which they end (the reverse of the order of data).
        notes: one line each.
    """

    nodes: list[NodeSpec] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def describe(arguments: BringupArguments, run_directory: Path, part: str = "") -> StackDescription:
    """The processes of the stack.

    Args:
        arguments: checked arguments (`arguments.check`).
        run_directory: an existing folder for the files that this run makes (the Gazebo world and bridge).
        part: one of `spec.PARTS`: only that part; empty: the whole.

    Raises:
        ConfigError: two arguments do not fit together, or the parameter file is wrong.
    """
    if part or arguments.sync == "auto":  # a part does not know what else there is; Gazebo is stepped when asked to
        known = not part and arguments.sim == "mujoco"
        arguments = arguments.model_copy(update={"sync": "on" if known else "off"})
    stack = StackDescription([_monitor(arguments, run_directory)])
    if arguments.side != "robot":
        if arguments.dashboard == "on" and not part:
            _add_dashboard(stack, arguments)
        stack.nodes += [
            *_agents(arguments, run_directory),
            *_controllers(arguments),
            _twin(arguments),
            *_radio(arguments, run_directory),
        ]
    if arguments.side != "edge":
        stack.nodes += _robot_side(arguments)
        if part in ("", "sim"):
            _add_simulator(stack, arguments, run_directory, part)
    if arguments.sync == "on" and (why := _unsynced(arguments)):
        stack.notes.append(f"sync: {why}: commands take effect when they arrive, as with sync:=off")
    if part:
        stack.nodes = [spec for spec in stack.nodes if spec.part == part]
    if not arguments.use_sim_time and any(spec.part == "sim" for spec in stack.nodes):
        raise ConfigError("use_sim_time:=false: the simulator makes the time here; start side:=edge, or radio or twin")
    stack.nodes = [_below(arguments.namespace, spec) for spec in stack.nodes]
    if arguments.params_file:
        stack.nodes = with_parameters(stack.nodes, arguments.params_file)
    if arguments.log_level != "info":
        stack.nodes = [replace(spec, log_level=arguments.log_level) for spec in stack.nodes]
    return stack


def _below(namespace: str, spec: NodeSpec) -> NodeSpec:
    """A process below the stack's namespace; it is told that there is none, too, as a user's variable may say other."""
    environment = {**spec.environment, stack_namespace.VARIABLE: namespace}
    return replace(spec, namespace=stack_namespace.below(namespace, spec.namespace), environment=environment)


def _edge(arguments: BringupArguments) -> str:
    """Namespace of the edge's side of the radio."""
    return "/edge" if arguments.radio == "on" else ""


def _synced(arguments: BringupArguments) -> bool:
    """Whether simulator, on-board parts and radio go in step."""
    return arguments.sync == "on" and not _unsynced(arguments)


def _unsynced(arguments: BringupArguments) -> str:
    """Why they cannot, where that is so."""
    return "" if arguments.side == "all" else f"side:={arguments.side} does not know the other side"


def _clocked(arguments: BringupArguments) -> dict[str, Any]:
    return {"use_sim_time": arguments.use_sim_time}


def _fleet(arguments: BringupArguments) -> dict[str, Any]:
    return {"world": str(arguments.world), "robots": list(arguments.robots)}


def _controllers(arguments: BringupArguments) -> Iterator[NodeSpec]:
    for name, robot in zip(arguments.names, arguments.robots, strict=True):
        if name in arguments.external:
            continue
        parameters = {
            **_clocked(arguments),
            "robot": robot,
            "world": str(arguments.world),
            "edge_namespace": _edge(arguments),
            "policy_file": str(arguments.policies.get(name, "")),
            "seed": arguments.seed,
            "exploration": arguments.exploration,
        }
        place = f"{_edge(arguments)}/{name}"
        yield NodeSpec("ir_drl", "controller", "controller", place, parameters, part="control")


def _agents(arguments: BringupArguments, run_directory: Path) -> Iterator[NodeSpec]:
    """An agent for each task of the robots whose policy is learnt."""
    if not arguments.learn:
        return
    world = compose(arguments.world, list(arguments.robots))
    words = dict(zip(arguments.names, arguments.robots, strict=True))
    teams: dict[str, list[str]] = {}
    for name in arguments.learn:
        teams.setdefault(robot_task(world.robots[name], world).name, []).append(words[name])
    for task, robots in teams.items():
        parameters = {
            **_clocked(arguments),
            "robots": robots,
            "world": str(arguments.world),
            "edge_namespace": _edge(arguments),
            "algorithm": arguments.learn_with,
            "learn_from": arguments.learn_from,
            "folder": str(arguments.learn_folder or run_directory / "agents"),
            "seed": arguments.seed,
        }
        place = f"{_edge(arguments)}/{task}"
        yield NodeSpec("ir_drl", "agent", "agent", place, parameters, nice=10, part="control")


def _twin(arguments: BringupArguments) -> NodeSpec:
    chosen = {"edge_namespace": _edge(arguments), "mode": arguments.twin, "seed": arguments.seed}
    parameters = {**_clocked(arguments), **_fleet(arguments), **chosen, **twin_parameters(arguments)}
    return NodeSpec("ir_twin", "twin", "twin", _edge(arguments) or "/", parameters, realtime=1, part="twin")


def _radio(arguments: BringupArguments, run_directory: Path) -> Iterator[NodeSpec]:
    if arguments.radio == "off":
        return
    sliced = {**_clocked(arguments), "slices_file": str(arguments.slices)}
    state = {"policy": arguments.slicing, "state_file": str(run_directory / "slices.json")}
    if arguments.slicing == "learned":
        state["keys_file"] = str(make_master(run_directory / "slice_keys.json"))
    yield NodeSpec("ir_slicing", "manager", "manager", "/slicing", {**sliced, **state}, nice=5, part="radio")
    if arguments.slicing == "learned":
        learning = {**_clocked(arguments), "seed": arguments.seed, "keys_file": state["keys_file"]}
        yield NodeSpec("ir_slicing", "slice_agents", "agents", "/slicing", learning, nice=10, part="radio")
    waits = {"sync": _synced(arguments), "sync_patience": arguments.sync_patience}
    waits |= {"map_size": _MAP_SIZE, "map_cell": 0.5}
    relay = {**sliced, **waits, "robots": arguments.names, "edge_namespace": _edge(arguments), "seed": arguments.seed}
    yield NodeSpec("ir_radio", "relay", "radio", parameters=relay, part="radio")


def _robot_side(arguments: BringupArguments) -> Iterator[NodeSpec]:
    onboard = {**_clocked(arguments), **_fleet(arguments), "sim": arguments.sim, "sync": _synced(arguments)}
    nice = 2 if arguments.sim == "mujoco" else 0  # Gazebo does not wait for it
    yield NodeSpec("ir_sim", "robots", "robots", parameters=onboard, nice=nice, part="sim")
    frames = {**_fleet(arguments), "edge_namespace": _edge(arguments)}
    yield NodeSpec("ir_sim", "robot_state", "robot_state", parameters=frames, nice=10, part="sim")


def _add_dashboard(stack: StackDescription, arguments: BringupArguments) -> None:
    """The live page. Port and token are chosen here, so that they stay when the node is started again."""
    token, host = secrets.token_urlsafe(12), arguments.host
    chosen = {"host": host, "port": _free_port(host, arguments.port), "token": token}
    parameters = {**_fleet(arguments), "edge_namespace": _edge(arguments), **chosen}
    stack.nodes.append(
        NodeSpec("ir_dashboard", "dashboard", "dashboard", parameters=parameters, nice=10, part="dashboard")
    )
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    stack.notes += [
        f"live page: http://{shown}:{chosen['port']}/#token={token}",
        "look at: slices with a tick keep what was agreed; the twin's charts show what it foresaw and vetoed",
        "try: drive a robot at a wall (stick, W A S D, gamepad); New slice on the page; ./ir slice watch elsewhere",
    ]


def _free_port(host: str, preferred: int) -> int:
    """The preferred port, or a free one where it is taken.

    Raises:
        ConfigError: the host is no address of this machine.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for port in (preferred, 0):
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise ConfigError(
                        f"host:={host}: cannot listen there ({error.strerror}); give 127.0.0.1 or 0.0.0.0"
                    ) from None
            else:
                break
        return int(probe.getsockname()[1])


def _monitor(arguments: BringupArguments, run_directory: Path) -> NodeSpec:
    shown = arguments.model_dump(mode="json", exclude_none=True)
    parameters = {
        **_clocked(arguments),
        "robots": arguments.names,
        "duration": arguments.duration,
        "report": str(arguments.report or ""),
        "spare_report": str(run_directory / "report.json"),
        "restarts_file": str(run_directory / FILE),
        "started": time.time(),
        "edge_namespace": _edge(arguments),
        "arguments": yaml.safe_dump(shown, default_flow_style=True, width=10**6).strip(),
    }
    name = "monitor" if arguments.side == "all" else f"monitor_{arguments.side}"  # two sides share one graph
    return NodeSpec("ir_twin", "monitor", name, parameters=parameters, nice=10, required=True)


def _add_simulator(stack: StackDescription, arguments: BringupArguments, run_directory: Path, part: str) -> None:
    fleet = _fleet(arguments)
    waits = {
        "sync": ("radio" if arguments.radio == "on" else "direct") if _synced(arguments) else "off",
        "sync_patience": arguments.sync_patience,
        "wait_for": sorted(spec.full_name for spec in stack.nodes if part in ("", spec.part)),
    }
    if arguments.sim == "mujoco":
        parameters = {
            **fleet,
            "seed": arguments.seed,
            "real_time_factor": arguments.real_time_factor,
            "cameras": arguments.rendering,
            "bridge_file": str(arguments.bridge),
        }
        if _synced(arguments):
            parameters |= waits
        stack.nodes.append(NodeSpec("ir_sim", "simulator", "simulator", parameters=parameters, nice=3, part="sim"))
        return
    _add_gazebo(stack, arguments, run_directory, {**fleet, **waits})


def _add_gazebo(
    stack: StackDescription, arguments: BringupArguments, run_directory: Path, simulator: dict[str, Any]
) -> None:
    """Gazebo, its bridge, and the nodes of ours beside it.

    Args:
        stack: gets them.
        arguments: of the bringup.
        run_directory: for the world and the list of topics as Gazebo and its bridge read them.
        simulator: parameters of the node that stands for Gazebo, as far as they are those of any simulator.
    """
    world = compose(arguments.world, list(arguments.robots))
    raycast = arguments.lidar == "raycast"
    without = list(RENDERED) if not arguments.rendering else ["lidar"] if raycast else []
    replaced = ["lidar"] if raycast else []
    world_file = write_gz_world(world, run_directory / "world.sdf", without, arguments.real_time_factor)
    left = gazebo_words.sensor_topics(world, without)
    bridge_file = write_gz_bridge(world, arguments.bridge, run_directory / "gz_topics.yaml", left)
    stack.notes += gazebo_words.lacks(world, set(without) - set(replaced))
    environment = {
        "GZ_SIM_RESOURCE_PATH": str(arguments.world.parent / "models"),
        "GZ_PARTITION": os.environ.get("GZ_PARTITION", run_directory.name),
    }
    # gz embeds Python, which must not start itself again where ROS comes as wheels.
    embedded = {**environment, "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    command = ("sim", *(("-s",) if arguments.headless else ()), "--seed", str(arguments.seed), str(world_file))
    fleet, services = _fleet(arguments), gz_service_names(world.name)
    bridged = [*services, *(row.ros_topic_name for row in load_rows(bridge_file))] if arguments.namespace else []
    sensors = {"without": without, "replaced": replaced}
    topics = {**fleet, "bridge_file": str(bridge_file)}
    if raycast:
        rays = {"use_sim_time": True, **fleet, "bridge_file": str(arguments.bridge), "seed": arguments.seed}
        stack.nodes.append(NodeSpec("ir_sim", "raycast_lidar", "raycast_lidar", parameters=rays, nice=3, part="sim"))
    adapter = {"use_sim_time": True, **topics}
    stack.nodes.append(NodeSpec("ir_sim", "gz_adapter", "gz_adapter", parameters=adapter, part="sim"))
    beside = [spec.full_name for spec in stack.nodes if spec.executable in ("gz_adapter", "raycast_lidar")]
    simulator = {**simulator, **topics, **sensors, "wait_for": sorted({*simulator["wait_for"], *beside})}
    simulator["readers"] = [*beside, *(spec.full_name for spec in stack.nodes if spec.executable == "robots")]
    stack.nodes += [
        NodeSpec("ir_sim", "gz_simulator", "simulator", parameters=simulator, part="sim"),
        NodeSpec(
            "ros_gz_bridge",
            "parameter_bridge",
            "bridge",
            parameters={"config_file": str(bridge_file)},
            arguments=tuple(f"{name}@{kind}" for name, kind in services.items()),
            environment=environment,
            remaps={name: stack_namespace.below(arguments.namespace, name) for name in bridged},
            part="sim",
        ),
        # on a busy host it gets slower, not the way of the commands that it does not wait for
        NodeSpec("", "gz", "gz_sim", arguments=command, environment=embedded, nice=3, required=True, part="sim"),
    ]
