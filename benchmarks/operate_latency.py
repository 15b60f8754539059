# SPDX-License-Identifier: Apache-2.0
"""From a joystick's message on the page's socket to the simulated wheels, beside an eMBB slice idle and overloaded."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
import yaml
from _operate import PATIENCE, page, socket_of, stack
from geometry_msgs.msg import Twist
from harness import Axis, Goal, Options, Result, interval, main
from sensor_msgs.msg import JointState
from std_msgs.msg import UInt8MultiArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import RELIABLE, STREAM, LeanNode
from ir_interfaces.msg import CellReport

ROOT = Path(__file__).resolve().parents[1]
QUANTILES = (0.5, 0.9, 0.99)
LOADS = ("idle", "overloaded")
WHEEL_RATE = 500  #: Hz, of the joint states by which the wheels are seen: every physics step
SPEEDS = (0.2, 0.5)  #: m/s forward, taken in turns
TURN = 0.5  #: of the joystick's range: the cart drives a circle
MOVED = 0.03  #: m/s of change by which the wheels count as moving; at 8 m/s2 they need 3.75 ms for it
BULK = 50_000  #: B of a message that overloads
BULK_RATE = 150.0  #: Hz
CARRIER = {"bandwidth": 5e6, "resource_blocks": 24}
"""Small, so that little processor time overloads it: about 30 Mb/s."""
ADDED = 1e-3
"""s by which the overload may move the p99 of the URLLC command beyond what it does in the radio's own model."""


@dataclass
class Seen:
    """What was measured beside one load: all in s.

    Attributes:
        wheels: joystick message to the first changed wheel speed seen.
        radio: command leaves the twin to command arrives at the robot, wall clock.
        model: p99 of the URLLC slice's delay in the radio's model, of each report.
    """

    wheels: list[float] = field(default_factory=list)
    radio: list[float] = field(default_factory=list)
    model: list[float] = field(default_factory=list)


class Probe(LeanNode):
    """Watches wheels, commands and the radio; overloads the eMBB slice when told to."""

    def __init__(self) -> None:
        super().__init__("operate_latency")
        self.seen = Seen()
        self.bulk_offered = self.bulk_delivered = 0.0
        self.overload = False
        self._speed = 0.0
        self._event: tuple[float, float] | None = None  # when it was sent, wheel speed then
        self._left: dict[tuple[float, float], float] = {}
        self._bulk = self.create_publisher(UInt8MultiArray, "/edge/cart/bulk", STREAM)
        self._load = UInt8MultiArray(data=bytes(BULK))
        self.create_subscription(JointState, "/cart/joint_states", self._on_wheels, STREAM)
        self.create_subscription(Twist, "/edge/cart/cmd_vel", self._on_departure, RELIABLE)
        self.create_subscription(Twist, "/cart/cmd_vel", self._on_arrival, RELIABLE)
        self.create_subscription(CellReport, "/radio/report", self._on_report, RELIABLE)
        self.create_timer(1.0 / BULK_RATE, self._on_bulk)

    def sent(self) -> None:
        """A joystick message leaves now."""
        self._event = (time.perf_counter(), self._speed)

    @property
    def moving(self) -> bool:
        return abs(self._speed) > MOVED

    def _on_wheels(self, message: JointState) -> None:
        now = time.perf_counter()
        self._speed = 0.08 * float(np.mean(message.velocity))
        event = self._event
        if event is not None and abs(self._speed - event[1]) > MOVED:
            self._event = None
            self.seen.wheels.append(now - event[0])

    def _on_departure(self, message: Twist) -> None:
        self._left[message.linear.x, message.angular.z] = time.perf_counter()

    def _on_arrival(self, message: Twist) -> None:
        left = self._left.pop((message.linear.x, message.angular.z), None)
        if left is not None and message.linear.x:
            self.seen.radio.append(time.perf_counter() - left)

    def _on_report(self, report: CellReport) -> None:
        for one in report.slices:
            if one.slice == "control" and one.recent_delay.count:
                self.seen.model.append(one.recent_delay.p99)
            elif one.slice == "bulk":
                self.bulk_offered, self.bulk_delivered = one.offered_rate, one.delivered_rate

    def _on_bulk(self) -> None:
        if self.overload:
            self._bulk.publish(self._load)


def prepare(folder: Path) -> tuple[Path, Path]:
    """World whose cart tells its wheels' speed at every physics step, and slices with one to overload."""
    shutil.copytree(ROOT / "worlds", folder / "worlds")
    model = folder / "worlds" / "models" / "cart" / "model.sdf"
    text, count = re.subn(r"(joint_states</topic>\s*<update_rate>)25(<)", rf"\g<1>{WHEEL_RATE}\g<2>", model.read_text())
    assert count == 1
    model.write_text(text)
    slices = yaml.safe_load((ROOT / "config" / "slices.yaml").read_text())
    (control,) = [template for template in slices["templates"] if template["name"] == "control"]
    flow = {
        "robots": ["cart"],
        "topic": "bulk",
        "message_type": "std_msgs/msg/UInt8MultiArray",
        "direction": "downlink",
    }
    bulk = {"name": "bulk", "type": "embb", "rate": 5e6, "max_latency": 0.1, "reliability": 0.9, "priority": 3}
    control["rate"] = 1e6
    slices["templates"] = [control, bulk | {"queue_limit": 500_000, "flows": [flow]}]
    slices["carrier"] |= CARRIER
    slices["slices"] = ["control", "bulk"]
    file = folder / "slices.yaml"
    file.write_text(yaml.safe_dump(slices))
    return folder / "worlds" / "robot_field.sdf", file


@contextmanager
def seat(address: str) -> Iterator[ClientConnection]:
    """The page's socket, with the cart's seat taken; what it says is thrown away by a thread."""
    base, token = page(address)
    with connect(socket_of(base), max_size=None, compression=None) as link:
        link.send(json.dumps({"token": token}))

        def read() -> None:
            with contextlib.suppress(ConnectionClosed):
                for seen, _ in enumerate(link, 1):
                    link.send(json.dumps({"seen": seen}))

        threading.Thread(target=read, daemon=True).start()
        link.send(json.dumps({"take": "cart", "over": True}))
        yield link


def drive(probe: Probe, link: ClientConnection, seconds: float, rng: random.Random) -> None:
    """Joystick messages at irregular times, each another speed than the one before, for a while."""
    until, turn = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        turn += 1
        probe.sent()
        link.send(json.dumps({"cmd": ["cart", SPEEDS[turn % 2], TURN]}))
        time.sleep(rng.uniform(0.11, 0.16))


def one_seed(seed: int, blocks: int, seconds: float) -> tuple[dict[str, Seen], tuple[float, float]]:
    """Idle and overloaded in turns, in one stack; with (offered, delivered) bit/s of the overloaded slice."""
    measured = {load: Seen() for load in LOADS}
    rng, probe, executor = random.Random(seed), Probe(), LeanExecutor()
    executor.add_node(probe)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(0.1)

    spun = threading.Thread(target=spin, daemon=True)
    spun.start()
    loads = []
    with tempfile.TemporaryDirectory() as name:
        world, slices = prepare(Path(name))
        words = [f"world:={world}", f"slices:={slices}", "robots:=cart", "twin:=shadow", "rendering:=false"]
        with stack([*words, f"seed:={seed}"], Path(name)) as (address, _), seat(address) as link:
            deadline = time.monotonic() + PATIENCE
            while not probe.moving and time.monotonic() < deadline:
                drive(probe, link, 0.5, rng)
            for block in range(2 * blocks):
                probe.overload = block % 2 == 1
                drive(probe, link, 1.0, rng)  # the queue fills, or empties
                probe.seen = measured["overloaded" if probe.overload else "idle"]
                drive(probe, link, seconds, rng)
                if probe.overload:
                    loads.append((probe.bulk_offered, probe.bulk_delivered))
                probe.seen = Seen()
    ended.set()
    spun.join(5)
    executor.shutdown(timeout_sec=1.0)
    probe.destroy_node()
    offered, delivered = np.mean(loads, axis=0)
    return measured, (float(offered), float(delivered))


def quantiles(seen: Sequence[Seen], name: str) -> dict[str, list[float]]:
    """ms, of the events of all seeds together, with the interval over seeds."""
    each = [1e3 * np.quantile(getattr(one, name), QUANTILES) for one in seen]
    pooled = 1e3 * np.quantile(np.concatenate([getattr(one, name) for one in seen]), QUANTILES)
    return interval(each) | {"mean": pooled.tolist()}


def run(options: Options) -> Result:
    """Quantiles beside both loads."""
    os.environ.setdefault("ROS_DOMAIN_ID", "98")
    blocks, seconds = (1, 6.0) if options.quick else (4, 6.0)
    rclpy.init()
    measured, loads = zip(*(one_seed(seed, blocks, seconds) for seed in options.seed_list), strict=True)
    rclpy.try_shutdown()
    series = {
        f"{what}, eMBB {load}": quantiles([one[load] for one in measured], name)
        for what, name in (("joystick to wheels", "wheels"), ("radio, wall clock", "radio"), ("radio, model", "model"))
        for load in LOADS
    }
    rows = {name: values["mean"] for name, values in series.items()}
    moved = rows["radio, wall clock, eMBB overloaded"][2] - rows["radio, wall clock, eMBB idle"][2]
    model = rows["radio, model, eMBB overloaded"][2] - rows["radio, model, eMBB idle"][2]
    ends = rows["joystick to wheels, eMBB overloaded"][2] - rows["joystick to wheels, eMBB idle"][2]
    goal = f"at most {1e3 * ADDED:g} ms beyond the model's {model:.2f} ms"
    goals = [
        Goal("overload moves p99 of the URLLC command through the radio", goal, f"{moved:.2f} ms", moved - model <= 1),
        Goal("overload moves p99 from joystick to wheels", goal, f"{ends:.2f} ms", ends - model <= 1),
    ]
    offered, delivered = np.mean(loads, axis=0)
    return Result(
        Axis("quantile", "", [f"p{100 * q:g}" for q in QUANTILES]),
        "ms",
        series,
        {
            "carrier": CARRIER, "events": {load: sum(len(one[load].wheels) for one in measured) for load in LOADS},
            "blocks of each load": blocks, "seconds a block": seconds, "wheel speed change seen (m/s)": MOVED,
            "bulk": {"B": BULK, "Hz": BULK_RATE, "offered (bit/s)": offered, "delivered (bit/s)": delivered},
        },
        {},
        goals,
    )  # fmt: skip


if __name__ == "__main__":
    main("operate-latency", run, seeds=3, quick_seeds=1)
