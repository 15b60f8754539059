# SPDX-License-Identifier: Apache-2.0
"""A relay with what stands around it, for the tests of the relay."""

import math
import time

from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock as ClockMessage

from ir_common.ros_node import LATCHED, RELIABLE
from ir_common.ros_time import to_stamp
from ir_interfaces.msg import Allocation, CellReport, SliceList, SliceStatus
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_radio.ros.relay_node import RelayNode
from ir_radio.ros.ros_slice_messages import spec_to_message

BEST_EFFORT = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)

VIDEO = SliceSpec(
    name="video", type="embb", rate=10e6, max_latency=0.1, reliability=0.9, queue_limit=500_000,
    flows=(FlowSpec(topic="camera", message_type="sensor_msgs/msg/CompressedImage", direction="uplink"),),
)  # fmt: skip
CONTROL = SliceSpec(
    name="control", type="urllc", rate=1e6, max_latency=0.05, reliability=0.999,
    flows=(
        FlowSpec(topic="state", message_type="ir_interfaces/msg/TaskState", direction="uplink"),
        FlowSpec(robots=("cart",), topic="cmd_vel", direction="downlink"),
    ),
)  # fmt: skip


class Bench:
    """A relay with what stands around it: robots, edge, slice manager."""

    def __init__(self, ros, tmp_path, sim_time=False, slices="carrier: {}\n", **parameters):
        self.ros = ros
        self.node = ros.node()
        file = tmp_path / "slices.yaml"
        file.write_text(slices)
        values = {"slices_file": str(file), "robots": ["cart"], "use_sim_time": sim_time, "report_rate": 20.0}
        values |= parameters
        self.relay = ros.add(RelayNode(parameter_overrides=[Parameter(k, value=v) for k, v in values.items()]))
        self.slices = self.node.create_publisher(SliceList, "/slicing/slices", LATCHED)
        self.allocation = self.node.create_publisher(Allocation, "/slicing/allocation", LATCHED)
        self.odom = self.node.create_publisher(Odometry, "/cart/odom", BEST_EFFORT)
        self.reports = []
        self.node.create_subscription(CellReport, "/radio/report", self.reports.append, RELIABLE)
        self.warnings = []
        self.relay.get_logger = lambda: self  # the pump and the relay ask for it at every use
        self.ros_time = 0

    def warning(self, text, **_):
        self.warnings.append(text)

    info = warning

    def set(self, *specs, blocks=None):
        self.slices.publish(SliceList(slices=[SliceStatus(spec=spec_to_message(spec)) for spec in specs]))
        blocks = {spec.name: 10.0 for spec in specs} if blocks is None else blocks
        message = Allocation(sequence=1, slices=list(blocks), resource_blocks=list(blocks.values()))
        self.allocation.publish(message)

    def place(self, x=0.0):
        message = Odometry()
        message.pose.pose.position.x = x
        message.pose.pose.position.z = 2.0
        self.odom.publish(message)

    def ready(self, *specs, blocks=None):
        """Slices, allocation and pose are in force, every flow of the slices is open."""
        self.set(*specs, blocks=blocks)

        def known():
            self.place()
            return self.reports and not math.isnan(self.report().links[0].rate)

        self.ros.until(known, what="a pose in the report")
        self.ros.until(lambda: {row.slice for row in self.report().slices} >= {spec.name for spec in specs})

    def report(self):
        return self.reports[-1]

    def flow(self, topic):
        return next((row for row in self.report().flows if row.topic == topic), None)

    def pipe(self, kind, source, target, qos):
        """A publisher on one side, a list that is filled on the other; returned when both are connected."""
        received = []
        publisher = self.node.create_publisher(kind, source, qos)
        subscription = self.node.create_subscription(kind, target, received.append, qos, raw=True)
        self.ros.until(
            lambda: publisher.get_subscription_count() and subscription.get_publisher_count(), what=f"{source} {target}"
        )
        return publisher, received

    def tick(self, nanoseconds):
        """One message on /clock, seen by the relay."""
        self.ros_time += nanoseconds
        self.clock.publish(ClockMessage(clock=to_stamp(self.ros_time)))
        self.ros.until(lambda: self.relay.get_clock().now().nanoseconds == self.ros_time, what="a tick")

    def start_clock(self, nanoseconds):
        self.clock = self.node.create_publisher(ClockMessage, "/clock", BEST_EFFORT)
        self.ros.until(lambda: self.clock.get_subscription_count())
        self.tick(nanoseconds)

    def run_clock(self, period=0.01):
        """/clock ticks by wall time from here on."""
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        begin, base = time.monotonic_ns(), self.ros_time

        def tick():
            self.ros_time = base + time.monotonic_ns() - begin
            self.clock.publish(ClockMessage(clock=to_stamp(self.ros_time)))

        return self.node.create_timer(period, tick, clock=steady)
