# SPDX-License-Identifier: Apache-2.0
"""The relay: carries the topics of the slices across the radio, each message from its arrival to its last bit."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription

from ir_common.config import ConfigError
from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import LATCHED, RELIABLE, STREAM, StackNode, run
from ir_common.ros_params import declare
from ir_common.ros_poll import Unexecuted
from ir_interfaces.msg import Allocation, CellReport, SliceList
from ir_radio.books.flow_counters import FlowKey
from ir_radio.engine.relay_config import RelayConfig, load_radio
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_diagnostics import Diagnostics
from ir_radio.ros.ros_pump import Port, Pump, RosTime
from ir_radio.ros.ros_qos import QosWatch, qos_of
from ir_radio.ros.ros_slice_messages import report_to_message, spec_from_message
from ir_radio.ros.ros_warm_up import compile_first

_SWITCH_INTERVAL = 1e-4
_DISCOVERY_PERIOD = 0.5
_POSE_PATIENCE = 20  # discoveries
_DIAGNOSTICS_PERIOD = 1.0


class RelayNode(StackNode):
    """Subscribes every flow of every slice on its source side, and publishes it on the other when it has crossed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("radio", **kwargs)
        self._config = declare(self, RelayConfig, self._reconfigure).config
        carrier, links = load_radio(self._config)
        self._discoveries = 0
        self._refused_allocations = 0
        self._retired: list[Publisher] = []
        self._group = Unexecuted()
        self._time = RosTime(self.get_clock().ros_time_is_active)
        sys.setswitchinterval(_SWITCH_INTERVAL)  # the pump must not wait long for the executor's thread
        start = 0 if self.get_clock().ros_time_is_active else self._time.now()
        engine = RelayEngine(
            carrier, self._config.robots, links, mini_slots=self._config.mini_slots or None, start=start,
            seed=self._config.seed, edge_namespace=self._config.edge_namespace,
            say=lambda text: self.get_logger().warning(text),
        )  # fmt: skip
        assert engine.journal is not None
        self._journal = JournalPublisher(self, engine.journal)
        self._engine, self._pump = engine, Pump(self, engine, self._time)
        self._qos, self._diagnostics = QosWatch(self, engine.notice), Diagnostics()
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
            self._pump.post(lambda: self._pump.finish(self._engine.begin(ros)))
            self.get_logger().info(f"ROS time begins at {ros / 1e9:.3f} s")

    # --- slices ---

    def _on_slices(self, message: SliceList) -> None:
        specs = {}
        for status in message.slices:
            try:
                specs[status.spec.name] = spec_from_message(status.spec)
            except ConfigError as error:
                self._engine.notice(f"slice list: {error}; this slice is left out")
        for port in self._pump.call(lambda: self._set_slices(specs)):
            self._qos.shut(port.flow)
            self.destroy_subscription(port.subscription)
            self._retired.append(port.publisher)
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

    def _caught_up(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """In the pump: makes a call to the engine as of now."""
        self._pump.catch_up()
        return call(*arguments)

    # --- flows ---

    def _discover(self) -> None:
        self._open_flows()
        self._discoveries += 1
        if self._discoveries == _POSE_PATIENCE:
            for robot in self._poses.keys() - self._engine.linked:
                topic = self.resolve_topic_name(f"{robot}/{self._config.pose_topic}")
                missing = f"{robot}: no pose on {topic} so far"
                self._engine.notice(f"{missing}; nothing of it crosses the radio before one comes")
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
        package, _, name = type_name.split("/")
        try:
            return getattr(importlib.import_module(f"{package}.msg"), name)
        except (ImportError, AttributeError):
            missing = f"{topic}: message type {type_name} is not installed here"
            self._engine.notice(f"{missing}; the topic does not cross the radio")
            return None

    def _open(self, key: FlowKey, spec: SliceSpec, kind: Any, source: str, target: str) -> None:
        qos, publisher_qos = qos_of(spec, self._config.history, self._config.qos_grace)
        publisher = self.create_publisher(
            kind, target, publisher_qos, callback_group=self._group,
            event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
        )  # fmt: skip
        subscription = self._listen(kind, source, qos)
        port = Port(
            flow=self._pump.call(lambda: self._engine.open_flow(key)), name=source, robot=key.robot, slice=key.slice,
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
        if poses.keys() - self._engine.linked:
            self._pump.call(lambda: self._set_poses(poses))
            self._open_flows()
        elif poses:
            self._pump.post(lambda: self._set_poses(poses))
        if self._time.started and self._time.now() >= self._engine.trace_change:
            self._pump.post(lambda: self._caught_up(self._engine.play))

    def _set_poses(self, poses: dict[str, tuple[float, float, float]]) -> None:
        """In the pump."""
        for refusal in self._caught_up(self._engine.set_poses, poses):
            self.get_logger().warning(refusal, throttle_duration_sec=10.0)

    def _publish_diagnostics(self) -> None:
        def counters() -> Any:
            return self._pump.catch_up(), {flow: self._engine.cell.counters(flow) for flow in self._pump.ports}

        time, counts = self._pump.call(counters)
        lags = list(self._pump.lags)
        self._diagnose.publish(
            self._diagnostics.message(time, self._pump.ports, counts, self._qos.events, lags, self._refused_allocations)
        )

    def _publish_report(self) -> None:
        report = self._pump.call(lambda: self._caught_up(self._engine.report))
        message = report_to_message(report, self._engine.cell.carrier, self._engine.sequence)
        self._journal.flush()
        self._report.publish(message)

    def _reconfigure(self, config: RelayConfig) -> None:
        self._config = config
        self._report_timer.timer_period_ns = round(1e9 / config.report_rate)
        self._report_timer.reset()


def _first_compiled() -> RelayNode:
    compile_first()
    return RelayNode()


def main() -> None:
    """Entry point of the executable ``relay``."""
    run(_first_compiled)
