# SPDX-License-Identifier: Apache-2.0
"""Time between clock ticks: even, never backwards, still in a pause, and honest about a reset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_radio.ros.tick_clock import TickClock

MS = 1_000_000


def ticked(rate=1.0, ticks=50, late=lambda i: 0, period=10 * MS, start=5_000 * MS):
    """A clock after `ticks` ticks at `rate` ROS seconds per wall second; wall time 0 is the first tick."""
    clock = TickClock()
    for i in range(ticks):
        clock.tick(start + i * period, int(i * period / rate) + late(i))
    return clock, start + (ticks - 1) * period, int((ticks - 1) * period / rate)


def test_before_the_first_tick_there_is_no_time():
    clock = TickClock()
    assert not clock.started and clock.now(123) == 0 and clock.wall_until(5, 0) == 0


@pytest.mark.parametrize("rate", [0.1, 1.0, 20.0])
def test_time_between_ticks_runs_at_the_rate_of_the_ticks(rate):
    clock, ros, wall = ticked(rate)
    for part in (0.0, 0.25, 0.9):
        assert clock.now(wall + int(part * 10 * MS / rate)) == pytest.approx(ros + part * 10 * MS, abs=2)
    assert clock.wall_until(ros + 4 * MS, wall + MS // 100) == pytest.approx(4 * MS / rate - MS // 100, abs=2)
    assert clock.wall_until(ros - 1, wall) <= 1


def test_time_stops_one_period_after_the_last_tick_and_goes_on_after_a_pause():
    clock, ros, wall = ticked()
    assert clock.now(wall + 60_000 * MS) == ros + 10 * MS
    clock.tick(ros + 10 * MS, wall + 60_000 * MS)
    clock.tick(ros + 20 * MS, wall + 60_010 * MS)
    assert clock.now(wall + 60_015 * MS) == pytest.approx(ros + 25 * MS, abs=2 * MS)


def test_late_ticks_do_not_move_the_estimate_much():
    rng = np.random.default_rng(0)
    delays = rng.exponential(1 * MS, 500).astype(int)  # of the delivery
    errors = []
    clock = TickClock()
    for i, delay in enumerate(delays):
        wall = i * 10 * MS + delay
        clock.tick(i * 10 * MS + 1, int(wall))
        errors.append(clock.now(int(wall) + 2 * MS) - (wall + 2 * MS))
    assert np.median(np.abs(errors[50:])) < 0.6 * MS
    assert np.quantile(np.abs(errors[50:]), 0.95) < 2 * MS


def test_tick_before_the_last_one_is_a_jump_and_time_begins_anew():
    clock, ros, wall = ticked()
    assert clock.tick(3 * MS, wall + MS)
    assert clock.now(wall + MS) == 3 * MS
    assert not clock.tick(13 * MS, wall + 11 * MS)
    assert clock.now(wall + 12 * MS) == pytest.approx(14 * MS, abs=2)
    assert clock.now(wall + 12 * MS) < ros


@given(
    st.lists(st.tuples(st.integers(0, 30 * MS), st.integers(1, 40 * MS)), min_size=1, max_size=40),
    st.lists(st.integers(0, 10 * MS), min_size=40, max_size=40),
)
def test_time_never_runs_backwards_and_stays_near_the_last_tick(steps, looks):
    clock, ros, wall, last = TickClock(), 1, 0, 0
    longest = max((step for step, _ in steps), default=0)
    for (step, waited), look in zip(steps, looks, strict=False):
        ros, wall = ros + step, wall + waited
        clock.tick(ros, wall)
        now = clock.now(wall + look)
        assert last <= now and ros <= now <= ros + longest
        last, wall = now, wall + look
