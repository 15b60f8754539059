# SPDX-License-Identifier: Apache-2.0
"""What runs in the stack: plain data that both launchers turn into processes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from ir_common.config import ConfigError
from ir_sim.sdf import compose, write_gz_bridge, write_gz_world
from ir_twin.bringup.arguments import BringupArguments, share
from ir_twin.bringup.spec import NodeSpec


def describe(arguments: BringupArguments, run_directory: Path) -> list[NodeSpec]:
    """The processes of the stack, in the order in which they end (the reverse of the order of data).

    Args:
        arguments: checked arguments (`arguments.check`).
        run_directory: an existing folder for the files that this run makes (the Gazebo world and bridge).
    """
    edge = "/edge" if arguments.radio == "on" else ""
    clocked: dict[str, Any] = {"use_sim_time": True}
    fleet = {"world": str(arguments.world), "robots": list(arguments.robots)}
    sliced = {**clocked, "slices_file": str(arguments.slices)}
    edge_side = []
    for name, robot in zip(arguments.names, arguments.robots, strict=True):
        parameters = {
            **clocked,
            "robot": robot,
            "world": str(arguments.world),
            "edge_namespace": edge,
            "policy_file": str(arguments.policies.get(name, "")),
            "seed": arguments.seed,
        }
        edge_side.append(NodeSpec("ir_drl", "controller", "controller", f"{edge}/{name}", parameters))
    veto = {**clocked, **fleet, "edge_namespace": edge, "mode": arguments.twin, "seed": arguments.seed}
    edge_side.append(NodeSpec("ir_twin", "twin", "twin", edge or "/", veto))
    if arguments.radio == "on":
        edge_side.append(NodeSpec("ir_slicing", "manager", "manager", "/slicing", sliced))
        relay = {**sliced, "robots": arguments.names, "edge_namespace": edge}
        edge_side.append(NodeSpec("ir_radio", "relay", "radio", parameters=relay))
    robot_side = [NodeSpec("ir_sim", "robots", "robots", parameters={**clocked, **fleet, "sim": arguments.sim})]
    if arguments.side != "edge":
        robot_side += _simulator(arguments, fleet, run_directory)
    chosen = {"all": edge_side + robot_side, "robot": robot_side, "edge": edge_side}[arguments.side]
    return [_monitor(arguments, clocked), *chosen]


def _monitor(arguments: BringupArguments, clocked: dict[str, Any]) -> NodeSpec:
    shown = arguments.model_dump(mode="json", exclude_none=True)
    parameters = {
        **clocked,
        "robots": arguments.names,
        "duration": arguments.duration,
        "report": str(arguments.report or ""),
        "started": time.time(),
        "edge_namespace": "/edge" if arguments.radio == "on" else "",
        "arguments": yaml.safe_dump(shown, default_flow_style=True, width=10**6).strip(),
    }
    return NodeSpec("ir_twin", "monitor", "monitor", parameters=parameters, required=True)


def _simulator(arguments: BringupArguments, fleet: dict[str, Any], run_directory: Path) -> list[NodeSpec]:
    if arguments.sim == "mujoco":
        parameters = {
            **fleet,
            "seed": arguments.seed,
            "real_time_factor": arguments.real_time_factor,
            "cameras": arguments.rendering,
            "bridge_file": str(share() / "config" / "bridge.yaml"),
        }
        return [NodeSpec("ir_sim", "simulator", "simulator", parameters=parameters)]
    if arguments.real_time_factor != 1.0:
        raise ConfigError("real_time_factor:=: Gazebo takes it from <physics> of the world; leave it out with sim:=gz")
    world = compose(arguments.world, list(arguments.robots))
    world_file = write_gz_world(world, run_directory / "world.sdf", arguments.rendering)
    bridge_file = write_gz_bridge(world, share() / "config" / "bridge.yaml", run_directory / "bridge.yaml")
    environment = {
        "GZ_SIM_RESOURCE_PATH": str(arguments.world.parent / "models"),
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",  # gz embeds Python, which must not start itself again
    }
    command = ("sim", "-r", *(("-s",) if arguments.headless else ()), "--seed", str(arguments.seed), str(world_file))
    adapter = {"use_sim_time": True, **fleet, "bridge_file": str(bridge_file)}
    return [
        NodeSpec("ir_sim", "gz_adapter", "gz_adapter", parameters=adapter),
        NodeSpec("ros_gz_bridge", "parameter_bridge", "bridge", parameters={"config_file": str(bridge_file)}),
        NodeSpec("", "gz", "gz_sim", arguments=command, environment=environment, required=True),
    ]
