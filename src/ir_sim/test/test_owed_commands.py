# SPDX-License-Identifier: Apache-2.0
"""Notes of on-board parts and the commands that they tell of meet, in whichever order they come."""

from hypothesis import given
from hypothesis import strategies as st

from ir_sim.owed_commands import OwedCommands


def make():
    said = []
    return OwedCommands(1e6, lambda robot, why: said.append((robot, why))), said


@given(st.lists(st.integers(0, 2), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_whatever_comes_first_a_wait_ends_with_the_last_and_not_before(notes, chance):
    owed, said = make()
    events = [("note", count) for count in notes] + [("command", 0)] * sum(notes)
    chance.shuffle(events)
    for _ in notes:
        owed.ask("cart")
    counted = 0
    for kind, count in events:
        assert owed.waiting()
        counted += owed.noted("cart", count) if kind == "note" else owed.came("cart")
    assert not owed.waiting() and counted == sum(notes) and not said


def test_a_command_that_nobody_asked_for_is_no_answer_to_the_next_question():
    owed, _ = make()
    assert owed.came("cart") and not owed.waiting()
    owed.ask("cart")
    owed.noted("cart", 1)
    assert owed.waiting()
    assert owed.came("cart") and not owed.waiting()


def test_what_came_before_the_beginning_counts_only_where_a_note_is_owed_yet():
    owed, _ = make()
    owed.foresee("cart")
    assert not owed.came("cart")
    owed.ask("cart", beginning=True)
    assert owed.noted("cart", 1) == 0 and owed.waiting(), "the early one was of something else"
    owed, _ = make()
    owed.ask("cart")
    assert not owed.came("cart")
    owed.ask("cart", beginning=True)
    assert owed.noted("cart", 1) == 0 and owed.noted("cart", 0) == 1 and not owed.waiting()


def test_who_is_silent_is_told_once_and_not_waited_for():
    said = []
    owed = OwedCommands(0.0, lambda robot, why: said.append(f"{robot}: {why}"))
    owed.ask("cart")
    assert not owed.waiting() and owed.silent == {"cart"} and owed.expects("cart")
    assert said == ["cart: its on-board part does not go on"]
    owed, said[:] = OwedCommands(0.0, lambda robot, why: said.append(f"{robot}: {why}")), []
    owed.ask("cart")
    owed.noted("cart", 1)
    assert not owed.waiting() and said == ["cart: nobody answers its states"]
    owed.dismiss()
    assert not owed.expects("spider")
