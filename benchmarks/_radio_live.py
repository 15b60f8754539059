# SPDX-License-Identifier: Apache-2.0
"""Real processes around a relay: a source, a sink, a slice manager's part; and what the engine schedules for them."""

from __future__ import annotations

import contextlib
import fcntl
import multiprocessing
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from ir_common.ros_node import LATCHED, RELIABLE
from ir_interfaces.msg import Allocation, CellReport, SliceList, SliceStatus
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_radio.ros.ros_slice_messages import spec_to_message

ROBOT = "cart"
HEADROOM = 37
"""Bytes of a serialised `CompressedImage` beside its data, with the frame id that carries the number."""

_STAMP, _NUMBER = 4, 16
_QUEUE = 1000
_LOCKS: list[Any] = []
Ints = NDArray[np.int64]


def slice_spec(name: str, kind: str, topics: Sequence[str], bound: float = 0.5, directions: str = "up") -> SliceSpec:
    """A slice of topics of images; `directions` "both": each topic and an answer topic `<topic>_ack` down."""
    image = "sensor_msgs/msg/CompressedImage"
    flows = [FlowSpec(topic=topic, message_type=image, direction="uplink") for topic in topics]
    if directions == "both":
        flows += [FlowSpec(topic=f"{t}_ack", message_type=image, direction="downlink") for t in topics]
    return SliceSpec(
        name=name, type=kind, rate=1e6, max_latency=bound, reliability=0.9, queue_limit=50_000_000, flows=tuple(flows)
    )


class Sent(NamedTuple):
    """Messages of a run, [n] each: stream, bytes, ns of sending, ns of arrival (-1: never came)."""

    stream: Ints
    size: Ints
    sent: Ints
    came: Ints


def undisturbed() -> str:
    """Real-time scheduling for this process, where permitted, so that others on the machine do not count."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return "as usual: real-time scheduling is not permitted"
    return "real-time, all processes of both relays"


def _qos(reliable: bool) -> QoSProfile:
    policy = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
    return QoSProfile(depth=_QUEUE, reliability=policy)


def _message(data: bytes) -> bytearray:
    message = CompressedImage(format="jpeg", data=data)
    message.header.frame_id = "00000000"
    return bytearray(serialize_message(message))


def _stamp(buffer: bytearray, number: int) -> int:
    now = time.time_ns()
    struct.pack_into("<iI", buffer, _STAMP, now // 10**9, now % 10**9)
    buffer[_NUMBER : _NUMBER + 8] = b"%08d" % number
    return now


class _Taker:
    """Waits on raw subscriptions and takes what came."""

    def __init__(self, node: Node) -> None:
        self.node, self.subscriptions = node, list[Any]()

    def listen(self, topic: str, reliable: bool) -> None:
        self.subscriptions.append(
            self.node.create_subscription(
                CompressedImage, topic, lambda _: None, _qos(reliable), raw=True,
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
            )
        )  # fmt: skip

    def take(self, seconds: float) -> list[tuple[int, bytes, int]]:
        """(subscription, message, ns) of what came, after at most some seconds."""
        if not self.subscriptions:
            time.sleep(seconds)
            return []
        wait_set = _rclpy.WaitSet(len(self.subscriptions), 0, 0, 0, 0, 0, self.node.context.handle)
        wait_set.clear_entities()
        for subscription in self.subscriptions:
            wait_set.add_subscription(subscription.handle)
        with contextlib.suppress(RuntimeError):  # the end of this process
            wait_set.wait(int(seconds * 1e9))
        found = []
        for index, subscription in enumerate(self.subscriptions):
            while (taken := subscription.handle.take_message(CompressedImage, True)) is not None:
                found.append((index, taken[0], time.time_ns()))
        return found


def _publisher(node: Node, topic: str, reliable: bool) -> Any:
    return node.create_publisher(
        CompressedImage, topic, _qos(reliable), event_callbacks=PublisherEventCallbacks(use_default_callbacks=False)
    )


def _source(pipe: Connection) -> None:
    """A process that sends what it is told to: (topics, reliable, stream, size, due) -> ns of sending."""
    undisturbed()
    rclpy.init()
    node = rclpy.create_node("source")
    publishers: dict[str, Any] = {}
    while (order := pipe.recv()) is not None:
        topics, reliable, streams, sizes, due, contents = order
        for topic in topics:
            if topic not in publishers:
                publishers[topic] = _publisher(node, topic, reliable)
        deadline = time.monotonic() + 20.0
        while not all(publishers[t].get_subscription_count() for t in topics) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        buffers = {int(s): _message(contents or bytes(int(s) - HEADROOM)) for s in np.unique(sizes)}
        sent = np.zeros(len(due), np.int64)
        start = time.time_ns() + 100_000_000
        outlets = [publishers[topic] for topic in topics]
        for i, (stream, size, at) in enumerate(zip(streams.tolist(), sizes.tolist(), due.tolist(), strict=True)):
            left = start + at - time.time_ns()
            if left > 0:
                time.sleep(left * 1e-9)
            buffer = buffers[size]
            sent[i] = _stamp(buffer, i)
            outlets[stream].publish(bytes(buffer))
        pipe.send(sent)
    rclpy.try_shutdown()


def _sink(pipe: Connection) -> None:
    """A process that notes what comes: topics -> (number, ns) of each message, when asked."""
    undisturbed()
    rclpy.init()
    node = rclpy.create_node("sink")
    taker, noted = _Taker(node), list[tuple[int, int]]()
    while True:
        if pipe.poll():
            order = pipe.recv()
            if order is None:
                break
            if order == "collect":
                pipe.send(noted)
                noted = []
            else:
                for topic in order[0]:
                    taker.listen(topic, order[1])
                pipe.send("ready")
        for _, data, now in taker.take(0.02):
            noted.append((int(data[_NUMBER : _NUMBER + 8]), now))
    rclpy.try_shutdown()


def _plain(topics: Sequence[str], reliable: bool) -> None:
    """A relay as one writes it first: rclpy, one callback a message, the stock executor."""
    undisturbed()
    rclpy.init()
    node = rclpy.create_node("plain")
    for topic in topics:
        publisher = node.create_publisher(CompressedImage, f"/edge{topic}", _qos(reliable))
        node.create_subscription(CompressedImage, topic, publisher.publish, _qos(reliable), raw=True)
    with contextlib.suppress(ExternalShutdownException):
        rclpy.spin(node)


def _answerer(topic: str, answer: str) -> None:
    """The far end of a transfer: answers each message."""
    undisturbed()
    rclpy.init()
    node = rclpy.create_node("answerer")
    taker, publisher = _Taker(node), _publisher(node, answer, False)
    taker.listen(topic, False)
    buffer = _message(bytes(16))
    while rclpy.ok():
        for _, data, _ in taker.take(1.0):
            _stamp(buffer, int(data[_NUMBER : _NUMBER + 8]))
            publisher.publish(bytes(buffer))


class Live:
    """A relay in a process of its own, on a carrier, with a robot at a place; the slice manager's part is played here.

    Args:
        carrier_yaml: what stands in its slices file.
        parameters: of the relay.
    """

    def __init__(self, carrier_yaml: str = "carrier: {}\n", **parameters: Any) -> None:
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "slices.yaml"
        file.write_text(carrier_yaml)
        given = {"slices_file": file, "robots": f"[{ROBOT}]"} | parameters
        arguments = [text for key, value in given.items() for text in ("-p", f"{key}:={value}")]
        program = "import _radio_live; _radio_live.undisturbed(); from ir_radio.ros.relay_node import main; main()"
        self.relay = subprocess.Popen(
            [sys.executable, "-c", program, "--ros-args", *arguments], cwd=Path(__file__).parent
        )
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__"])  # imports once, for all processes
        self._processes: list[Any] = []
        self._source, self._sink = self._start(_source), self._start(_sink)
        self._listened: set[str] = set()
        rclpy.init()
        self.node = rclpy.create_node("manager")
        self._slices = self.node.create_publisher(SliceList, "/slicing/slices", LATCHED)
        self._allocation = self.node.create_publisher(Allocation, "/slicing/allocation", LATCHED)
        self._odom = self.node.create_publisher(Odometry, f"/{ROBOT}/odom", _qos(False))
        self.report = CellReport()
        self.node.create_subscription(CellReport, "/radio/report", lambda r: setattr(self, "report", r), RELIABLE)

    def _start(self, target: Any) -> Connection:
        mine, theirs = self._context.Pipe()
        self.run(target, theirs)
        return mine

    def run(self, target: Any, *arguments: Any) -> Any:
        """Starts a process that ends with this object."""
        process = self._context.Process(target=target, args=arguments, daemon=True)
        process.start()
        self._processes.append(process)
        return process

    def plain(self, topics: Sequence[str], reliable: bool) -> None:
        """Starts the plain relay."""
        self.run(_plain, topics, reliable)

    def answer(self, topic: str) -> None:
        """Starts an answerer at the edge and waits for it."""
        there, back = f"/edge/{ROBOT}/{topic}", f"/edge/{ROBOT}/{topic}_ack"
        before = self.node.count_subscribers(there)
        self.run(_answerer, there, back)
        self.spin(
            lambda: self.node.count_subscribers(there) > before and self.node.count_publishers(back), "the answerer"
        )

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._source, self._sink):
            with contextlib.suppress(BrokenPipeError):  # it died, which was told
                pipe.send(None)
        self.relay.terminate()
        self.relay.wait(10.0)
        for process in self._processes[2:]:
            process.terminate()  # rclpy ends them; killed ones would leave locks in shared memory
        for process in self._processes:
            process.join(5.0)
            if process.is_alive():
                process.kill()
        self.node.destroy_node()
        rclpy.try_shutdown()
        self._folder.cleanup()

    def spin(self, done: Any, what: str, seconds: float = 60.0) -> None:
        """Spins until `done()`."""
        deadline = time.monotonic() + seconds
        while not done():
            if self.relay.poll() is not None:
                raise RuntimeError(f"the relay ended with status {self.relay.returncode}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"not seen within {seconds:g} s: {what}")
            rclpy.spin_once(self.node, timeout_sec=0.02)

    def set(self, specs: Sequence[SliceSpec], blocks: dict[str, float], distance: float) -> None:
        """Puts slices, allocation and the robot's place (m from the base station) into force."""
        self._slices.publish(SliceList(slices=[SliceStatus(spec=spec_to_message(spec)) for spec in specs]))
        self._allocation.publish(Allocation(sequence=1, slices=list(blocks), resource_blocks=list(blocks.values())))
        odom = Odometry()
        odom.pose.pose.position.x, odom.pose.pose.position.z = distance, 3.0

        def known() -> bool:
            self._odom.publish(odom)
            time.sleep(0.02)
            rows = {row.slice: row.resource_blocks for row in self.report.slices}
            links = self.report.links
            there = bool(links) and abs(links[0].distance - distance) < 1e-6
            return there and all(abs(rows.get(name, -1.0) - value) < 1e-9 for name, value in blocks.items())

        self.spin(known, "slices, allocation and pose in the report")

    def converse(self, topic: str, answers: str, size: int, times: int) -> float:
        """Sends messages one after the other, each when the last was answered; returns how long it took, s."""
        taker, publisher = _Taker(self.node), _publisher(self.node, topic, False)
        taker.listen(answers, False)
        self.spin(
            lambda: publisher.get_subscription_count() and taker.subscriptions[0].get_publisher_count(), "the relay"
        )
        time.sleep(1.0)
        buffer = _message(bytes(size - HEADROOM))
        undisturbed()
        start = time.monotonic()
        for number in range(times):
            _stamp(buffer, number)
            publisher.publish(bytes(buffer))
            if not taker.take(5.0):
                raise RuntimeError(f"message {number} of {times} was not answered within 5 s")
        seconds = time.monotonic() - start
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        self.node.destroy_publisher(publisher)
        self.node.destroy_subscription(taker.subscriptions[0])
        return seconds

    def send(
        self, topics: Sequence[str], reliable: bool, stream: Ints, size: Ints, due: Ints, contents: bytes = b"",
        edge: str = "/edge",
    ) -> Sent:  # fmt: skip
        """Sends messages: streams, sizes, and when (ns, sorted); waits until no more come."""
        targets = [f"{edge}{topic}" for topic in topics if topic not in self._listened]
        if targets:
            self._sink.send((targets, reliable))
            self._sink.recv()
            self._listened.update(topics)
            time.sleep(1.0)  # discovery of the sink; the source waits for its subscriber itself
        self._source.send((list(topics), reliable, stream, size, due, contents))
        sent = self._source.recv()
        came = np.full(len(sent), -1)
        quiet = 0
        while quiet < 3 and (came < 0).any():
            time.sleep(0.2)
            self._sink.send("collect")
            noted = self._sink.recv()
            quiet = 0 if noted else quiet + 1
            for number, at in noted:
                came[number] = at
        return Sent(stream, size, sent, came)


def scheduled(
    carrier: Carrier,
    specs: Sequence[SliceSpec],
    blocks: dict[str, float],
    distance: float,
    of: Sequence[str],
    sent: Sent,
) -> tuple[Ints, Ints]:
    """What the engine has for these messages, were they there when they were sent: (ns of departure, fates).

    Args:
        of: slice of each stream.
    """
    start = int(sent.sent[0]) // 10**9 * 10**9
    cell = Cell(carrier, start=start)
    for spec in specs:
        cell.set_slice(spec)
    cell.set_allocation(blocks)
    cell.set_pose(ROBOT, (distance, 0.0, 3.0))
    flows = np.array([cell.flow(FlowKey(name, ROBOT, f"s{i}", "uplink")) for i, name in enumerate(of)])
    times, fates = cell.run(flows[sent.stream], sent.size, sent.sent, int(sent.sent[-1]) + 30 * 10**9)
    return times, fates


def own_domain() -> None:
    """Gives this process and its children a ROS domain that no test and no other benchmark here has."""
    for domain in range(100, 0, -1):
        lock = (Path(tempfile.gettempdir()) / f"ir_ros_domain_{domain}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        _LOCKS.append(lock)
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        return
    raise RuntimeError("all 100 ROS domains are taken")
