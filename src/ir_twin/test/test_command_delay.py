# SPDX-License-Identifier: Apache-2.0
"""A robot's commands are matched with what is in force on it, however late, and what is on its way is known."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_twin.command_delay import WINDOW, CommandDelay, Trial


def drive(delay: CommandDelay, late: list[int], episode: int = 1, seed: int = 0) -> list[np.ndarray]:
    """A control step for each of ``late``, which says how late the action in force at its end is; returns commands."""
    rng, sent = np.random.default_rng(seed), []
    for step, lateness in enumerate(late):
        in_force = sent[max(step - 1 - lateness, 0)] if step else np.empty(0)
        delay.arrived(episode, step, in_force)
        sent.append(rng.uniform(-1, 1, 3))
        delay.sent(step, sent[-1])
    return sent


@given(late=st.integers(0, 5))
@settings(max_examples=6)
def test_a_steady_delay_is_found_and_what_is_on_its_way_is_known(late: int) -> None:
    delay = CommandDelay()
    assert delay.steps == 0 and delay.on_their_way(0) == []
    sent = drive(delay, [late] * (WINDOW + 10))
    assert delay.steps == late
    newest = len(sent) - 1
    np.testing.assert_array_equal(
        np.reshape(delay.on_their_way(newest), (-1, 3)), np.reshape(sent[newest - late : newest], (-1, 3))
    )


@given(losses=st.lists(st.booleans(), min_size=3 * WINDOW, max_size=3 * WINDOW), late=st.integers(0, 3))
@settings(max_examples=20)
def test_lost_commands_make_a_delay_longer_for_themselves_only(losses: list[bool], late: int) -> None:
    lost = [one and step % 3 == 0 for step, one in enumerate(losses)]  # at most one in a row, and in three
    delay = CommandDelay()
    drive(delay, [late + one for one in lost])
    assert delay.steps == late


def test_it_follows_a_change_and_says_nothing_before_it_has_seen_enough() -> None:
    delay = CommandDelay()
    drive(delay, [2] * (WINDOW - 1))
    assert delay.steps == 0
    drive(delay, [2] * 10, episode=2, seed=1)
    assert delay.steps == 2
    drive(delay, [0] * WINDOW, episode=3, seed=2)
    assert delay.steps == 0


def test_an_action_that_was_sent_twice_says_nothing_about_delay() -> None:
    delay, same = CommandDelay(), np.zeros(2)
    for step in range(2 * WINDOW):
        delay.arrived(1, step, same if step else np.empty(0))
        delay.sent(step, same)
    drive(delay, [1] * (WINDOW - 1), episode=2)
    assert delay.steps == 0, "one more step of the second episode would be enough, were none of the first counted"
    drive(delay, [1] * 10, episode=3, seed=1)
    assert delay.steps == 1


def test_a_state_that_was_not_answered_leaves_the_command_before_it_in_force() -> None:
    delay = CommandDelay()
    drive(delay, [2] * (WINDOW + 10))
    delay.arrived(2, 0, np.empty(0))
    assert delay.on_their_way(0) is None, "what was sent in an earlier episode is forgotten"
    first, third = np.array([0.1, 0.2, 0.3]), np.array([0.4, 0.5, 0.6])
    delay.sent(0, first)
    delay.sent(2, third)
    assert [way.tolist() for way in delay.on_their_way(3) or []] == [first.tolist(), third.tolist()]
    assert [way.tolist() for way in delay.on_their_way(2) or []] == [first.tolist(), first.tolist()]


def foresee(trial: Trial, error: float, steps: int, episode: int = 1, lost: int = 0) -> None:
    """States that move by 1 a step, each foreseen one step before with an error; every ``lost``-th does not come."""
    for step in range(steps):
        if not lost or step % lost:
            trial.arrived(episode, step, np.array([step, 5.0]), np.array([1.0, 1e-3]))
        trial.foresee(step + 1, np.array([step + 1 + error, 5.0]), np.array([step, 5.0]))


def test_what_is_foreseen_is_relied_on_once_it_was_nearer_than_what_was_known() -> None:
    trial = Trial()
    foresee(trial, 0.9, WINDOW // 2)
    assert not trial.passes, "too few"
    foresee(trial, 0.9, 2, episode=2)
    assert trial.passes
    foresee(trial, 1.5, WINDOW, episode=3)
    assert not trial.passes, "worse than the states before"
    foresee(trial, 0.0, WINDOW, episode=4, lost=7)
    assert trial.passes, "what did not come is not counted"


def test_nothing_is_compared_over_the_start_of_an_episode() -> None:
    trial = Trial()
    for episode in range(3 * WINDOW):
        trial.arrived(episode, 5, np.zeros(1), np.ones(1))
        trial.foresee(5, np.zeros(1), np.ones(1))
    assert not trial.passes
