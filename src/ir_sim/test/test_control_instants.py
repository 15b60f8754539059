# SPDX-License-Identifier: Apache-2.0
"""The next control step is foreseen whatever the phase and rate of the sensor that triggers it."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from ir_sim.control_instants import LONGEST, ControlInstants

MS = 1_000_000


def readings(period: int, interval: int, phase: int, count: int) -> list[tuple[int, bool]]:
    """(stamp, made a control step) of the readings of a sensor, by the on-board part's rule."""
    due, found = 0, []
    for stamp in range(phase, phase + count * interval, interval):
        stepped = stamp >= due
        if stepped:
            due = (stamp // period + 1) * period
        found.append((stamp, stepped))
    return found


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 100))
def test_each_control_step_is_expected_once_two_readings_are_known(period: int, interval: int, phase: int) -> None:
    assume(interval <= 4 * period)
    instants = ControlInstants({"hopper": period * 2 * MS})
    seen = readings(period * 2 * MS, interval * 2 * MS, phase * 2 * MS, 60)
    steps = [stamp for stamp, stepped in seen if stepped]
    for index, (stamp, stepped) in enumerate(seen):
        instants.read("hopper", stamp, stepped)
        later = [step for step in steps if step > stamp]
        if index >= 1 and later:
            assert instants.expected("hopper") == later[0]
            assert instants.due(later[0]) == ["hopper"] and instants.due(later[0] - 1) == []
            assert instants.next_stop(stamp) == min(later[0], stamp + min(LONGEST, period * 2 * MS))


def test_a_robot_that_was_expected_in_vain_is_learnt_anew() -> None:
    instants = ControlInstants({"hopper": 8 * MS, "cart": 100 * MS})
    for stamp in (2 * MS, 10 * MS):
        instants.read("hopper", stamp, True)
    assert instants.expected("cart") is None and instants.next_stop(10 * MS) == 18 * MS
    instants.forget("hopper")
    assert instants.due(18 * MS) == [] and instants.next_stop(18 * MS) == 26 * MS
    instants.read("hopper", 30 * MS, True)
    assert instants.expected("hopper") is None
    instants.read("hopper", 38 * MS, True)
    assert instants.expected("hopper") == 46 * MS and instants.read_at(38 * MS) == ["hopper"]


def test_repeated_readings_and_time_set_back_mislead_nobody() -> None:
    instants = ControlInstants({"hopper": 8 * MS})
    for stamp, stepped in ((8 * MS, True), (16 * MS, True), (16 * MS, False), (16 * MS, False)):
        instants.read("hopper", stamp, stepped)
    assert instants.expected("hopper") == 24 * MS
    instants.read("hopper", 8 * MS, True)
    assert instants.expected("hopper") is None
    instants.read("stranger", 8 * MS, True)
    assert instants.due(100 * MS) == []
