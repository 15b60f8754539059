# SPDX-License-Identifier: Apache-2.0
"""Bags for the tests."""

from collections.abc import Sequence
from pathlib import Path

from ir_bag.contents import Message, Topic
from ir_bag.definitions import Definitions
from ir_bag.qos_profiles import Profile
from ir_bag.writer import BagWriter

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
ODOM, SCAN = "/cart/odom", "/cart/scan"
TYPES = {ODOM: "nav_msgs/msg/Odometry", SCAN: "sensor_msgs/msg/LaserScan"}
LATCHED = Profile(depth=1, durability="transient_local")


def topic(name: str, kind: str | None = None, **values: object) -> Topic:
    kind = kind or TYPES[name]
    found = Definitions().find(kind)
    assert found, kind
    return Topic(name, kind, found.text, "ros2msg", found.type_hash, **values)


def messages(count: int, period: int = SECOND // 100, names: Sequence[str] = (ODOM, SCAN)) -> list[Message]:
    return [
        Message(names[i % len(names)], START + i * period, b"\0\1\0\0" + i.to_bytes(4, "little") * 25)
        for i in range(count)
    ]


def write(folder: Path, content: Sequence[Message], storage: str = "mcap", **values: str) -> Path:
    with BagWriter(folder, storage, distro="jazzy", **values) as bag:
        bag.add_topic(topic(ODOM, qos=(Profile(reliability="best_effort", depth=5),)))
        bag.add_topic(topic(SCAN, qos=(LATCHED,)))
        for message in content:
            bag.write(message)
    return folder
