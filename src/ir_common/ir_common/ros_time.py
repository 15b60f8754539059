# SPDX-License-Identifier: Apache-2.0
"""Conversions between ROS time stamps and integer nanoseconds."""

from __future__ import annotations

from builtin_interfaces.msg import Time

NANOSECONDS = 1_000_000_000


def to_nanoseconds(stamp: Time) -> int:
    """The nanoseconds of a stamp."""
    return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)


def to_stamp(nanoseconds: int) -> Time:
    """The stamp of so many nanoseconds, not negative."""
    sec, nanosec = divmod(nanoseconds, NANOSECONDS)
    return Time(sec=sec, nanosec=nanosec)


def to_seconds(stamp: Time) -> float:
    """The seconds of a stamp, as a float."""
    return to_nanoseconds(stamp) / NANOSECONDS
