# SPDX-License-Identifier: Apache-2.0
"""How much physics runs by the clock, and that commands get in between."""

import pytest
from conftest import WORLD
from hypothesis import given
from hypothesis import strategies as st

from ir_sim.pacer import CATCH_UP, MAX_BUSY, MAX_TURN, Pacer, longest_turn
from ir_sim.sdf import compose

STEP, PERIOD, TICK = 0.002, 0.008, 0.004


class Host:
    """A simulation on a host whose clock is ours; each step takes `cost` s of its time."""

    def __init__(self, factor=1.0, turn=PERIOD, cost=0.0):
        self.now, self.steps, self.cost = 100.0, 0, cost
        self.pacer = Pacer(STEP, turn, TICK, lambda: self.now)
        self.pacer.restart(factor, 0)

    def round(self):
        """Makes a round; returns the steps of its turns."""
        turns = []
        for count in self.pacer.round(lambda: self.steps):
            turns.append(count)
            self.steps += count
            self.now += count * self.cost
        return turns

    def run(self, seconds):
        """Makes a round each tick, or as soon as the one before is over."""
        turns, tick, end = [], self.now, self.now + seconds
        while self.now < end:
            turns += self.round()
            tick = max(tick + TICK, self.now)
            self.now = tick
        return turns


@pytest.mark.parametrize("factor", [0.25, 1.0, 2.0, 10.0, 50.0])
def test_a_quiet_host_keeps_the_pace(factor):
    host = Host(factor, cost=1e-6)
    turns = host.run(2.0)
    assert host.steps * STEP == pytest.approx(2.0 * factor, abs=PERIOD + TICK * factor)
    assert max(turns) <= host.pacer.turn == 4


def test_a_jump_of_the_clock_is_not_caught_up_in_a_burst():
    host = Host()
    host.run(0.1)
    at = host.steps
    host.now += 0.2
    assert host.round() == [4] and host.round() == host.round() == [], "a turn, and then none until time has passed"
    host.run(1.0)
    late = 2 * PERIOD  # 0.2 s were due; two turns of it are made up for, the rest is given up
    assert (host.steps - at) * STEP == pytest.approx(1.0 + late, abs=PERIOD)


def test_a_little_lateness_is_caught_up_at_half_as_fast_again():
    host = Host()
    host.run(0.1)
    host.now += 0.012
    rounds = []
    for _ in range(10):
        rounds.append(sum(host.round()))
        host.now += TICK
    assert rounds[:3] == [4, 3, 3] and rounds[-3:] == [2, 2, 2]
    assert host.steps * STEP == pytest.approx(host.now - 100.0 - TICK, abs=STEP)


def test_a_host_that_is_too_slow_makes_the_run_slower():
    host = Host(cost=0.004)  # twice the time that a step simulates
    turns = host.run(4.0)
    assert host.steps * STEP == pytest.approx(2.0, rel=0.02) and max(turns) <= 4


def test_a_round_ends_when_other_callbacks_have_waited_long_enough():
    host = Host(factor=100.0, cost=0.001)
    host.now += 1.0
    began = host.now
    host.round()
    assert host.now - began <= MAX_BUSY + 4 * host.cost


def test_without_a_pace_it_runs_as_fast_as_it_can():
    host = Host(factor=0.0, cost=0.001)
    assert set(host.round()) == {4} and host.steps == 20


def test_the_pace_counts_from_its_last_start():
    host = Host()
    host.now += 5.0
    host.pacer.restart(1.0, host.steps)
    assert host.round() == []
    host.now += 0.004
    assert host.round() == [2]


@given(st.lists(st.floats(0.0, 0.3), max_size=40), st.sampled_from([0.5, 1.0, 4.0, 20.0]))
def test_it_is_never_ahead_and_no_round_is_a_burst(delays, factor):
    host = Host(factor)
    most = max(4, round(CATCH_UP * TICK * factor / STEP))
    for delay in delays:
        host.now += delay
        turns = host.round()
        assert sum(turns) <= most and all(0 < turn <= 4 for turn in turns)
        assert host.steps * STEP <= (host.now - 100.0) * factor + 1e-9


@pytest.mark.parametrize(
    ("robots", "turn"), [(["cart"], MAX_TURN), (["spider"], MAX_TURN), (["cart", "hopper"], 0.008)]
)
def test_a_turn_is_no_longer_than_the_shortest_control_period(robots, turn):
    assert longest_turn(compose(WORLD, robots)) == turn
