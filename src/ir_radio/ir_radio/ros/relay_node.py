# SPDX-License-Identifier: Apache-2.0
"""The relay: carries the topics of the slices across the radio, each message from its arrival to its last bit."""

from __future__ import annotations

from typing import Any

from nav_msgs.msg import OccupancyGrid, Odometry
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from ir_common.config import ConfigError
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, run
from ir_common.ros_params import declare
from ir_interfaces.msg import Allocation, RadioHorizon, SliceList, TaskState
from ir_radio.books.flow_counters import FlowKey
from ir_radio.engine.relay_config import RelayConfig, load_radio, map_of
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_pump import Arrival, Port, Pump
from ir_radio.ros.ros_qos import qos_of
from ir_radio.ros.ros_relay_base import RelayBase, find_interface, quiet_publisher, raw_subscription
from ir_radio.ros.ros_slice_messages import map_message, spec_from_message
from ir_radio.ros.ros_stamps import is_stamped
from ir_radio.ros.ros_stepped_pump import InstantTime, SteppedPump, effect_message
from ir_radio.ros.ros_warm_up import compile_first

_POSE_PATIENCE = 20  # discoveries


class RelayNode(RelayBase):
    """Subscribes every flow of every slice on its source side, and publishes it on the other when it has crossed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._config = declare(self, RelayConfig, self._reconfigure).config
        carrier, links = load_radio(self._config)
        self._discoveries = 0
        self._all_open = False
        self._horizon: Publisher | None = None
        stepped = self._config.sync
        engine = RelayEngine(
            carrier, self._config.robots, links.rates, mini_slots=self._config.mini_slots or None, delays=links.delays,
            start=0 if stepped else self._start_time(), seed=self._config.seed,
            edge_namespace=self._config.edge_namespace, say=lambda text: self.get_logger().warning(text),
        )  # fmt: skip
        for note in links.notes:
            engine.notice(note)
        newest = QoSProfile(depth=1, reliability=STREAM.reliability)
        self._poses = {
            robot: raw_subscription(self, Odometry, f"{robot}/{self._config.pose_topic}", newest, self._group)
            for robot in self._config.robots
            if robot not in links.rates
        }
        engine.cut_links(self._config.cut)
        self._begin(engine, self._config.report_rate)
        self.create_subscription(SliceList, "/slicing/slices", self._on_slices, LATCHED)
        self.create_subscription(Allocation, "/slicing/allocation", self._on_allocation, LATCHED)
        if not stepped:
            self.create_timer(1.0 / self._config.pose_rate, self._read_poses)
        if found := map_of(self._config, carrier):
            self._map = self.create_publisher(OccupancyGrid, "~/map", LATCHED)
            self._map.publish(map_message(found, self._config.map_cell))

    def _make_pump(self) -> Pump:
        config = self._config
        if config.sync:
            self._time = time = InstantTime(self._engine)
            period, patience = round(1e9 / config.pose_rate), config.sync_patience
            return SteppedPump(
                self, self._engine, time, patience, self._take_poses, period, lambda: self._all_open
            )  # fmt: skip
        self._horizon = self.create_publisher(RadioHorizon, "~/horizon", RELIABLE)
        return Pump(self, self._engine, self._time, self._tell)

    def _tell(self, arrival: Arrival) -> None:
        """In the pump: says when a command was there, for those who measure how late it takes effect."""
        if self._horizon is not None and self._horizon.get_subscription_count():
            self._horizon.publish(RadioHorizon(commands=[effect_message(arrival)]))

    # --- slices ---

    def _on_slices(self, message: SliceList) -> None:
        specs = {}
        for status in message.slices:
            try:
                specs[status.spec.name] = spec_from_message(status.spec)
            except ConfigError as error:
                self._engine.notice(f"slice list: {error}; this slice is left out")
        for port in self._pump.call(lambda: self._set_slices(specs)):
            self._shut(port)
        self._open_flows()

    def _set_slices(self, specs: dict[str, SliceSpec]) -> list[Port]:
        """In the pump: puts slices into force; returns the ports that are out of service."""
        self._pump.catch_up()
        events, shut = self._engine.set_slices(specs)
        self._pump.finish(events)
        return [self._pump.shut(flow) for flow in shut]

    def _on_allocation(self, message: Allocation) -> None:
        given = message.slices, message.resource_blocks, message.sequence
        if self._pump.call(lambda: self._caught_up(self._engine.set_allocation, *given)):
            self._refused_allocations += 1

    # --- flows ---

    def _discover(self) -> None:
        super()._discover()
        self._all_open = self._all_open or self._ready()
        self._discoveries += 1
        if self._discoveries == _POSE_PATIENCE:
            for robot in self._poses.keys() - self._engine.linked:
                topic = self.resolve_topic_name(f"{robot}/{self._config.pose_topic}")
                missing = f"{robot}: no pose on {topic} so far"
                self._engine.notice(f"{missing}; nothing of it crosses the radio before one comes")

    def _ready(self) -> bool:
        """Whether all that is to cross the radio can: links and shares are known, and both ends of each flow are there.

        A topic that nobody publishes, or nobody hears, has no ends.
        """
        if not self._engine.sequence or self._engine.linked < set(self._config.robots):
            return False
        opened, unopened = self._pump.call(lambda: (dict(self._pump.ports), self._engine.openable()))
        if any(flow.message_type for _, flow in unopened.values()):
            return False
        answered = {p.robot for p in opened.values() if p.downlink and p.subscription.get_publisher_count()}
        for port in opened.values():
            speaks = port.state or self.count_publishers(port.name) > 0
            heard = port.state or self.count_subscribers(port.publisher.topic_name) > 0
            if speaks and not port.subscription.get_publisher_count():
                return False
            if speaks and heard and not port.publisher.get_subscription_count():
                return False
            if port.state and port.robot not in answered:
                return False
        return bool(opened)

    def _open_flows(self) -> None:
        """Opens the flows whose message type, and whose robot's link, are known by now."""
        if not self._time.started:
            return
        types: dict[str, list[str]] | None = None
        for key, (spec, flow) in self._pump.call(self._engine.openable).items():
            source, target = self._engine.topics(key)
            type_name = flow.message_type
            if not type_name:
                types = dict(self.get_topic_names_and_types()) if types is None else types
                type_name = next(iter(types.get(self.resolve_topic_name(source), [])), "")
            if type_name and (kind := self._message_class(type_name, source)):
                self._open(key, spec, kind, source, target)

    def _message_class(self, type_name: str, topic: str) -> Any:
        try:
            return find_interface(type_name)
        except LookupError:
            missing = f"{topic}: message type {type_name} is not installed here"
            self._engine.notice(f"{missing}; the topic does not cross the radio")
            return None

    def _open(self, key: FlowKey, spec: SliceSpec, kind: Any, source: str, target: str) -> None:
        qos, publisher_qos = qos_of(spec, self._config.history, None if self._config.sync else self._config.qos_grace)
        publisher = quiet_publisher(self, kind, target, publisher_qos, self._group)
        subscription = raw_subscription(self, kind, source, qos, self._group)
        port = Port(
            flow=self._pump.call(lambda: self._engine.open_flow(key)), name=source, robot=key.robot, slice=key.slice,
            urllc=spec.type == "urllc", bound=round(spec.max_latency * 1e9), subscription=subscription,
            publisher=publisher, downlink=key.direction == "downlink", state=kind is TaskState,
            stamped=is_stamped(kind),
        )  # fmt: skip
        self._qos.open(port)
        self._pump.call(lambda: self._pump.open(port))

    # --- poses ---

    def _new_poses(self) -> dict[str, tuple[float, float, float]]:
        poses = {}
        for robot, subscription in self._poses.items():
            with subscription.handle:
                taken = subscription.handle.take_message(Odometry, True)
            if taken is not None:
                point = deserialize_message(taken[0], Odometry).pose.pose.position
                poses[robot] = (point.x, point.y, point.z)
        return poses

    def _take_poses(self) -> None:
        """In a pump that goes in step with the simulation."""
        if poses := self._new_poses():
            for refusal in self._engine.set_poses(poses):
                self.get_logger().warning(refusal, throttle_duration_sec=10.0)
        if self._time.now() >= self._engine.trace_change:
            self._engine.play()

    def _read_poses(self) -> None:
        poses = self._new_poses()
        if poses.keys() - self._engine.linked:
            self._pump.call(lambda: self._set_poses(poses))
            self._open_flows()
        elif poses:
            self._pump.post(lambda: self._set_poses(poses))
        self._follow_traces()

    def _reconfigure(self, config: RelayConfig) -> None:
        self._config = config
        self._report_timer.timer_period_ns = round(1e9 / config.report_rate)
        self._report_timer.reset()
        self._pump.call(lambda: self._caught_up(self._engine.cut_links, config.cut))


def _first_compiled() -> RelayNode:
    compile_first()
    return RelayNode()


def main() -> None:
    """Entry point of the executable ``relay``."""
    run(_first_compiled)
