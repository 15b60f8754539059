# SPDX-License-Identifier: Apache-2.0
"""A reading that a standing simulator repeats crosses the radio once."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState

from ir_common.ros_time import to_stamp
from ir_radio.ros.ros_pump import Port

STEP = 8_000_000  #: ns


class Waiting(nullcontext[None]):
    """Messages that wait on a subscription."""

    def __init__(self, *messages: bytes) -> None:
        super().__init__()
        self._messages = deque(messages)

    def take_message(self, kind: Any, raw: bool) -> tuple[bytes, dict[str, int]] | None:
        return (self._messages.popleft(), {"source_timestamp": 1}) if self._messages else None


def reading(stamp: int, position: float = 0.1) -> bytes:
    message = JointState(name=["hip"], position=[position])
    message.header.stamp = to_stamp(stamp)
    return serialize_message(message)


def taken(*messages: bytes, **of_port: bool) -> list[bytes]:
    subscription: Any = SimpleNamespace(handle=Waiting(*messages), msg_type=JointState)
    port = Port(0, "a/joint_states", "a", "s", False, 0, subscription, None, **of_port)  # type: ignore[arg-type]
    found = []
    while (one := port.take()) is not None:
        found.append(one[2])
    return found


def test_what_has_the_stamp_and_the_bytes_of_the_one_before_is_sent_once() -> None:
    first, second = reading(STEP), reading(2 * STEP)
    assert taken(first, first, first, second, second, first, stamped=True) == [first, second, first]


def test_a_new_reading_of_the_same_instant_is_sent() -> None:
    both = [reading(STEP, 0.1), reading(STEP, 0.2)]
    assert taken(*both, stamped=True) == both


@pytest.mark.parametrize("of_port", [{}, {"stamped": True, "downlink": True}, {"stamped": True, "state": True}])
def test_commands_states_and_messages_without_a_stamp_are_sent_as_often_as_they_come(of_port: dict[str, bool]) -> None:
    same = [reading(STEP)] * 3
    assert taken(*same, **of_port) == same


def test_a_sensor_without_a_clock_is_heard_each_time() -> None:
    same = [reading(0)] * 3
    assert taken(*same, stamped=True) == same


def test_before_time_runs_a_standing_simulator_repeats_readings_of_time_zero() -> None:
    first, second = reading(0, 0.1), reading(0, 0.2)
    assert taken(first, first, first, second, second, stamped=True, begun=False) == [first, second]
