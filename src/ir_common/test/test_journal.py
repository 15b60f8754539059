# SPDX-License-Identifier: Apache-2.0
"""Calls stand in a journal once, in their order, and come back as they were."""

import json
import math
from array import array
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import Config
from ir_common.journal import GOES_ON, Journal, Journaled, pieces


class Engine:
    def __init__(self) -> None:
        self.sum = 0.0

    def apply(self, call: str, *arguments: float) -> float:
        return getattr(self, call)(*arguments)

    def add(self, value: float) -> float:
        self.sum += value
        return self.sum

    def add_twice(self, value: float) -> float:
        self.add(value)
        return self.add(value)

    def fail(self) -> None:
        raise ValueError("no")


class Settings(Config):
    path: Path = Path("/a")
    limit: float = 2.0


def lines(text: str) -> list:
    return [json.loads(line) for line in text.splitlines()]


def test_calls_are_made_and_stand_in_their_order():
    engine = Engine()
    journaled = Journaled(engine, Journal("engine", {"start": 1}), first=lambda: engine.sum)
    journaled.apply("add", 1.0)
    assert journaled.apply("add_twice", 2.0) == 5.0
    with pytest.raises(ValueError, match="no"):
        journaled.apply("fail")
    engine.add(0.5)  # past the journal: nothing of it is there
    first, text = journaled.journal.take()
    assert first == 0 and engine.sum == 5.5
    assert lines(text) == [["begin", {"start": 1}], ["add", 0.0, 1.0], ["add_twice", 1.0, 2.0], ["fail", 5.0]]
    assert journaled.journal.take() == (4, "")


def test_calls_in_a_row_stand_in_one_line_where_that_is_asked_for():
    journaled = Journaled(Engine(), Journal("engine", {}, together=("add",)))
    for call, value in (("add", 1.0), ("add", 2.0), ("add_twice", 3.0), ("add", 4.0)):
        journaled.apply(call, value)
    journal = journaled.journal
    assert lines(journal.take()[1]) == [["begin", {}], ["add", [[1.0], [2.0]]], ["add_twice", 3.0], ["add", [[4.0]]]]
    journaled.apply("add", 5.0)
    assert [(first, lines(text)) for first, text in [journal.take()]] == [(4, [["add", [[5.0]]]])]


def test_numbers_come_back_to_the_last_bit():
    values = np.random.default_rng(1).normal(size=50)
    journal = Journal("engine", {})
    journal.add("call", values, array("d", values), float("nan"), np.float32(0.1), Settings(), {"a": np.int64(3)})
    [_, [_, one, two, nothing, single, settings, mapping]] = lines(journal.take()[1])
    assert one == values.tolist() == two and math.isnan(nothing) and single == float(np.float32(0.1))
    assert settings == {"path": "/a", "limit": 2.0} and mapping == {"a": 3}


def test_what_cannot_be_written_is_refused():
    journal = Journal("engine", {})
    journal.add("call", object())
    with pytest.raises(TypeError, match="object does not go into a journal"):
        journal.take()


def test_long_text_goes_out_in_pieces_that_say_so():
    journal = Journal("engine", {"network": "x" * 50, "name": "größer…"})
    text = journal.take()[1]
    assert text.isascii(), "so the mark is never part of it"
    cut = pieces(text, 20)
    assert all(len(piece) <= 21 for piece in cut) and [piece[-1] == GOES_ON for piece in cut] == [True] * (
        len(cut) - 1
    ) + [False]
    assert "".join(piece.removesuffix(GOES_ON) for piece in cut) == text
    assert pieces(text, len(text)) == [text] and pieces("", 20) == []
