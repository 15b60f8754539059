#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for `gz sim` with ros_gz_bridge: the embedded engine, behind what was seen of a real gz-sim 8.

It answers when it accepts, not when it is done; requests of one iteration are carried out together, so that a reset
with another request after it is lost; it repeats the joint states of the instant at which it stands; a model that is in
the world is not created again, though the answer is yes; one that was created comes back without its plug-ins when the
world begins anew; it dies where a model was removed and the next iteration stands; the IMU of one that is removed in a
step in which no IMU is due and heard goes on sending; without rendering no lidar and no camera sends anything. Started
as `gz sim [-r] … WORLD.sdf` it waits for the stand-in of the bridge, and serves the topics and services that this one
was told to bridge.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from ros_gz_interfaces import srv
from ros_gz_interfaces.msg import Contact, Contacts
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import Imu, JointState

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import STREAM
from ir_common.ros_time import to_stamp
from ir_sim.bridge import load_rows
from ir_sim.ros_sensors import reading_to_message
from ir_sim.ros_task_messages import COMMAND_TYPES
from ir_sim.sdf import compose
from ir_sim.sdf.gazebo import IMU_PACE
from ir_sim.simulation import Simulation
from ir_sim.tasks import robot_task

ITERATION = 0.002  #: s of wall time, at a real-time factor of 1
TURN = 4  #: iterations of the engine between two looks of the executor, to spare the processor of the tests


class GazeboDouble(Node):
    """Gazebo and its bridge in one node."""

    def __init__(self, world: str, topics: str, services: dict[str, str], running: bool, lose: int = 0) -> None:
        super().__init__("gz_double")
        self.world = compose(world)
        self.simulation = Simulation(self.world, 1, cameras=False)
        self.paused, self.pending, self.rewind = not running, 0, False
        self.lose = lose  # so many requests of world control are accepted and forgotten
        self.present = set(self.world.robots)
        self.leaving: set[str] = set()
        self.left = False  # a model was removed in the iteration before
        self.created: set[str] = set()
        self.without_plugins: set[str] = set()
        self.ghosts: list[str] = []  # robots whose IMU outlived them, once for each
        self.requests: list[Any] = []
        self.commands: list[Any] = []
        self.repeated: list[tuple[Any, Any]] = []
        rows = load_rows(topics)
        self.paced = any(row.gz_topic_name == IMU_PACE and row.lazy is False for row in rows)
        self.clock = self.create_publisher(ClockMessage, "/clock", 10)
        self.outputs: dict[str, tuple[Any, str]] = {}
        kinds = {"nav_msgs/msg/Odometry": Odometry, "sensor_msgs/msg/JointState": JointState,
                 "sensor_msgs/msg/Imu": Imu}  # fmt: skip
        for row in rows:
            if row.ros_type_name in kinds:
                publisher = self.create_publisher(kinds[row.ros_type_name], row.ros_topic_name, 10)
                self.outputs[row.gz_topic_name] = publisher, row.ros_type_name
            elif row.ros_type_name.endswith("Contacts"):
                self.outputs[row.gz_topic_name] = self.create_publisher(Contacts, row.ros_topic_name, 10), "contacts"
        for name, robot in self.world.robots.items():
            topic, kind = COMMAND_TYPES[robot_task(robot, self.world).command]
            self.create_subscription(kind, f"/{name}/{topic}", lambda m, n=name: self.command(n, m), STREAM)
        handlers = {"ControlWorld": self.control, "SpawnEntity": self.create, "DeleteEntity": self.remove,
                    "SetEntityPose": self.set_pose}  # fmt: skip
        for name, kind in services.items():
            self.create_service(getattr(srv, kind.rpartition("/")[2]), name, handlers[kind.rpartition("/")[2]])
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.behind, self.looked = 0.0, time.monotonic()
        self.create_timer(TURN * ITERATION, self.turn, clock=steady)

    # --- services: accepted here, done in an iteration

    def control(self, request: Any, response: Any) -> Any:
        response.success = True
        if self.lose and (request.world_control.multi_step or request.world_control.reset.all):
            self.lose -= 1
        else:
            self.requests.append(request.world_control)
        return response

    def create(self, request: Any, response: Any) -> Any:
        response.success = True
        self.commands.append(("create", request.entity_factory))
        return response

    def remove(self, request: Any, response: Any) -> Any:
        response.success = True
        self.commands.append(("remove", request.entity))
        return response

    def set_pose(self, request: Any, response: Any) -> Any:
        response.success = True  # of a model on a rail, too, which stays where it is
        return response

    def command(self, robot: str, message: Any) -> None:
        if robot not in self.present - self.without_plugins:
            return
        if hasattr(message, "linear"):
            self.simulation.drive(robot, message.linear.x, message.angular.z)
        else:
            point = message.points[0]
            self.simulation.move_joints(robot, message.joint_names, list(point.positions or point.effort))

    # --- iterations

    def turn(self) -> None:
        now = time.monotonic()
        self.behind = min(self.behind + (now - self.looked) / ITERATION, 4.0 * TURN)
        self.looked = now
        while self.behind >= 1.0:
            self.behind -= 1.0
            self.iterate()

    def iterate(self) -> None:
        if self.rewind:
            self.rewind = False
            self.simulation.reset(1)
            self.present = set(self.world.robots)
            self.without_plugins = set(self.created)
            self.ghosts.clear()
            self.publish_clock()
            self.end_iteration()
            return
        if self.left and self.paused:
            print("Gazebo dies of the contacts of what it has removed", flush=True)
            os._exit(139)
        readings: list[Any] = []
        if not self.paused:
            self.simulation.step(1, readings.append)
            for name in self.world.robots.keys() - self.present:
                self.simulation.reset_robot(name)  # not in the world: it goes nowhere
            self.repeated = []
        self.publish_clock()
        self.carry_out()
        if not self.paused and not self.paced:
            for name in self.leaving & self.present:
                print(f"the IMU of {name} outlives it", flush=True)
                self.ghosts.append(name)
        for reading in readings:
            self.publish(reading)
        for publisher, message in self.repeated if self.paused else []:
            publisher.publish(message)
        self.end_iteration()

    def publish_clock(self) -> None:
        self.clock.publish(ClockMessage(clock=to_stamp(self.simulation.nanoseconds)))

    def carry_out(self) -> None:
        commands, self.commands = self.commands, []
        for what, request in commands:
            if what == "remove" and request.name in self.present and request.type == request.MODEL:
                self.leaving.add(request.name)
            elif what == "create" and request.name not in self.present and request.name in self.world.robots:
                assert f'<model name="{request.name}"' in request.sdf and not request.allow_renaming
                position = self.world.robots[request.name].placed.pose.position
                there = request.pose.position
                assert np.allclose([there.x, there.y, there.z], position), "not at its start"
                self.simulation.reset_robot(request.name)
                self.present.add(request.name)
                self.created.add(request.name)
                self.without_plugins.discard(request.name)

    def publish(self, reading: Any) -> None:
        publisher, kind = self.outputs.get(reading.topic, (None, ""))
        if publisher is None or reading.robot not in self.present - self.without_plugins:
            return
        if kind == "contacts":
            message = Contacts()
            message.header.stamp = to_stamp(reading.nanoseconds)
            for touch in reading.value:
                contact = Contact()
                contact.collision1.name, contact.collision2.name = touch.first, touch.second
                message.contacts.append(contact)
            if message.contacts:
                publisher.publish(message)
            return
        message = reading_to_message(reading)
        for _ in range(1 + (self.ghosts.count(reading.robot) if reading.kind == "imu" else 0)):
            publisher.publish(message)
        if reading.kind == "joint_states":
            self.repeated.append((publisher, message))

    def end_iteration(self) -> None:
        if not self.paused and self.pending > 0:
            self.pending -= 1
            self.paused = self.pending == 0
        requests, self.requests = self.requests, []
        for request in requests:
            self.paused = request.pause
            if self.paused and request.multi_step:
                self.pending += request.multi_step
                self.paused = False
            self.rewind = request.reset.all
        self.left = bool(self.leaving & self.present)
        for name in self.leaving & self.present:
            print(f"{name} is taken out", flush=True)
        self.present -= self.leaving
        self.leaving.clear()


def waited_for(path: Path) -> Any:
    """What the bridge's stand-in was started with."""
    while not path.exists():
        time.sleep(0.02)  # a stand-in of a program, no test
    return json.loads(path.read_text())


def main() -> None:
    """As `gz sim`."""
    folder = Path(os.environ["IR_TEST_DOUBLES"])
    words = waited_for(folder / "bridge.json")
    services = dict(word.split("@") for word in words if "@" in word)
    rules = [part for word in words if ":=/" in word for part in ("-r", word)]  # names below a namespace
    rclpy.init(args=["gz", "--ros-args", *rules] if rules else [])
    topics = str(Path(sys.argv[-1]).with_name("gz_topics.yaml"))
    double = GazeboDouble(sys.argv[-1], topics, services, "-r" in sys.argv, int(os.environ.get("IR_TEST_LOSE", "0")))
    (folder / f"gz-{os.getpid()}.json").write_text(json.dumps(sys.argv[1:]))
    executor = LeanExecutor()
    executor.add_node(double)
    executor.spin()


if __name__ == "__main__":
    main()
