# SPDX-License-Identifier: Apache-2.0
"""The stack's time between readings of its clock, at any pace."""

import time

import pytest

from ir_dashboard.stack_time import StackTime


def test_between_two_readings_it_goes_on_at_the_pace_of_the_last():
    clock = StackTime()
    for k in range(100):
        clock.take(0.025 * k, 10.0 + 0.05 * k)  # half speed
    last = 10.0 + 0.05 * 99
    assert clock.at(last + 0.02) == pytest.approx(0.025 * 99 + 0.01, abs=1e-6)
    assert clock.age(0.025 * 99 - 0.1, last) == pytest.approx(0.2, rel=1e-3)  # of our time
    assert clock.age(99.0, last) == 0.0


def test_a_clock_set_back_begins_anew_and_without_one_it_is_wall_time():
    clock = StackTime()
    assert clock.at(time.monotonic()) == pytest.approx(time.time(), abs=0.5)
    clock.take(50.0, 1.0)
    clock.take(0.0, 2.0)
    assert clock.at(2.5) == pytest.approx(0.5)
