# SPDX-License-Identifier: Apache-2.0
"""The pump of a relay whose cell runs in step with a simulation (`SteppedRelay`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from rclpy.node import Node
from rclpy.qos import QoSProfile

from ir_common.answers import Answers
from ir_common.ros_node import drain
from ir_common.ros_poll import Unexecuted
from ir_common.ros_time import to_nanoseconds, to_stamp
from ir_interfaces.msg import CommandEffect, ControlStepDone, RadioHorizon, SimulatedInstant
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.engine.stepped_relay import Horizon, Instant, SteppedRelay
from ir_radio.ros.ros_pump import Arrival, Port, Pump, RosTime
from ir_radio.ros.ros_stamps import stamp_of

KEPT = QoSProfile(depth=1000)
"""Reliable: none may be lost."""
_LAST_STAMP = (2**31 - 1) * 1_000_000_000
_SIGN_OF_LIFE = 0.2
"""s of wall time after which a waiting relay tells the simulation that it is there."""


def effect_message(arrival: Arrival) -> CommandEffect:
    """The message of a command that crossed."""
    return CommandEffect(
        topic=arrival.topic, effect=to_stamp(arrival.effect), due=to_stamp(max(0, arrival.due)), command=arrival.data
    )


class InstantTime(RosTime):
    """ROS time of a stepped pump: the cell's own."""

    def __init__(self, engine: RelayEngine) -> None:
        super().__init__(simulated=True)
        self._cell, self.begun = engine.cell, False

    @property
    def started(self) -> bool:
        """Has an instant come?"""
        return self.begun

    def tick(self, ros: int) -> bool:
        """Does nothing: /clock does not say what has been published."""
        return False

    def now(self) -> int:
        """The cell's time, ns."""
        return self._cell.now


class SteppedPump(Pump):
    """Carries messages through a relay's engine in step with the simulation.

    Args:
        node: of the subscriptions and publishers.
        engine: the cell with what is in force in it.
        time_: the cell's time.
        patience: s of wall time that a robot's edge, or its on-board part, is waited for.
        read_poses: gives the robots' poses that came, in the thread; see `RelayEngine.set_poses`.
        pose_period: ns of simulated time between two looks at them.
        ready: whether all flows are open; before, the simulation's start is not answered.
    """

    def __init__(
        self, node: Node, engine: RelayEngine, time_: InstantTime, patience: float,
        read_poses: Callable[[], None], pose_period: int, ready: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._patience, self._read_poses, self._pose_period, self._ready = patience, read_poses, pose_period, ready
        self._instant_time, self._pose_count = time_, -1
        self._arrived: list[Arrival] = []
        self._horizon, self._told_at = Horizon(0, 0), 0.0
        self._publisher = node.create_publisher(RadioHorizon, "~/horizon", KEPT)
        super().__init__(node, engine, time_, self._arrived.append)

    def _prepare(self) -> None:
        group, node = Unexecuted(), self._node
        self._instants = node.create_subscription(
            SimulatedInstant, "/simulator/instant", self._on_instant, KEPT, callback_group=group
        )
        self._dones = node.create_subscription(
            ControlStepDone, "/robots/done", self._on_done, KEPT, callback_group=group
        )
        self._notes = [self._instants, self._dones]
        warn = node.get_logger().warning
        again = "it is not waited for until it does so again"
        edge = Answers(self._patience, lambda robot: warn(f"{robot}: nobody answers its states; {again}"))
        onboard = Answers(self._patience, lambda robot: warn(f"{robot}: its on-board part does not go on; {again}"))
        self._stepped = SteppedRelay(
            self.engine, self._offer, lambda event: self.finish([event]), self._on_the_way, edge, onboard,
            self._look_at_poses,
        )  # fmt: skip

    def _offer(self, letter: tuple[Port, bytes], now: int) -> None:
        port, data = letter
        self._let_in(port, data, len(data), now)

    # --- in the thread ---

    def _on_instant(self, message: SimulatedInstant) -> None:
        now = to_nanoseconds(message.now)
        self._instant_time.begun = True
        if now == 0 and not self._ready():
            self._read_poses()
            return
        self._stepped.instant(Instant(now, to_nanoseconds(message.next), tuple(message.due)))

    def _on_done(self, message: ControlStepDone) -> None:
        self._stepped.done(message.header.frame_id, to_nanoseconds(message.header.stamp))

    def _look_at_poses(self, now: int) -> None:
        if now // self._pose_period != self._pose_count:
            self._pose_count = now // self._pose_period
            self._read_poses()

    def _on_the_way(self) -> bool:
        return any(held.port.state or held.port.downlink for held in self._held.values())

    def _take(self, ready: list[int]) -> None:
        """Takes what came; what was published before a note is taken with it."""
        self._take_messages(self._by_pointer[pointer] for pointer in ready if pointer in self._by_pointer)
        if sum(drain(note, note.callback) for note in self._notes):
            self._take_messages(self.ports.values())

    def _take_messages(self, ports: Iterable[Port]) -> None:
        for port, _, _, data in self._taken(ports):
            if port.downlink:
                self._stepped.from_edge((port, data), port.robot)
            else:
                self._stepped.from_robot((port, data), stamp_of(data) if port.stamped else None)

    def _ask(self, port: Port, departure: int, host: int) -> None:
        super()._ask(port, departure, host)
        if self._answerable(port):
            self._stepped.delivered(port.robot)

    def _answerable(self, state: Port) -> bool:
        return state.publisher.get_subscription_count() > 0 and any(
            port.downlink and port.robot == state.robot for port in self.ports.values()
        )

    def catch_up(self) -> int:
        """Runs as far as what has come allows, and tells the simulation; returns the cell's time, ns."""
        passed = self._stepped.progress()
        now = time.monotonic()
        for horizon in passed:
            self._publish(horizon)
        if not passed and self._stepped.waits and now - self._told_at > _SIGN_OF_LIFE:
            self._publish(self._horizon)
        return self.engine.cell.now

    def _publish(self, horizon: Horizon) -> None:
        self._horizon, self._told_at = horizon, time.monotonic()
        message = RadioHorizon(now=to_stamp(horizon.now), until=to_stamp(min(horizon.until, _LAST_STAMP)))
        message.commands = [effect_message(arrival) for arrival in self._arrived]
        message.silent = sorted(self._stepped.silent)
        self._arrived.clear()
        self._publisher.publish(message)

    def _timeout(self) -> int:
        return 20_000_000 if self._stepped.waits else 200_000_000
