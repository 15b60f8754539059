# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_lab.model_time.agenda import NEVER, Agenda
from ir_lab.model_time.bus import Bus


@given(st.lists(st.integers(0, 50), max_size=40))
def test_calls_come_by_time_then_by_order(times):
    agenda, made = Agenda(), []
    for number, time in enumerate(times):
        agenda.at(time, made.append, (time, number))
    while agenda.next != NEVER:
        before = agenda.now
        agenda.run_next()
        assert agenda.now >= before
    assert made == sorted(made)
    assert len(made) == len(times)


def test_what_follows_at_once_comes_before_what_was_planned_for_the_instant():
    agenda, made = Agenda(), []

    def first():
        made.append("first")
        agenda.soon(made.append, "at once")
        agenda.at(agenda.now, made.append, "later at this instant")

    agenda.at(5, first)
    agenda.at(5, made.append, "second")
    agenda.run_next()
    assert made == ["first", "at once", "second", "later at this instant"]
    assert agenda.now == 5


def test_the_past_is_refused():
    agenda = Agenda()
    agenda.pass_to(10)
    with pytest.raises(ValueError, match="past"):
        agenda.at(9, print)
    agenda.at(20, print)
    for time in (9, 21):
        with pytest.raises(ValueError, match=f"{time} ns: it is 10 ns, and something is due at 20 ns"):
            agenda.pass_to(time)


def test_every_begins_a_period_from_now():
    agenda, times = Agenda(), []
    agenda.every(7, lambda: times.append(agenda.now))
    while agenda.next <= 30:
        agenda.run_next()
    assert times == [7, 14, 21, 28]


class Word:
    def __init__(self, text):
        self.text = text

    def message(self):
        return self.text

    def size(self):
        return len(self.text)


def test_a_part_is_never_entered_while_it_works():
    agenda = Agenda()
    bus, heard = Bus(agenda), []

    def echo(sample):
        heard.append(f"begin {sample.text}")
        if len(sample.text) < 3:
            bus.publish("/a", Word(sample.text + "!"))
        heard.append(f"end {sample.text}")

    bus.listen("/a", echo)
    bus.publish("/a", Word("x"))
    agenda.run_next()
    assert heard == ["begin x", "end x", "begin x!", "end x!", "begin x!!", "end x!!"]


def test_listeners_come_and_go_and_a_tap_hears_all():
    agenda = Agenda()
    bus, heard, tapped = Bus(agenda), [], []

    def listener(sample):
        heard.append(sample.text)

    bus.tap(lambda topic, sample, now: tapped.append((topic, sample.text, now)))
    bus.listen("/a", listener)
    bus.publish("/a", Word("one"))
    bus.publish("/b", Word("nobody hears it"))
    agenda.run_next()
    bus.leave("/a", listener)
    bus.publish("/a", Word("two"))
    assert heard == ["one"]
    assert [text for _, text, _ in tapped] == ["one", "nobody hears it", "two"]
