# SPDX-License-Identifier: Apache-2.0
"""The dashboard as a node: the stack's messages in, pictures out; joystick in, proposed velocities out."""

from __future__ import annotations

import math
import secrets
import struct
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.clock import Clock, ClockType
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage, JointState, LaserScan
from std_msgs.msg import String

from ir_common.ros_node import ANNOUNCEMENTS, LATCHED, NODE_STATUS_TOPIC, RELIABLE, STREAM, StackNode, run
from ir_common.ros_params import declare
from ir_common.ros_poll import BUFFERED, NEWEST, Poll
from ir_common.ros_time import to_seconds
from ir_dashboard.access import Access
from ir_dashboard.dashboard_config import DashboardConfig
from ir_dashboard.driving import Desk, DrivingRefused, Limits, Sight
from ir_dashboard.driving_guard import DrivingGuard, Velocity, body_of
from ir_dashboard.hub import Hub
from ir_dashboard.recording import Recording
from ir_dashboard.ros_driving import DrivingPort
from ir_dashboard.ros_slices import SliceServices
from ir_dashboard.scene import BARE, scene
from ir_dashboard.stack_time import StackTime
from ir_dashboard.state import CONSTANTS, LiveState, encode
from ir_dashboard.web import TICK, application
from ir_dashboard.web_server import WebServer
from ir_interfaces.msg import (
    Allocation,
    CellReport,
    HostReport,
    NodeStatus,
    SliceList,
    TaskState,
    TaskStatus,
    TwinStatus,
    Verdict,
)
from ir_sim.sdf import World, compose
from ir_sim.tasks import read_tasks


class DashboardNode(StackNode):
    """Reads what all nodes say at the rate of the page, and serves it; topics and parameters are in the README."""

    def __init__(self, **options: Any) -> None:
        super().__init__("dashboard", **options)
        self._config = config = declare(self, DashboardConfig, self._reconfigure).config
        self._tasks = read_tasks(config.robots, config.world)
        self._names = list(self._tasks)
        world = compose(config.world, list(config.robots)) if config.world else None
        self._time = StackTime()
        self._state = LiveState(self._names, config.history)
        self._lock = threading.Lock()  # of _state, which the web thread reads whole
        self._hub = Hub()
        drivers = {
            n: Limits.of(task.action_low, task.action_high) for n, task in self._tasks.items() if task.velocities
        }
        self._port = DrivingPort(
            self, config.edge_namespace, {name: self._tasks[name] for name in drivers},
            lambda: self._time.at(time.monotonic()),
        )  # fmt: skip
        guards = _guards(world, drivers)
        sight = Sight(config.picture_slow, config.picture_lock)
        self._desk = Desk(drivers, config.dead_man - TICK, self._port, sight, guards, config.command_age)
        self._desk.lessen(config.guard, sight)
        self._recording = Recording(Path(config.recordings or "."))
        slices = SliceServices(self, config.service_timeout)
        self._images: dict[int, bytes] = {}
        self._image_due = dict.fromkeys(self._names, 0.0)
        self._poll = Poll(self)
        self._subscribe(drivers, guards)
        token = config.token or secrets.token_urlsafe(12)
        constants = CONSTANTS | {
            "order": self._names,
            "drivable": list(drivers),
            "dead_man": config.dead_man,
            "history": config.history,
            "scene": scene(world) if world else BARE,
            "sight": [config.picture_slow, config.picture_lock],
        }
        app = application(self, slices, self._hub, self._desk, Access(token), constants, self._recording)
        self._server = WebServer(app, config.host, config.port)
        self.create_timer(1.0 / config.rate, self._tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self._server.start()
        shown = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
        self.address = f"http://{f'[{shown}]' if ':' in shown else shown}:{self._server.port}/#token={token}"
        print(f"dashboard: {self.address}", flush=True)

    def _subscribe(self, drivable: dict[str, Limits], guards: dict[str, DrivingGuard]) -> None:
        state, add, edge = self._state, self._poll.add, self._config.edge_namespace
        add(ClockMessage, "/clock", NEWEST, self._take_clock)  # before what its time is held against
        for name in drivable:
            self._port.hear(name, edge, self._take_joystick)
        for name in guards:
            self.create_subscription(
                LaserScan, f"{edge}/{name}/scan", lambda scan, robot=name: self._take_scan(robot, scan), STREAM
            )
        for index, name in enumerate(self._names):
            add(Odometry, f"/{name}/odom", NEWEST, state.take_odometry, name)
            add(JointState, f"/{name}/joint_states", NEWEST, state.take_joints, name)
            add(TaskStatus, f"/{name}/task_status", LATCHED, state.take_task_status, name)
            add(TwinStatus, f"{edge}/{name}/twin_status", LATCHED, state.take_twin_status, name)
            add(Verdict, f"{edge}/{name}/verdict", RELIABLE, state.take_verdict, name)
            add(CompressedImage, f"{edge}/{name}/camera/image_raw/compressed", NEWEST, self._take_image, name, index)
            if name not in drivable:
                add(TaskState, f"{edge}/{name}/state", BUFFERED, state.take_step, name)
            else:  # at once, not at the next tick: the round trip is measured with it
                self.create_subscription(
                    TaskState,
                    f"{edge}/{name}/state",
                    lambda message, robot=name: self._take_state(robot, message),
                    STREAM,
                )
        add(CellReport, "/radio/report", RELIABLE, lambda report: state.take_report(report, time.monotonic()))
        add(OccupancyGrid, "/radio/map", LATCHED, state.take_map)
        add(HostReport, "/simulator/host", LATCHED, state.take_host)
        add(DiagnosticArray, "/diagnostics", BUFFERED, state.take_diagnostics)
        add(SliceList, "/slicing/slices", LATCHED, state.take_slices)
        add(Allocation, "/slicing/allocation", LATCHED, state.take_allocation)
        add(NodeStatus, NODE_STATUS_TOPIC, ANNOUNCEMENTS, self._take_node)
        add(String, "/ir/caption", LATCHED, lambda message: state.take_caption(message.data))

    def _reconfigure(self, config: DashboardConfig) -> None:
        self._hub.call(self._desk.lessen, config.guard, Sight(config.picture_slow, config.picture_lock))

    def _tick(self) -> None:
        with self._lock:
            self._poll.take()
            picture = self._state.update(time.monotonic())
        images, self._images = self._images, {}
        if self._hub.viewers:
            self._hub.publish(encode(picture), images)

    def _take_clock(self, message: ClockMessage) -> None:
        self._time.take(to_seconds(message.clock), time.monotonic())
        self._state.take_clock(to_seconds(message.clock))

    def _take_image(self, robot: str, camera: int, message: CompressedImage) -> None:
        now = time.monotonic()
        stamp = to_seconds(message.header.stamp)
        age = self._time.age(stamp, now) if stamp else math.nan  # some cameras stamp nothing
        self._hub.call(self._desk.pictured, robot, 0.0 if math.isnan(age) else age, now)
        if now >= self._image_due[robot]:
            period = 1.0 / self._config.camera_rate
            self._image_due[robot] = max(self._image_due[robot] + period, now)  # the mean rate, whatever the tick's
            self._images[camera] = struct.pack("<Bd", camera, now - age) + message.data.tobytes()

    def _take_joystick(self, robot: str, velocity: Velocity, age: float | None) -> None:
        now = time.monotonic()
        self._hub.call(self._steer, robot, velocity, now, None if age is None else now - age)

    def _steer(self, robot: str, velocity: Velocity, now: float, at: float | None) -> None:
        try:
            self._desk.joystick(robot, velocity, now, at)
        except DrivingRefused as error:
            self.get_logger().warning(f"joystick of {robot}: {error}", throttle_duration_sec=5.0)

    def _take_scan(self, robot: str, scan: LaserScan) -> None:
        ranges = np.asarray(scan.ranges, np.float64)
        ranges = np.where((ranges > scan.range_max) | np.isnan(ranges), np.inf, ranges)
        bearings = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
        self._hub.call(self._desk.saw, robot, bearings, ranges, time.monotonic())

    def _take_state(self, robot: str, message: TaskState) -> None:
        self._hub.call(self._desk.echo, robot, tuple(message.action), time.monotonic())
        with self._lock:
            self._state.take_step(robot, message)

    def _take_node(self, status: NodeStatus) -> None:
        self._state.take_node(status)
        robot = self._port.robot_of(status.name)
        if robot:
            self._port.ask(robot, lambda enabled: self._hub.call(self._desk.controller_ready, robot, enabled))

    # What the web side asks; called from its thread.

    def picture(self) -> dict[str, Any]:
        """Everything that is known now."""
        with self._lock:
            return self._state.whole() | {"viewers": self._hub.viewers}

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the charts so far."""
        with self._lock:
            return list(self._state.rows)

    def close(self) -> None:
        """Ends the server, and a bag that is being made."""
        self._server.stop()
        self._recording.stop()


def _guards(world: World | None, robots: dict[str, Limits]) -> dict[str, DrivingGuard]:
    """A guard for each robot whose body and lidar are known."""
    bodies = {name: body_of(world.robots[name].description) for name in robots} if world else {}
    return {name: DrivingGuard(body, robots[name].turning) for name, body in bodies.items() if body is not None}


def main() -> None:
    """Entry point of the executable ``dashboard``."""
    run(DashboardNode)


if __name__ == "__main__":
    main()
