# SPDX-License-Identifier: Apache-2.0
"""Calls stand in a journal once, in their order, and come back as they were."""

import json
import math
from array import array
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import Config
from ir_common.journal import Journal


class Engine:
    def __init__(self) -> None:
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.sum += value

    def add_twice(self, value: float) -> None:
        self.add(value)
        self.add(value)

    def fail(self) -> None:
        raise ValueError("no")


class Settings(Config):
    path: Path = Path("/a")
    limit: float = 2.0


def lines(text: str) -> list:
    return [json.loads(line) for line in text.splitlines()]


def test_outermost_calls_stand_in_their_order():
    engine, journal = Engine(), Journal("engine", {"start": 1})
    journal.watch(engine, "add", "add_twice", "fail", first=lambda: engine.sum)
    engine.add(1.0)
    engine.add_twice(value=2.0)
    with pytest.raises(ValueError, match="no"):
        engine.fail()
    engine.add(0.5)
    first, text = journal.take()
    assert first == 0 and engine.sum == 5.5
    assert lines(text) == [
        ["begin", {"start": 1}], ["add", 0.0, 1.0], ["add_twice", 1.0, 2.0], ["fail", 5.0], ["add", 5.0, 0.5]
    ]  # fmt: skip
    assert journal.take() == (5, "")


def test_calls_in_a_row_stand_in_one_line_where_that_is_asked_for():
    engine, journal = Engine(), Journal("engine", {})
    journal.watch(engine, "add", together=True)
    journal.watch(engine, "add_twice")
    engine.add(1.0)
    engine.add(value=2.0)
    engine.add_twice(3.0)
    engine.add(4.0)
    assert lines(journal.take()[1]) == [["begin", {}], ["add", [[1.0], [2.0]]], ["add_twice", 3.0], ["add", [[4.0]]]]
    engine.add(5.0)
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
