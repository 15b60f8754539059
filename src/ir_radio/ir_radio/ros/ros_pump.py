# SPDX-License-Identifier: Apache-2.0
"""The pump: one thread that owns the engine and carries raw messages through it.

It waits on its subscriptions itself, on one wait set, until a message comes or the next one is due. The stock executor
makes a new wait set out of all entities of the node for every wake-up and takes one message per subscription; at the
rates of a radio that costs several times the relaying itself.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.subscription import Subscription

from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER, CellEvent
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.ros.ros_stamps import stamp_of
from ir_radio.ros.tick_clock import TickClock

_LONGEST_WAIT = 200_000_000
_SHORTEST_WAIT, _LONGEST_RETRY = 250_000, 20_000_000  # for a clock that stands still
_WARN_PERIOD = 10_000_000_000
_OLDEST = 20_000_000  # that is believed of a message's age when it is taken
_LAGS = 4096  # of the last messages
_KINDS = ("subscription", "client", "service")
_BATCH = 64  # messages taken from one subscription before the others get their turn


@dataclass(eq=False)
class Port:
    """Where a flow comes in and goes out.

    Attributes:
        flow: its number.
        name: the topic that it comes from.
        robot, slice, urllc: what it belongs to.
        bound: latency bound of its slice, ns.
        downlink: it goes to the robot.
        state: it carries states, which the edge answers with commands.
        stamped: its messages begin with a header.
        late: messages that were published later than the bound after they came in.
        newest: the last reading of a sensor that was taken.
        begun: simulated time runs; before, all readings have the stamp zero.
    """

    flow: int
    name: str
    robot: str
    slice: str
    urllc: bool
    bound: int
    subscription: Subscription
    publisher: Publisher
    downlink: bool = False
    state: bool = False
    stamped: bool = False
    late: int = 0
    newest: bytes = b""
    begun: bool = True
    kind = "subscription"

    @property
    def source(self) -> Any:
        """Handle of what messages come from, for a wait set."""
        return self.subscription.handle

    def take(self) -> tuple[int, int, Any] | None:
        """One message that waits: (when it was sent, ns of the system's clock; bytes; the message); none: none does.

        A simulator that stands may repeat a sensor's reading of that instant at each of its iterations (gz-sim does so
        with joint states): what has the stamp and all bytes of the one before is sent once. The stamp zero is that of a
        sensor without a clock, which is heard each time once simulated time runs.
        """
        taken = self.subscription.handle.take_message(self.subscription.msg_type, True)
        while taken is not None and self._repeats(taken[0]):
            taken = self.subscription.handle.take_message(self.subscription.msg_type, True)
        return None if taken is None else (taken[1]["source_timestamp"], len(taken[0]), taken[0])

    def _repeats(self, data: bytes) -> bool:
        if self.downlink or self.state or not self.stamped:
            return False
        before, self.newest = self.newest, data
        return data == before and (stamp_of(data) > 0 or not self.begun)

    def emit(self, message: Any) -> None:
        """Hands on what `take` gave."""
        self.publisher.publish(message)


class Held(NamedTuple):
    """A message that is in the cell."""

    port: Port
    data: Any
    arrival: int
    """ns, when it was let in."""
    host: int
    """ns, time that processes of the host, not the radio, took for it and the state that it answers until then; -1: a
    command that answers none."""


class Arrival(NamedTuple):
    """A command that crossed the radio; times in ns."""

    topic: str
    effect: int
    """When its last bit arrived."""
    due: int
    """When it would have, had processes taken no time; 0: not known, as it answers no state."""
    data: bytes


class Pump:
    """Carries messages through a relay's engine in a thread of its own; everything that touches the engine runs in it.

    Args:
        node: the node of the subscriptions and publishers.
        engine: the cell with what is in force in it.
        time_: ROS time.
        tell: told of each command that crossed, before it is published.
    """

    def __init__(
        self, node: Node, engine: RelayEngine, time_: RosTime, tell: Callable[[Arrival], None] | None = None
    ) -> None:
        self._node, self.engine, self._time, self._tell = node, engine, time_, tell
        self._asked: dict[str, tuple[int, int]] = {}  # by robot: when a state reached the edge, and its `Held.host`
        self._prepare()
        self.ports: dict[int, Port] = {}
        self._by_pointer: dict[int, Port] = {}
        self._held: dict[int, Held] = {}
        self.lags: deque[int] = deque(maxlen=_LAGS)
        self._tasks: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._guard = GuardCondition(None, None, context=node.context)
        self._stopping = False
        self._retry = _SHORTEST_WAIT
        self._wait_set: Any = None
        self._warned: dict[tuple[int, Fate], int] = {}
        self._thread = threading.Thread(target=self._run, name="radio_pump", daemon=True)
        self._thread.start()

    def post(self, task: Callable[[], Any]) -> Future[Any]:
        """Has `task` run in the pump's thread, soon."""
        future: Future[Any] = Future()
        self._tasks.append((task, future))
        if not self._thread.is_alive():
            self._fail_tasks()
        self._guard.trigger()
        return future

    def call(self, task: Callable[[], Any]) -> Any:
        """Runs `task` in the pump's thread, waits for it and returns what it returns or raises what it raises."""
        return self.post(task).result(timeout=10.0)

    def close(self) -> None:
        """Ends the thread."""
        self._stopping = True
        self._guard.trigger()
        self._thread.join(timeout=2.0)

    # --- in the thread ---

    def open(self, port: Port) -> None:
        """Takes a port into service."""
        self.ports[port.flow] = port
        self._ports_changed()

    def shut(self, flow: int) -> Port:
        """Takes a port out of service; its messages on the way are still delivered by its publisher."""
        port = self.ports.pop(flow)
        self._ports_changed()
        return port

    def _ports_changed(self) -> None:
        self._by_pointer = {port.source.pointer: port for port in self.ports.values()}
        self._wait_set = None

    def needs(self, publisher: Publisher) -> bool:
        """Is a message on its way to this publisher?"""
        return any(held.port.publisher is publisher for held in self._held.values())

    def catch_up(self) -> int:
        """Brings the engine up to the present and publishes what is due; returns the time, ns."""
        time_ = max(self._time.now(), self.engine.cell.now)
        self.finish(self.engine.advance(time_))
        return time_

    def finish(self, events: list[CellEvent]) -> None:
        """Publishes messages that arrived and forgets those that were dropped."""
        for number, _, departure, fate in events:
            held = self._held.pop(number)
            port = held.port
            if fate == Fate.DELIVERED:
                if port.downlink and self._tell is not None:
                    due = departure - held.host if held.host >= 0 else 0
                    self._tell(Arrival(port.publisher.topic_name, departure, due, held.data))
                port.emit(held.data)
                now = self._time.now()
                self.lags.append(now - departure)
                port.late += now - held.arrival > port.bound
                if port.state:
                    self._ask(port, departure, held.host)

    def _ask(self, port: Port, departure: int, host: int) -> None:
        """A state has reached the edge: what comes for its robot next is counted as the answer."""
        self._asked[port.robot] = departure, host

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._take(self._wait())
                self.catch_up()
                self._run_task()
        except Exception:
            if self._node.context.ok() and not self._stopping:
                raise  # threading prints it; whoever calls next is told
        finally:
            self._stopping = True
            self._fail_tasks()

    def _wait(self) -> list[int]:
        if self._wait_set is None:
            count = Counter(port.kind for port in self.ports.values())
            self._wait_set = _rclpy.WaitSet(
                count["subscription"] + len(self._notes), 1, 0, count["client"], count["service"], 0,
                self._node.context.handle,
            )  # fmt: skip
        wait_set = self._wait_set
        wait_set.clear_entities()
        wait_set.add_guard_condition(self._guard.handle)
        for port in self.ports.values():
            getattr(wait_set, f"add_{port.kind}")(port.source)
        for note in self._notes:
            wait_set.add_subscription(note.handle)
        timeout = 0 if self._tasks else self._timeout()
        wait_set.wait(timeout)
        return [pointer for kind in _KINDS for pointer in wait_set.get_ready_entities(kind)]

    def _timeout(self) -> int:
        due = self.engine.next_event()
        if due == NEVER:
            return _LONGEST_WAIT
        if wait := self._time.wall_until(due):
            self._retry = _SHORTEST_WAIT
            return min(wait, _LONGEST_WAIT)
        if due <= self._time.now():
            return 0
        self._retry = min(2 * self._retry, _LONGEST_RETRY)  # the clock stands still, or its tick is late
        return self._retry

    def _prepare(self) -> None:
        """Before the thread begins: makes what it works with."""
        self._notes: list[Subscription] = []  # that the thread waits on beside its ports

    def _take(self, ready: list[int]) -> None:
        """Lets in what came, as of when it was sent, as far as the cell is not beyond that."""
        came = [
            (self._time.at(sent), port, size, data)
            for port, sent, size, data in self._taken(self._by_pointer[pointer] for pointer in ready)
        ]
        came.sort(key=itemgetter(0))
        for time_, port, size, data in came:
            self._let_in(port, data, size, max(time_, self.engine.cell.now))

    def _taken(self, ports: Iterable[Port]) -> list[tuple[Port, int, int, Any]]:
        """What waits on some ports; of each message what `Port.take` says."""
        came, begun = [], self.engine.cell.now > 0
        for port in ports:
            port.begun = begun
            for _ in range(_BATCH):
                taken = port.take()
                if taken is None:
                    break
                came.append((port, *taken))
        return came

    def _host_time(self, port: Port, data: Any, time_: int) -> int:
        """`Held.host` of a message that is let in at `time_`."""
        if port.downlink:
            asked, before = self._asked.pop(port.robot, (time_ + 1, 0))
            return before + time_ - asked
        return max(0, time_ - stamp_of(data)) if port.state and port.stamped else 0

    def _let_in(self, port: Port, data: Any, size: int, time_: int) -> None:
        host = self._host_time(port, data, time_)
        number, fate = self.engine.offer(port.flow, size, time_)
        if fate == Fate.ACCEPTED:
            self._held[number] = Held(port, data, time_, host)
        elif time_ - self._warned.get((port.flow, fate), -_WARN_PERIOD) >= _WARN_PERIOD:
            self._warned[port.flow, fate] = time_
            self._node.get_logger().warning(f"{port.name}: message of {size} B dropped: {fate.name.lower()}")

    def _run_task(self) -> None:
        """Runs one task: before the next, and before time runs on, what came meanwhile is taken."""
        if self._tasks:
            task, future = self._tasks.popleft()
            try:
                future.set_result(task())
            except Exception as error:  # belongs to the caller
                future.set_exception(error)

    def _fail_tasks(self) -> None:
        while self._tasks:
            self._tasks.popleft()[1].set_exception(RuntimeError("the pump of the relay has stopped"))


class RosTime:
    """ROS time for two threads: ticks come in one, the pump asks in another.

    Args:
        simulated: follow the ticks; else ROS time is the system's.
    """

    def __init__(self, simulated: bool) -> None:
        self._simulated, self._clock, self._lock = simulated, TickClock(), threading.Lock()

    @property
    def started(self) -> bool:
        """Is the time known?"""
        return not self._simulated or self._clock.started

    def tick(self, ros: int) -> bool:
        """Takes a tick that came just now; see `TickClock.tick`."""
        with self._lock:
            return self._clock.tick(ros, time.monotonic_ns())

    def now(self) -> int:
        """ROS time, ns."""
        if not self._simulated:
            return time.time_ns()
        with self._lock:
            return self._clock.now(time.monotonic_ns())

    def at(self, stamp: int) -> int:
        """ROS time when the system's clock showed `stamp`, ns, not long ago; now, where that is not possible."""
        age, now = time.time_ns() - stamp, self.now()
        if not 0 <= age <= _OLDEST:  # another machine's clock, or a middleware that does not say
            return now
        return now - (int(age * self._clock.rate) if self._simulated else age)

    def wall_until(self, ros: int) -> int:
        """Wall time, ns, until ROS time is `ros`."""
        if not self._simulated:
            return max(0, ros - time.time_ns())
        with self._lock:
            return self._clock.wall_until(ros, time.monotonic_ns())
