# SPDX-License-Identifier: Apache-2.0
"""The relay: carries the topics of the slices across the radio, each message from its arrival to its last bit."""

from __future__ import annotations

import gc
import importlib
import re
import sys
from pathlib import Path
from typing import Annotated, Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from pydantic import AfterValidator, Field
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from ir_common.config import Config, ConfigError, live, load_yaml
from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, run
from ir_common.ros_params import declare
from ir_common.ros_poll import Unexecuted
from ir_interfaces.msg import Allocation, CellReport, SliceList
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.engine.cell_journal import keep
from ir_radio.model.link_traces import TracePlayer, load_links
from ir_radio.model.profiles import load_profile
from ir_radio.model.slice_specs import NAME, FlowSpec, SlicesFile, SliceSpec
from ir_radio.ros.ros_diagnostics import Diagnostics
from ir_radio.ros.ros_pump import Port, Pump, RosTime
from ir_radio.ros.ros_qos import QosWatch, qos_of
from ir_radio.ros.ros_slice_messages import report_to_message, spec_from_message

_SWITCH_INTERVAL = 1e-4
_DISCOVERY_PERIOD = 0.5
_POSE_PATIENCE = 20  # discoveries
_DIAGNOSTICS_PERIOD = 1.0


def _check_robots(robots: tuple[str, ...]) -> tuple[str, ...]:
    for robot in robots:
        if not re.fullmatch(NAME, robot):
            raise ValueError(f"'{robot}' is no robot name; give names such as cart or cart_2")
        if robots.count(robot) > 1:
            raise ValueError(f"robot '{robot}' stands twice; names must differ")
    return robots


def _check_namespace(namespace: str) -> str:
    if not namespace.strip("/"):
        raise ValueError("the edge needs a namespace of its own, such as /edge; without a radio do not start the relay")
    return namespace.rstrip("/")


class RelayConfig(Config):
    """Parameters of the relay."""

    robots: Annotated[tuple[str, ...], AfterValidator(_check_robots)] = Field(
        min_length=1, description="names of the robots"
    )
    slices_file: str = Field(min_length=1, description="YAML file of carrier and traces (config/slices.yaml)")
    profile: str = Field(
        "", description="access profile in place of that carrier: nr, lte, wifi or a file; empty: none"
    )
    edge_namespace: Annotated[str, AfterValidator(_check_namespace)] = Field(
        "/edge", description="namespace of the edge's side of the radio"
    )
    report_rate: float = live(5.0, gt=0, le=100, description="reports per second of ROS time, Hz")
    pose_topic: str = Field("odom", min_length=1, description="relative topic (nav_msgs/Odometry) of a robot's pose")
    pose_rate: float = Field(20.0, gt=0, le=1000, description="how often poses are read, Hz of ROS time")
    mini_slots: int = Field(0, ge=0, le=50, description="mini-slots of a slot; 0: those of the carrier")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of shadowing, fading and errors of the radio")
    history: int = Field(256, ge=1, description="messages that middleware queues keep per topic")
    qos_grace: float = Field(
        10.0, ge=1, description="deadline and lifespan of URLLC publishers as a multiple of the slice's latency bound"
    )


class RelayNode(Node):
    """Subscribes every flow of every slice on its source side, and publishes it on the other when it has crossed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("radio", **kwargs)
        self._config = declare(self, RelayConfig, self._reconfigure).config
        file = load_yaml(self._config.slices_file, SlicesFile)
        self._carrier = load_profile(self._config.profile) if self._config.profile else file.carrier
        if self._config.mini_slots and self._carrier.slot_time % self._config.mini_slots:
            slot = self._carrier.slot_time
            raise ConfigError(f"parameter mini_slots: {self._config.mini_slots} does not divide a slot of {slot} ns")
        traces = [spec for spec in file.traces if spec.robot in self._config.robots]
        links = load_links(traces, Path(self._config.slices_file).parent, self._carrier)
        self._specs: dict[str, SliceSpec] = {}
        self._allocation, self._refused_allocations = Allocation(), 0
        self._said: set[str] = set()
        self._discoveries = 0
        self._retired: list[Publisher] = []
        self._group = Unexecuted()
        self._time = RosTime(self.get_clock().ros_time_is_active)
        sys.setswitchinterval(_SWITCH_INTERVAL)  # the pump must not wait long for the executor's thread
        start = 0 if self.get_clock().ros_time_is_active else self._time.now()
        mini_slots = self._config.mini_slots or None
        cell = Cell(self._carrier, mini_slots=mini_slots, start=start, seed=self._config.seed)
        self._journal = JournalPublisher(self, keep(cell, mini_slots, start, self._config.seed))
        for robot in self._config.robots:
            cell.add_link(robot)
        self._player, self._trace_change = TracePlayer(links, start), 0
        self._linked = set(links)  # robots whose link's quality is known: by a trace, or by a pose that came
        self._pump = Pump(self, cell, self._time)
        self._qos, self._diagnostics = QosWatch(self, self._say), Diagnostics()
        self._diagnose = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self._report = self.create_publisher(CellReport, "~/report", RELIABLE)
        newest = QoSProfile(depth=1, reliability=STREAM.reliability)
        self._poses = {
            robot: self._listen(Odometry, f"{robot}/{self._config.pose_topic}", newest)
            for robot in self._config.robots
            if robot not in links
        }
        self.create_subscription(SliceList, "/slicing/slices", self._on_slices, LATCHED)
        self.create_subscription(Allocation, "/slicing/allocation", self._on_allocation, LATCHED)
        self._report_timer = self.create_timer(1.0 / self._config.report_rate, self._publish_report)
        self.create_timer(1.0 / self._config.pose_rate, self._read_poses)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_DISCOVERY_PERIOD, self._discover, clock=steady)
        self.create_timer(_DIAGNOSTICS_PERIOD, self._publish_diagnostics, clock=steady)
        self._jumps = self.get_clock().create_jump_callback(
            JumpThreshold(min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)),
            post_callback=self._on_tick,
        )
        gc.collect()
        gc.freeze()  # a full collection of all that was imported would stop the pump for some 10 ms

    def close(self) -> None:
        """Ends the pump, and lets go of what would keep topics alive."""
        self._pump.close()
        self._qos.close()

    # --- time ---

    def _on_tick(self, _jump: object) -> None:
        """Every message of /clock is a jump of ROS time."""
        ros = self.get_clock().now().nanoseconds
        if ros > 0 and self._time.tick(ros):  # 0: the clock is set up, no tick came yet
            self._pump.post(lambda: self._begin(ros))
            self.get_logger().info(f"ROS time begins at {ros / 1e9:.3f} s")

    def _begin(self, ros: int) -> None:
        """In the pump: time begins, or begins anew."""
        self._pump.finish(self._pump.cell.reset_time(ros))
        self._player.begin = ros
        self._play()

    # --- slices ---

    def _on_slices(self, message: SliceList) -> None:
        specs = {}
        for status in message.slices:
            try:
                specs[status.spec.name] = spec_from_message(status.spec)
            except ConfigError as error:
                self._say(f"slice list: {error}; this slice is left out")
        latency = self._carrier.scheduling_latency
        for spec in specs.values():
            if spec.max_latency <= latency:
                self._say(
                    f"slice {spec.name}: its latency bound is {spec.max_latency * 1e3:g} ms, scheduling on this "
                    f"carrier takes {latency * 1e3:g} ms: all its messages come late, or expire; raise max_latency"
                )
        self._pump.call(lambda: self._set_slices(specs))
        self._specs = specs
        self._open_flows()

    def _set_slices(self, specs: dict[str, SliceSpec]) -> None:
        """In the pump: the cell's slices become `specs`; flows that none of them carries are shut."""
        cell = self._pump.cell
        self._pump.catch_up()
        for name in set(cell.specs) - set(specs):
            self._pump.finish(cell.remove_slice(name))
        for spec in specs.values():
            cell.set_slice(spec)
        self._allocate()
        wanted = {key: (spec.type, spec.max_latency) for key, (spec, _) in self._flows(specs).items()}
        for flow in list(self._pump.ports):
            key = cell.key(flow)
            before = self._specs.get(key.slice)
            if before is None or wanted.get(key) != (before.type, before.max_latency):  # the QoS rests on these
                cell.close_flow(flow)
                port = self._pump.shut(flow)
                self._qos.shut(flow)
                self.destroy_subscription(port.subscription)
                self._retired.append(port.publisher)

    def _flows(self, specs: dict[str, SliceSpec]) -> dict[FlowKey, tuple[SliceSpec, FlowSpec]]:
        """Every topic of every robot that crosses the radio; where two slices carry one, the first of them does."""
        flows: dict[tuple[str, str, str], tuple[FlowKey, SliceSpec, FlowSpec]] = {}
        for spec in specs.values():
            for flow in spec.flows:
                for robot in filter(flow.carries, self._config.robots):
                    key = FlowKey(spec.name, robot, flow.topic, flow.direction)
                    first = flows.setdefault(key[1:], (key, spec, flow))
                    if first[1] is not spec:
                        self._say(
                            f"{robot}/{flow.topic} ({flow.direction}) is in slices {first[1].name} and {spec.name}; "
                            f"{first[1].name} carries it"
                        )
        return {key: (spec, flow) for key, spec, flow in flows.values()}

    def _on_allocation(self, message: Allocation) -> None:
        self._allocation = message
        if not self._pump.call(self._allocate):
            self._refused_allocations += 1

    def _allocate(self) -> bool:
        """In the pump: applies the last allocation, as far as its slices are known; False: it is refused."""
        cell, message = self._pump.cell, self._allocation
        if len(message.slices) != len(message.resource_blocks):
            self._say(f"allocation {message.sequence}: names and numbers differ in length; the one in force stays")
            return False
        blocks = dict(zip(message.slices, message.resource_blocks, strict=True))
        self._pump.catch_up()
        try:
            cell.set_allocation({name: value for name, value in blocks.items() if name in cell.specs})
        except ValueError as error:
            self._say(f"allocation {message.sequence}: {error}; the one in force stays")
            return False
        return True

    # --- flows ---

    def _discover(self) -> None:
        self._open_flows()
        self._discoveries += 1
        if self._discoveries == _POSE_PATIENCE:
            for robot in self._poses.keys() - self._linked:
                topic = self.resolve_topic_name(f"{robot}/{self._config.pose_topic}")
                self._say(f"{robot}: no pose on {topic} so far; nothing of it crosses the radio before one comes")
        self._qos.poll()
        if self._retired:
            idle = self._pump.call(lambda: [p for p in self._retired if not self._pump.needs(p)])
            self._retired = [publisher for publisher in self._retired if publisher not in idle]
            for publisher in idle:
                self.destroy_publisher(publisher)

    def _open_flows(self) -> None:
        """Opens the flows whose message type, and whose robot's link, are known by now."""
        if not self._time.started:
            return
        open_ = {self._pump.cell.key(flow) for flow in self._pump.ports}
        types: dict[str, list[str]] | None = None
        for key, (spec, flow) in self._flows(self._specs).items():
            if key in open_ or key.robot not in self._linked:
                continue
            source, target = self._topics(key)
            type_name = flow.message_type
            if not type_name:
                types = dict(self.get_topic_names_and_types()) if types is None else types
                type_name = next(iter(types.get(self.resolve_topic_name(source), [])), "")
            if type_name and (kind := self._message_class(type_name, source)):
                self._open(key, spec, kind, source, target)

    def _topics(self, key: FlowKey) -> tuple[str, str]:
        """Source and target topic of a flow."""
        sides = (f"{key.robot}/{key.topic}", f"{self._config.edge_namespace}/{key.robot}/{key.topic}")
        return sides if key.direction == "uplink" else sides[::-1]

    def _message_class(self, type_name: str, topic: str) -> Any:
        package, _, name = type_name.split("/")
        try:
            return getattr(importlib.import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError):
            self._say(f"{topic}: message type {type_name} is not installed here; the topic does not cross the radio")
            return None

    def _open(self, key: FlowKey, spec: SliceSpec, kind: Any, source: str, target: str) -> None:
        qos, publisher_qos = qos_of(spec, self._config.history, self._config.qos_grace)
        publisher = self.create_publisher(
            kind, target, publisher_qos, callback_group=self._group,
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
        )  # fmt: skip
        subscription = self._listen(kind, source, qos)
        port = Port(
            flow=self._pump.call(lambda: self._pump.cell.flow(key)), name=source, robot=key.robot, slice=key.slice,
            urllc=spec.type == "urllc", bound=round(spec.max_latency * 1e9), subscription=subscription,
            publisher=publisher,
        )  # fmt: skip
        self._qos.open(port)
        self._pump.call(lambda: self._pump.open(port))

    def _listen(self, kind: Any, topic: str, qos: QoSProfile) -> Subscription:
        """A subscription of raw messages that the executor leaves alone; mismatches are told by `_qos`."""
        return self.create_subscription(
            kind, topic, lambda _: None, qos, callback_group=self._group, raw=True,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )  # fmt: skip

    # --- poses and reports ---

    def _read_poses(self) -> None:
        poses = {}
        for robot, subscription in self._poses.items():
            with subscription.handle:
                taken = subscription.handle.take_message(Odometry, True)
            if taken is not None:
                point = deserialize_message(taken[0], Odometry).pose.pose.position
                poses[robot] = (point.x, point.y, point.z)
        if poses:
            self._pump.post(lambda: self._set_poses(poses))
        if new := poses.keys() - self._linked:
            self._linked |= new
            self._open_flows()
        if self._player.traces and self._time.started and self._time.now() >= self._trace_change:
            self._pump.post(self._play)

    def _set_poses(self, poses: dict[str, tuple[float, float, float]]) -> None:
        """In the pump."""
        self._pump.catch_up()
        for robot, position in poses.items():
            try:
                self._pump.cell.set_pose(robot, position)
            except ValueError as error:
                self.get_logger().warning(str(error), throttle_duration_sec=10.0)

    def _play(self) -> None:
        """In the pump: links follow their traces."""
        self._pump.catch_up()
        self._trace_change = self._player.play(self._pump.cell.now, self._pump.cell.set_measured)

    def _publish_diagnostics(self) -> None:
        def counters() -> Any:
            return self._pump.catch_up(), {flow: self._pump.cell.counters(flow) for flow in self._pump.ports}

        time, counts = self._pump.call(counters)
        lags = list(self._pump.lags)
        self._diagnose.publish(
            self._diagnostics.message(time, self._pump.ports, counts, self._qos.events, lags, self._refused_allocations)
        )

    def _publish_report(self) -> None:
        def report() -> Any:
            self._pump.catch_up()
            return self._pump.cell.report()

        message = report_to_message(self._pump.call(report), self._carrier, self._allocation.sequence)
        self._journal.flush()
        self._report.publish(message)

    def _reconfigure(self, config: RelayConfig) -> None:
        self._config = config
        self._report_timer.timer_period_ns = round(1e9 / config.report_rate)
        self._report_timer.reset()

    def _say(self, text: str) -> None:
        """Warns once of each thing."""
        if text not in self._said and len(self._said) < 1000:
            self._said.add(text)
            self.get_logger().warning(text)


def main() -> None:
    """Entry point of the executable ``relay``."""
    run(RelayNode)
