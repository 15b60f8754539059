# SPDX-License-Identifier: Apache-2.0
"""What both relays are made of: the engine in its pump, ROS time, reports and diagnostics."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

from ir_common.ros_journal import JournalPublisher
from ir_common.ros_node import RELIABLE, StackNode
from ir_common.ros_poll import Unexecuted
from ir_interfaces.msg import CellReport
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.ros.ros_diagnostics import Diagnostics
from ir_radio.ros.ros_pump import Port, Pump, RosTime
from ir_radio.ros.ros_qos import QosWatch
from ir_radio.ros.ros_slice_messages import report_to_message

_SWITCH_INTERVAL = 1e-4
_DISCOVERY_PERIOD = 0.5
_DIAGNOSTICS_PERIOD = 1.0


class RelayBase(StackNode):
    """A node that carries messages through a `RelayEngine` and tells what became of them; subclasses say which."""

    opens_topics = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("radio", **kwargs)
        self._retired: list[Publisher] = []
        self._group = Unexecuted()
        self._refused_allocations = 0
        self._time = RosTime(self.get_clock().ros_time_is_active)
        sys.setswitchinterval(_SWITCH_INTERVAL)  # the pump must not wait long for the executor's thread

    def _start_time(self) -> int:
        """Time at which the engine starts, ns; 0 until the first tick of a simulated clock."""
        return 0 if self.get_clock().ros_time_is_active else self._time.now()

    def _make_pump(self) -> Pump:
        """The pump of `_engine`; where it goes by another time than the node's clock, `_time` becomes that."""
        return Pump(self, self._engine, self._time)

    def _begin(self, engine: RelayEngine, report_rate: float) -> None:
        """Starts the pump, and the timers of reports, diagnostics and discovery."""
        assert engine.journal is not None
        self._journal = JournalPublisher(self, engine.journal)
        self._engine = engine
        self._pump = self._make_pump()
        self._qos, self._diagnostics = QosWatch(self, engine.notice), Diagnostics()
        self._diagnose = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self._report = self.create_publisher(CellReport, "~/report", RELIABLE)
        self._report_timer = self.create_timer(1.0 / report_rate, self._publish_report)
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

    def _open_flows(self) -> None:
        """Opens the flows of which all is known by now."""
        raise NotImplementedError

    def _discover(self) -> None:
        self._open_flows()
        self._qos.poll()
        if self._retired:
            idle = self._pump.call(lambda: [p for p in self._retired if not self._pump.needs(p)])
            self._retired = [publisher for publisher in self._retired if publisher not in idle]
            for publisher in idle:
                self.destroy_publisher(publisher)

    def _on_tick(self, _jump: object) -> None:
        """Every message of /clock is a jump of ROS time."""
        ros = self.get_clock().now().nanoseconds
        if ros > 0 and self._time.tick(ros):  # 0: the clock is set up, no tick came yet
            self._pump.post(lambda: self._pump.finish(self._engine.begin(ros)))
            self.get_logger().info(f"ROS time begins at {ros / 1e9:.3f} s")

    def _caught_up(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """In the pump: makes a call to the engine as of now."""
        self._pump.catch_up()
        return call(*arguments)

    def _follow_traces(self) -> None:
        if self._time.started and self._time.now() >= self._engine.trace_change:
            self._pump.post(lambda: self._caught_up(self._engine.play))

    def _set_poses(self, poses: dict[str, tuple[float, float, float]]) -> None:
        """In the pump."""
        for refusal in self._caught_up(self._engine.set_poses, poses):
            self.get_logger().warning(refusal, throttle_duration_sec=10.0)

    def _shut(self, port: Port) -> None:
        """Lets go of a port that the pump has shut."""
        self._qos.shut(port.flow)
        self.destroy_subscription(port.subscription)
        self._retired.append(port.publisher)

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


def find_interface(name: str) -> Any:
    """The class of a type such as std_msgs/msg/String, or of a part of an action (pkg/action/Name_SendGoal).

    Raises:
        LookupError: it is not installed here.
    """
    try:
        package, kind, interface = name.split("/")
        module = importlib.import_module(f"{package}.{kind}")
        if kind != "action" or hasattr(module, interface):
            return getattr(module, interface)
        base, _, part = interface.rpartition("_")
        parts = {"SendGoal": "SendGoalService", "GetResult": "GetResultService", "FeedbackMessage": "FeedbackMessage"}
        return getattr(getattr(module, base).Impl, parts[part])
    except (ImportError, AttributeError, ValueError, KeyError):
        raise LookupError(name) from None


def raw_subscription(node: Node, kind: Any, topic: str, qos: QoSProfile, group: Unexecuted) -> Subscription:
    """A subscription of raw messages that no executor serves; mismatched QoS is told by `QosWatch`."""
    return node.create_subscription(
        kind, topic, lambda _: None, qos, callback_group=group, raw=True,
        event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
    )  # fmt: skip


def quiet_publisher(node: Node, kind: Any, topic: str, qos: QoSProfile, group: Unexecuted) -> Publisher:
    """A publisher whose QoS events no executor serves."""
    return node.create_publisher(
        kind, topic, qos, callback_group=group, event_callbacks=PublisherEventCallbacks(use_default_callbacks=False)
    )
