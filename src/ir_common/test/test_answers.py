# SPDX-License-Identifier: Apache-2.0
"""Answers are waited for no longer than the patience, and only from those who give them; a stand-in clock."""

from hypothesis import given
from hypothesis import strategies as st

from ir_common.answers import PROMPT, Answers


class Desk:
    """Answers with a clock that the test turns."""

    def __init__(self, patience=1.0):
        self.now, self.said = 0.0, []
        self.answers = Answers(patience, self.said.append, lambda: self.now)


def test_who_was_asked_is_waited_for_until_all_its_answers_came():
    desk = Desk()
    answers = desk.answers
    assert not answers.waiting()
    answers.ask("cart", 2)
    answers.ask("hopper", 0)
    desk.now = 0.25
    assert answers.waiting()
    answers.heard("cart")
    assert answers.waiting()
    answers.heard("cart")
    answers.heard("cart")  # one that nobody asked for
    assert not answers.waiting()


def test_silence_is_told_once_and_waited_for_again_only_after_prompt_answers():
    desk = Desk()
    answers = desk.answers
    answers.ask("cart")
    desk.now = 1.0
    assert not answers.waiting() and answers.silent == {"cart"} and desk.said == ["cart"]
    for _ in range(3 * PROMPT):  # speaks now and then: every third question is answered
        for answered in (True, False, False):
            answers.ask("cart")
            assert not answers.waiting()
            if answered:
                answers.heard("cart")
    assert answers.silent == {"cart"} and desk.said == ["cart"]
    for _ in range(PROMPT):
        answers.ask("cart")
        assert not answers.waiting()
        answers.heard("cart")
    answers.ask("cart")
    assert answers.waiting() and not answers.silent
    desk.now = 2.0
    assert not answers.waiting() and desk.said == ["cart", "cart"]


@given(st.lists(st.tuples(st.sampled_from(["ask", "heard", "dismiss"]), st.sampled_from("ab"), st.integers(0, 40))))
def test_nobody_waits_longer_than_the_patience(steps):
    desk, asked = Desk(patience=64), {}
    for call, who, passes in steps:
        getattr(desk.answers, call)(who)
        if call == "ask":
            asked[who] = desk.now
        desk.now += passes
        assert not desk.answers.waiting() or any(desk.now - since < 64 for since in asked.values())
    desk.now += 64
    assert not desk.answers.waiting()
