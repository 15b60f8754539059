# SPDX-License-Identifier: Apache-2.0
"""A running stack as the stage of a story: parameters, services and topics in, tallies out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.client import Client
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import UInt8MultiArray

from ir_common.ros_node import LATCHED, RELIABLE, STREAM
from ir_dashboard.dashboard_config import DashboardConfig
from ir_dashboard.driving import Limits
from ir_interfaces.msg import CellReport, SliceList, TaskState, TaskStatus, TwinStatus
from ir_interfaces.msg import SliceSpec as SliceSpecMessage
from ir_interfaces.srv import CreateSlice, DeleteSlice
from ir_lab.clumsy_driver import PERIOD, ClumsyDriver
from ir_lab.demo.stories import FLOOD, Tally
from ir_lab.net_movement import NetMovement
from ir_sim.tasks import Task

MESSAGE = 20_000
"""B of a message of the flood."""
UNSLOWED = 59.0, 60.0
"""s, ages of the picture with which nobody is slowed, and locked."""
CONTROL = ("state", "cmd_vel", "joint_commands")
"""Topics whose way over the radio is told."""


class LiveStage:
    """See `ir_lab.demo.stories.Stage`.

    Args:
        node: of the topics and services.
        tasks: of the robots, by name; the first that takes velocities is driven.
        edge: namespace of the edge's side.
        seed: of the driver.
        failed: told in a line what was refused.
    """

    def __init__(
        self, node: Node, tasks: Mapping[str, Task], edge: str, seed: int, failed: Callable[[str], None]
    ) -> None:
        self._node, self._failed = node, failed
        self._robots = list(tasks)
        self._set = {
            name: node.create_client(SetParametersAtomically, f"{name}/set_parameters_atomically")
            for name in ("/dashboard", f"{edge}/twin", "/radio")
        }
        self._twin = f"{edge}/twin"
        self._create = node.create_client(CreateSlice, "/slicing/create_slice")
        self._delete = node.create_client(DeleteSlice, "/slicing/delete_slice")
        self._asked: deque[tuple[Client, Any]] = deque()
        self._waiting = False
        self._slices: list[str] = []
        self._flow = node.create_publisher(UInt8MultiArray, f"/{self._robots[0]}/{FLOOD['topic']}", STREAM)
        self._load, self._rate, self._owed = UInt8MultiArray(data=bytes(MESSAGE)), 0.0, 0.0
        self._states: dict[str, TaskStatus] = {}
        self._vetoed: dict[str, int] = {}
        self._flows: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._ways = {robot: NetMovement() for robot in tasks}
        self._driver = ClumsyDriver(seed, heeds=0.0)
        self._seated, self._stick = False, Twist()
        node.create_subscription(CellReport, "/radio/report", self._on_report, RELIABLE)
        node.create_subscription(SliceList, "/slicing/slices", self._on_slices, LATCHED)
        for robot in tasks:
            node.create_subscription(TaskStatus, f"/{robot}/task_status", partial(self._on_status, robot), LATCHED)
            node.create_subscription(TwinStatus, f"{edge}/{robot}/twin_status", partial(self._on_twin, robot), LATCHED)
            node.create_subscription(Odometry, f"/{robot}/odom", partial(self._on_odometry, robot), STREAM)
        driven = next(((name, task) for name, task in tasks.items() if task.velocities), None)
        if driven is not None:
            name, task = driven
            self._limits = Limits.of(task.action_low, task.action_high)
            self._joystick = node.create_publisher(Twist, f"{edge}/{name}/joystick", STREAM)
            node.create_subscription(TaskState, f"{edge}/{name}/state", self._on_state, STREAM)

    # --- what a story asks ---

    def drive(self, seated: bool) -> None:
        """See `ir_lab.demo.stories.Stage`."""
        self._seated = seated
        if not seated:
            self._joystick.publish(Twist())

    def keep(self, kept: bool) -> None:
        """See `ir_lab.demo.stories.Stage`."""
        usual = DashboardConfig()
        slow, lock = (usual.picture_slow, usual.picture_lock) if kept else UNSLOWED
        self._change("/dashboard", guard=kept, picture_slow=slow, picture_lock=lock)
        self._change(self._twin, mode="enforce" if kept else "shadow")

    def flood(self, rate: float) -> None:
        """See `ir_lab.demo.stories.Stage`."""
        self._rate, self._owed = rate, 0.0

    def slice(self, names: Sequence[str]) -> None:
        """See `ir_lab.demo.stories.Stage`."""
        for name in self._slices:
            if name not in names:
                self._ask(self._delete, DeleteSlice.Request(name=name, requester="demo"))
        for name in names:
            if name not in self._slices:
                spec = SliceSpecMessage(name=name)
                self._ask(self._create, CreateSlice.Request(template_name=name, spec=spec, requester="demo"))

    def cut(self, away: bool) -> None:
        """See `ir_lab.demo.stories.Stage`."""
        self._change("/radio", cut=self._robots if away else [])

    # --- time ---

    def tick(self, now: float) -> None:
        """Moves the driver's hand and sends what is due of the flood; every `PERIOD` of simulated time.

        Args:
            now: s.
        """
        if self._seated:
            self._stick.linear.x, self._stick.angular.z = self._limits.velocity(*self._driver.stick(now))
        self._owed += self._rate * PERIOD / 8 / MESSAGE
        while self._owed >= 1.0:
            self._owed -= 1.0
            self._flow.publish(self._load)

    def hold_stick(self) -> None:
        """Says again where the driver's hand is; every `PERIOD` of wall time, by which a silent driver is stopped."""
        if self._seated:
            self._joystick.publish(self._stick)

    @property
    def ready(self) -> bool:
        """Whether all that a story needs of the stack is there: robots move, the radio reports, services answer."""
        return (
            len(self._states) == len(self._robots) and bool(self._flows and self._slices)
            and all(client.service_is_ready() for client in (*self._set.values(), self._create, self._delete))
        )  # fmt: skip

    def tally(self) -> Tally:
        """The counts up to now."""
        states = self._states.values()
        return Tally(
            self._now(), sum(one.falls for one in states), sum(one.collisions for one in states),
            sum(count for count, _ in self._flows.values()), sum(delay for _, delay in self._flows.values()),
            sum(self._vetoed.values()), {robot: one.way for robot, one in self._ways.items()},
            {robot: one.episodes for robot, one in self._states.items()},
        )  # fmt: skip

    # --- messages ---

    def _now(self) -> float:
        return float(self._node.get_clock().now().nanoseconds) / 1e9

    def _on_report(self, report: CellReport) -> None:
        for flow in report.flows:
            if flow.topic in CONTROL and flow.delay.count:
                count = int(flow.delay.count)
                self._flows[flow.slice, flow.robot, flow.topic] = count, count * flow.delay.mean

    def _on_slices(self, message: SliceList) -> None:
        self._slices = [status.spec.name for status in message.slices]

    def _on_status(self, robot: str, status: TaskStatus) -> None:
        self._states[robot] = status

    def _on_twin(self, robot: str, status: TwinStatus) -> None:
        self._vetoed[robot] = int(status.vetoed)

    def _on_odometry(self, robot: str, odometry: Odometry) -> None:
        point = odometry.pose.pose.position
        self._ways[robot].look((point.x, point.y), self._now())

    def _on_state(self, state: TaskState) -> None:
        self._driver.see(np.asarray(state.observation), self._now())

    # --- requests, one after the other ---

    def _change(self, node: str, **values: Any) -> None:
        changed = []
        for name, value in values.items():
            known = Parameter.Type.STRING_ARRAY if isinstance(value, list) else None
            kind = known or Parameter.Type.from_parameter_value(value)
            changed.append(Parameter(name, kind, value).to_parameter_msg())
        self._ask(self._set[node], SetParametersAtomically.Request(parameters=changed))

    def _ask(self, client: Client, request: Any) -> None:
        self._asked.append((client, request))
        self._next()

    def _next(self) -> None:
        if self._waiting or not self._asked:
            return
        client, request = self._asked.popleft()
        self._waiting = True
        client.call_async(request).add_done_callback(lambda done: self._answered(client, done.result()))

    def _answered(self, client: Client, answer: Any) -> None:
        self._waiting = False
        result = getattr(answer, "result", answer)
        if not getattr(result, "successful", getattr(result, "success", False)):
            self._failed(f"{client.srv_name}: {getattr(result, 'reason', '') or getattr(result, 'message', '')}")
        self._next()
