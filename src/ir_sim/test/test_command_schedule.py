# SPDX-License-Identifier: Apache-2.0
"""Commands are obeyed at the physics step that follows their last bit, and how late they were is counted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_sim.command_schedule import CommandSchedule, ScheduledCommand

MS = 1_000_000


def command(effect, due=None, robot="cart", numbers=(0.5, 0.0)):
    return ScheduledCommand(robot, "message", list(numbers), effect, effect if due is None else due)


def test_a_command_waits_for_the_first_step_at_or_after_its_instant():
    schedule = CommandSchedule(2 * MS)
    assert schedule.next_step is None
    later, sooner, even = command(7 * MS), command(3 * MS), command(4 * MS)
    for one in (later, sooner, even):
        schedule.add(one)
    assert schedule.next_step == 2 and schedule.take(1) == []
    assert schedule.take(2) == [sooner, even]
    assert schedule.next_step == 4 and schedule.take(4) == [later]
    assert schedule.lateness.commands == 3 and schedule.lateness.quantile(1.0) == 0.0


def test_lateness_is_by_the_instant_of_the_model_and_not_counted_where_that_is_not_known():
    schedule = CommandSchedule(2 * MS)
    assert math.isnan(schedule.lateness.quantile(0.5))
    for effect, due in ((20 * MS, 20 * MS), (20 * MS, 13 * MS), (20 * MS, 0)):
        schedule.add(command(effect, due))
    schedule.take(10)
    assert schedule.lateness.commands == 2
    assert schedule.lateness.quantile(0.5) == 0.0 and schedule.lateness.quantile(1.0) == pytest.approx(6e-3)


def test_copies_are_told_from_what_others_send():
    schedule = CommandSchedule(2 * MS)
    first, second = command(MS, numbers=[0.1]), command(2 * MS, numbers=[0.2])
    schedule.add(first)
    schedule.add(second)
    assert schedule.copy_of("cart", [0.9]) is None and schedule.copy_of("hopper", [0.1]) is None
    assert schedule.copy_of("cart", [0.2]) is second  # the copy of the first was lost
    assert schedule.copy_of("cart", [0.1]) is None
    schedule.expect_copy(first)
    schedule.clear()
    assert schedule.next_step is None and schedule.copy_of("cart", [0.1]) is None


@given(st.lists(st.integers(0, 50 * MS), max_size=30), st.lists(st.integers(1, 5), min_size=30, max_size=30))
def test_each_command_is_obeyed_once_never_early_and_late_only_by_the_strides(effects, strides):
    schedule, steps, taken = CommandSchedule(2 * MS), 0, []
    for effect in effects:
        schedule.add(command(effect))
    for stride in strides:
        for one in schedule.take(steps):
            assert one.effect <= steps * 2 * MS and one.effect > (steps - 5) * 2 * MS - 2 * MS
            taken.append(one.effect)
        steps += stride
    taken += [one.effect for one in schedule.take(steps + 100)]
    assert taken == sorted(effects)
