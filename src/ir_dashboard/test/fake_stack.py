# SPDX-License-Identifier: Apache-2.0
"""A stand-in for the rest of the stack: every message that the dashboard reads, plausible and moving."""

import io
import math
import os
import time
from array import array
from collections import Counter

import numpy as np
from geometry_msgs.msg import Twist
from nav_msgs.msg import OccupancyGrid, Odometry
from PIL import Image, ImageDraw
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, JointState, LaserScan

from ir_common.ros_node import LATCHED, NODE_STATUS_TOPIC, RELIABLE, StackNode
from ir_common.ros_time import to_stamp
from ir_common.slice_kinds import SliceKind
from ir_common.verdict_kinds import Reason, VerdictMode, kind_of, verdict_counts
from ir_interfaces.msg import (
    Allocation,
    Books,
    CellReport,
    DelayStats,
    DropCount,
    FlowSpec,
    HostReport,
    LinkReport,
    NodeStatus,
    SliceList,
    SliceReport,
    SliceSpec,
    SliceStatus,
    TaskState,
    TaskStatus,
    TwinStatus,
    Verdict,
)
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice
from ir_radio.cell_tables import Fate

STREAM = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
JOINTS = {
    "cart": ["left_wheel_joint", "right_wheel_joint"],
    "hopper": ["rootx", "rootz", "rooty", "thigh_joint", "leg_joint", "foot_joint"],
}
LEGS = [
    f"{side}_{leg}_{part}"
    for side in ("left", "right")
    for leg in ("front", "middle", "rear")
    for part in ("hip", "knee")
]
SLICES = {
    "video": (45e6, 0.135, SliceKind.EMBB, 3),
    "spider": (35e6, 0.052, SliceKind.EMBB, 2),
    "cart": (15e6, 0.01, SliceKind.EMBB, 1),
    "control": (5e6, 0.01, SliceKind.URLLC, 0),
}
EXPIRED = Fate.EXPIRED.name.lower()
ACTIONS = {"cart": 2, "spider": 12, "hopper": 3}


def reason_of(step):
    """Of the verdict of a control step: most proposals pass, some fall to either rule, few are invalid or untested."""
    if step % 131 == 0:
        return Reason.INVALID_COMMAND
    if step % 97 == 0:
        return Reason.STALE_STATE
    if step % 23 == 0:
        return Reason.HIGH_RISK if step % 2 else Reason.LOW_REWARD
    return Reason.ACCEPTED


class FakeStack(StackNode):
    """Publishes at the rates of the real stack times `rate`; the cart obeys what is proposed, after `delay` s."""

    def __init__(self, robots=("cart", "spider", "hopper"), rate=1.0, delay=0.04):
        super().__init__("fake_stack")
        self.robots, self.delay = robots, delay
        self.start = time.monotonic()
        self.pose = {robot: [2.0 * i - 2.0, -1.0, 0.0] for i, robot in enumerate(robots)}
        self.proposed, self.in_force = [], (0.0, 0.0)
        self.commands = []  # (wall time, forward, turn) as they came
        self.steps = dict.fromkeys(robots, 0)
        self.verdicts = {robot: Counter() for robot in robots}
        self.offered = dict.fromkeys(SLICES, 0)
        self.dropped = dict.fromkeys(SLICES, 0)
        self.specs = [spec(name, *values) for name, values in SLICES.items()]
        self.templates = list(self.specs)
        self.calls = []
        self.pubs = {}
        for r in robots:
            for topic, kind in ((f"/{r}/odom", Odometry), (f"/{r}/joint_states", JointState),
                                (f"/edge/{r}/state", TaskState), (f"/edge/{r}/verdict", Verdict),
                                (f"/edge/{r}/camera/image_raw/compressed", CompressedImage)):  # fmt: skip
                self.pubs[topic] = self.create_publisher(kind, topic, STREAM)
            for topic, kind in ((f"/{r}/task_status", TaskStatus), (f"/edge/{r}/twin_status", TwinStatus)):
                self.pubs[topic] = self.create_publisher(kind, topic, LATCHED)
        self.wall = math.inf  # m, how far off it is
        self.scan = self.create_publisher(LaserScan, "/edge/cart/scan", STREAM)
        self.clock = self.create_publisher(Clock, "/clock", STREAM)
        self.report = self.create_publisher(CellReport, "/radio/report", RELIABLE)
        self.host = self.create_publisher(HostReport, "/simulator/host", LATCHED)
        self.host.publish(HostReport(sync=True, simulated=2.0, wall=4.0, commands=10, waits=3, waited=0.5))
        self.map = self.create_publisher(OccupancyGrid, "/radio/map", LATCHED)
        self.map.publish(signal_map())
        self.slices = self.create_publisher(SliceList, "/slicing/slices", LATCHED)
        self.allocation = self.create_publisher(Allocation, "/slicing/allocation", LATCHED)
        self.nodes = [self.create_publisher(NodeStatus, NODE_STATUS_TOPIC, LATCHED) for _ in range(3)]
        for publisher, name in zip(self.nodes, ("/radio", "/edge/twin", "/robots"), strict=True):
            publisher.publish(NodeStatus(name=name, process_id=os.getpid(), host="edge"))
        self.create_subscription(Twist, "/edge/cart/cmd_vel_proposed", self.take_command, RELIABLE)
        self.create_service(CreateSlice, "/slicing/create_slice", self.create)
        self.create_service(ModifySlice, "/slicing/modify_slice", self.modify)
        self.create_service(DeleteSlice, "/slicing/delete_slice", self.delete)
        self.create_service(ListSlices, "/slicing/list_slices", self.list)
        self.publish_slices()
        self.create_timer(0.01 / rate, lambda: self.clock.publish(Clock(clock=to_stamp(int(self.now() * 1e9)))))
        self.create_timer(0.05 / rate, self.move)
        self.create_timer(0.1 / rate, self.look)
        self.create_timer(0.2 / rate, self.radio)
        self.create_timer(0.5 / rate, self.totals)
        for robot, period in (("cart", 0.1), ("spider", 0.04), ("hopper", 0.008)):
            if robot in robots:
                self.create_timer(period / rate, lambda robot=robot: self.control(robot))

    def now(self):
        return time.monotonic() - self.start

    def take_command(self, twist):
        now = time.monotonic()
        self.commands.append((now, twist.linear.x, twist.angular.z))
        self.proposed.append((now + self.delay, (twist.linear.x, twist.angular.z)))

    def move(self):
        while self.proposed and self.proposed[0][0] <= time.monotonic():
            self.in_force = self.proposed.pop(0)[1]
        t = self.now()
        for robot, pose in self.pose.items():
            v, w = self.in_force if robot == "cart" else (0.3, 0.2)
            pose[2] += 0.05 * w
            pose[0] += 0.05 * v * math.cos(pose[2])
            pose[1] += 0.05 * v * math.sin(pose[2])
            message = Odometry()
            p, q = message.pose.pose.position, message.pose.pose.orientation
            p.x, p.y, p.z = pose[0], pose[1], {"cart": 0.0, "spider": 0.14, "hopper": 1.25}[robot]
            q.z, q.w = math.sin(pose[2] / 2), math.cos(pose[2] / 2)
            self.pubs[f"/{robot}/odom"].publish(message)
            names = JOINTS.get(robot, LEGS)
            swing = [0.3 * math.sin(4 * t + i) for i in range(len(names))]
            self.pubs[f"/{robot}/joint_states"].publish(JointState(name=names, position=swing))

    def look(self):
        for index, robot in enumerate(self.robots):
            image = Image.new("RGB", (320, 240), (40, 50, 70))
            draw = ImageDraw.Draw(image)
            draw.rectangle((0, 140, 320, 240), fill=(120, 125, 118))
            x = 160 + 120 * math.sin(self.now() + index)
            draw.rectangle((x - 30, 90, x + 30, 170), fill=(190, 70, 50))
            data = io.BytesIO()
            image.save(data, "JPEG", quality=80)
            picture = CompressedImage(format="jpeg", data=data.getvalue())
            picture.header.stamp = to_stamp(int(self.now() * 1e9))
            self.pubs[f"/edge/{robot}/camera/image_raw/compressed"].publish(picture)
        self.scan.publish(self.around())

    def around(self):
        """What the cart's lidar sees: nothing, or something ahead."""
        ranges = np.full(180, np.inf, np.float32)
        ranges[80:101] = self.wall
        return LaserScan(angle_min=-math.pi, angle_increment=math.pi / 90, range_max=8.0, ranges=ranges)

    def control(self, robot):
        self.steps[robot] += 1
        step, real = self.steps[robot], 0.5 + 0.3 * math.sin(self.now() / 3)
        action = list(self.in_force) if robot == "cart" else [0.0] * ACTIONS[robot]
        self.pubs[f"/edge/{robot}/state"].publish(TaskState(task="t", step=step, action=action, reward=real))
        reason = reason_of(step)
        self.verdicts[robot][reason] += 1
        self.pubs[f"/edge/{robot}/verdict"].publish(
            Verdict(
                sequence=step, mode=VerdictMode.ENFORCE, reason=reason, accepted=reason is Reason.ACCEPTED,
                predicted_reward=math.nan if kind_of(reason) == "invalid" else real - 0.05 + 0.1 * math.sin(step),
                threshold=0.1, proposed=action, sent=action, latency=0.0007,
            )
        )  # fmt: skip

    def radio(self):
        t, message = self.now(), CellReport(period=0.2, resource_blocks=216, bandwidth=40e6)
        message.header.stamp = to_stamp(int(t * 1e9))
        share = {"video": 90 + 25 * math.sin(t / 5), "spider": 60 - 20 * math.sin(t / 5), "cart": 35.0, "control": 14.0}
        for one in self.specs:
            offered = one.rate * (0.7 + 0.25 * math.sin(t / 4 + one.priority))
            p50, n = one.max_latency * (0.35 + 0.1 * math.sin(t)), self.offered.get(one.name, 0) + 100
            self.offered[one.name] = n
            lost = self.dropped.get(one.name, 0) + (1 if one.name == "control" and int(t * 5) % 40 == 0 else 0)
            self.dropped[one.name] = lost
            books = Books(offered_messages=n, delivered_messages=n - lost - 3, queued_messages=3,
                          offered_bytes=n * 1000, delivered_bytes=(n - lost - 3) * 1000, queued_bytes=3000)  # fmt: skip
            if lost:
                books.dropped = [DropCount(reason=EXPIRED, messages=lost, bytes=lost * 1000)]
            delay = DelayStats(count=100, mean=p50, p50=p50, p99=p50 * 2.4, max=p50 * 3)
            message.slices.append(
                SliceReport(
                    slice=one.name, type=one.type, resource_blocks=share.get(one.name, 5.0), capacity=one.rate * 1.3,
                    offered_rate=offered, delivered_rate=0.98 * offered, utilisation=0.8, books=books, delay=delay,
                    recent_delay=delay,
                )
            )  # fmt: skip
        message.links = [LinkReport(robot=r, distance=5.0, snr=21.5, rate=0.9e6) for r in self.robots]
        self.report.publish(message)

    def totals(self):
        for robot in self.robots:
            n = self.steps[robot]
            self.pubs[f"/{robot}/task_status"].publish(
                TaskStatus(task="t", distance=0.3 * self.now(), reward=0.5 * n, episodes=1, steps=n, falls=n // 900,
                           collisions=n // 500, goals=n // 300)
            )  # fmt: skip
            self.pubs[f"/edge/{robot}/twin_status"].publish(
                TwinStatus(task="t", model_version=3, transitions=n, reward_error=0.04, state_error=0.2, threshold=0.1,
                           latency_p50=0.0006, latency_p99=0.0016,
                           **verdict_counts(self.verdicts[robot]))
            )  # fmt: skip

    def publish_slices(self):
        self.slices.publish(SliceList(slices=[SliceStatus(spec=one, resource_blocks=10.0) for one in self.specs]))
        names = [one.name for one in self.specs]
        self.allocation.publish(
            Allocation(sequence=1, policy="proportional", slices=names, resource_blocks=[10.0] * len(names))
        )

    def create(self, request, response):
        self.calls.append(("create", request.template_name, request.spec.name))
        template = next((t for t in self.templates if t.name == request.template_name), None)
        new = request.spec
        if request.template_name:
            if template is None:
                response.message = f"unknown slice template '{request.template_name}'"
                return response
            new = spec(
                request.spec.name or template.name,
                template.rate,
                template.max_latency,
                template.type,
                template.priority,
            )
            new.template_name = template.name
        if any(one.name == new.name for one in self.specs) or new.rate > 100e6:
            response.message = f"slice '{new.name}' does not fit"
            return response
        self.specs.append(new)
        self.publish_slices()
        response.success, response.message = True, f"slice '{new.name}' created"
        response.slice = SliceStatus(spec=new, resource_blocks=5.0)
        return response

    def modify(self, request, response):
        self.calls.append(("modify", request.spec.name, request.spec.rate))
        self.specs = [request.spec if one.name == request.spec.name else one for one in self.specs]
        self.publish_slices()
        response.success, response.message = True, "modified"
        response.slice = SliceStatus(spec=request.spec, resource_blocks=5.0)
        return response

    def delete(self, request, response):
        self.calls.append(("delete", request.name))
        self.specs = [one for one in self.specs if one.name != request.name]
        self.publish_slices()
        response.success, response.message = True, "deleted"
        return response

    def list(self, request, response):
        response.slices = [SliceStatus(spec=one, resource_blocks=10.0) for one in self.specs]
        response.templates = self.templates
        return response


def spec(name, rate, latency, kind, priority):
    flows = [FlowSpec(robots=["*"], topic=f"{name}_data", direction=0)]
    reliability = 0.99 if kind == SliceKind.EMBB else 0.9999
    return SliceSpec(name=name, rate=rate, max_latency=latency, type=kind, priority=priority, reliability=reliability,
                     queue_limit=1_000_000, flows=flows, differentiator=1)  # fmt: skip


def signal_map(cells=24):
    """20 to 40 dB from west to east over 12 m, without coverage in the north-eastern corner."""
    levels = np.tile(np.linspace(20, 40, cells).astype(int), (cells, 1))
    levels[-4:, -4:] = -1
    message = OccupancyGrid(data=array("b", levels.ravel().tolist()))
    message.info.resolution, message.info.width, message.info.height = 0.5, cells, cells
    message.info.origin.position.x = message.info.origin.position.y = -cells / 4
    return message


class FakeController(StackNode):
    """A controller that can be held."""

    def __init__(self, robot="cart"):
        super().__init__("controller", namespace=f"/edge/{robot}")
        self.declare_parameter("enabled", True)
        self.announcer = self.create_publisher(NodeStatus, NODE_STATUS_TOPIC, LATCHED)
        self.announce(os.getpid())

    def announce(self, process_id):
        name = self.get_fully_qualified_name()
        self.announcer.publish(NodeStatus(name=name, process_id=process_id, host="edge"))

    @property
    def enabled(self):
        return self.get_parameter("enabled").value


def main():
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    rclpy.init()
    executor = SingleThreadedExecutor()
    for node in (FakeStack(), FakeController()):
        executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
