# SPDX-License-Identifier: Apache-2.0
"""What an environment needs of a stack with Gazebo, on the stand-in of it, for tests."""

import json
import os
import runpy
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import gymnasium

from ir_drl.environments import environment_id
from ir_sim.bridge import gz_service_names
from ir_sim.sdf import compose, write_gz_bridge, write_gz_world
from ir_sim.sdf.gazebo import RENDERED

ROOT = Path(__file__).resolve().parents[3]
WORLD, BRIDGE = ROOT / "worlds" / "robot_field.sdf", ROOT / "config" / "bridge.yaml"
GAZEBO = ROOT / "tests" / "gazebo"
interfaces = runpy.run_path(str(GAZEBO / "gz_stand_in.py"))["interfaces"]


@contextmanager
def stand_in(folder, *robots):
    """The stand-in of Gazebo, the node that stands for it in the stack, and the robots' on-board part."""
    found = interfaces()
    world = compose(WORLD, robots)
    file = write_gz_world(world, folder / "world.sdf", RENDERED)
    topics = write_gz_bridge(world, BRIDGE, folder / "gz_topics.yaml")
    services = [f"{name}@{kind}" for name, kind in gz_service_names(world.name).items()]
    (folder / "bridge.json").write_text(json.dumps(services))
    path = found.get("PYTHONPATH", "")
    environment = {
        **os.environ, **found, "IR_TEST_DOUBLES": str(folder),
        "PYTHONPATH": os.pathsep.join(p for p in (path, *sys.path) if p),
    }  # fmt: skip
    common = ["--ros-args", "-p", f"world:={WORLD}", "-p", f"robots:={list(robots)}"]
    stands_for = [*common, "-p", f"bridge_file:={topics}", "-p", "paused:=true", "-p", "without:=['lidar','camera']"]
    commands = [
        [str(GAZEBO / "gz_double.py"), "sim", str(file)],
        ["-m", "ir_sim.gz_simulator_node", *stands_for],
        ["-m", "ir_sim.robots_node", *common, "-p", "sim:=gz", "-p", "use_sim_time:=true"],
    ]
    processes = [subprocess.Popen([sys.executable, *command], env=environment) for command in commands]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        ended = [process.wait(10) for process in processes]
    assert ended[1:] == [0, 0]


def make(model: str):
    return gymnasium.make(environment_id(model, ros=True), world=WORLD, timeout=30.0).unwrapped
