# SPDX-License-Identifier: Apache-2.0
"""Robots come back however a simulator that answers when it accepts treats the requests."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ir_sim.respawns import TOLD_AT, Respawns

STEP = 2_000_000
SILENCE = 100_000_000


class World:
    """Iterations of 2 ms in which what was accepted is carried out; some requests are lost, some late."""

    def __init__(self, loss: float = 0.0, seed: int = 0, delay: int = 0) -> None:
        self.iterations = 0
        self.present, self.whole = True, False  # it lies, and its joints are bent; or it has no plug-ins
        self.replaced = False
        self.accepted: list[tuple[int, str]] = []
        self.requests: list[str] = []
        self.told: list[tuple[str, int]] = []
        self._loss, self._random, self._delay = loss, random.Random(seed), delay
        self.respawns = Respawns(
            {"hopper": SILENCE}, lambda name: self._accept("remove"), lambda name: self._accept("create"),
            lambda name, tries: self.told.append((name, tries)), lambda: self.iterations * 0.002,
        )  # fmt: skip

    def _accept(self, what: str) -> None:
        self.requests.append(what)
        if self._random.random() >= self._loss:
            self.accepted.append((self.iterations + self._random.randint(0, self._delay), what))

    @property
    def now(self) -> int:
        return self.iterations * STEP

    def iterate(self) -> None:
        self.iterations += 1
        due = [one for one in self.accepted if one[0] <= self.iterations]
        self.accepted = [one for one in self.accepted if one not in due]
        leaving = False
        for _, what in due:
            if what == "remove":
                leaving = True
            elif not self.present:  # else it is there, and stays as it is
                self.present = self.whole = self.replaced = True
        if leaving:
            self.present = self.whole = False
        if self.present and self.iterations % 25 == 0:
            self.respawns.saw("hopper", self.now)
        self.respawns.progress(self.now)

    def begin_anew(self) -> None:
        self.iterations, self.present, self.whole = 0, True, not self.replaced
        self.respawns.begin_anew()

    def back(self, seconds: float) -> bool:
        """Whether it is, within so many simulated seconds."""
        end = self.iterations + round(seconds / 0.002)
        while (self.respawns.open or not self.whole) and self.iterations < end:
            self.iterate()
        return not self.respawns.open and self.whole


def test_a_robot_on_a_rail_is_put_back_a_hundred_times() -> None:
    world = World()
    for count in range(1, 101):
        world.whole = False
        ready: list[bool] = []
        world.respawns.ask("hopper", world.now, lambda ready=ready: ready.append(world.present))
        assert world.back(0.5) and world.whole
        assert ready == [False], "told before it is there: its controller is not late"
        assert world.requests == ["remove", "create"] * count
    assert not world.told


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.6]), st.sampled_from([0, 3, 40]))
def test_lost_and_late_requests_are_made_again(seed: int, loss: float, delay: int) -> None:
    world, ready = World(loss, seed, delay), []
    for _ in range(2):  # asked twice, it is one way back
        world.respawns.ask("hopper", world.now, lambda: ready.append(True))
    assert world.back(200.0) and world.whole and ready == [True, True]


def test_a_robot_that_speaks_is_still_there_and_not_created() -> None:
    world = World(loss=1.0)
    world.respawns.ask("hopper", world.now, lambda: None)
    assert not world.back(20.0)
    assert set(world.requests) == {"remove"} and len(world.requests) > TOLD_AT
    assert world.told == [("hopper", TOLD_AT)]


def test_readings_on_their_way_since_before_say_nothing_of_the_new_life() -> None:
    world = World()
    world.respawns.ask("hopper", 0, lambda: None)
    for now in (STEP, SILENCE + STEP):
        world.respawns.progress(now)
    world.respawns.saw("hopper", 3 * STEP)
    assert world.respawns.open == {"hopper"} and world.requests == ["remove", "create"]
    world.respawns.saw("hopper", SILENCE + 2 * STEP)
    assert not world.respawns.open


def test_one_that_is_being_created_needs_no_second_way_back() -> None:
    world, ready = World(), []
    world.respawns.ask("hopper", 0, lambda: None)
    for now in (STEP, SILENCE + STEP):
        world.respawns.progress(now)
    world.respawns.ask("hopper", SILENCE + STEP, lambda: ready.append(True))
    assert ready and world.requests == ["remove", "create"]


def test_a_robot_is_whole_after_a_reset_of_the_world() -> None:
    """Whether it was put in before, and so comes back without its plug-ins, or not."""
    world, ready = World(), []
    world.respawns.ask("hopper", world.now, lambda: ready.append(True))
    world.begin_anew()  # before time went on: nothing was asked of the world
    assert ready == [True] and not world.requests and world.back(1.0)
    for _ in range(3):
        world.whole = False
        world.respawns.ask("hopper", world.now, lambda: None)
        assert world.back(1.0)
        world.begin_anew()
        assert not world.whole and world.back(1.0)


def test_a_removal_that_is_carried_out_after_a_reset_of_the_world_is_made_good() -> None:
    world = World(delay=30, seed=2)
    world.respawns.ask("hopper", 0, lambda: None)
    world.iterate()
    world.iterate()
    assert world.requests == ["remove"] and world.accepted
    world.accepted = [(20, what) for _, what in world.accepted]
    world.begin_anew()
    assert world.back(5.0)


def test_while_time_stands_still_nothing_is_asked_again() -> None:
    clock = [0.0]
    requests: list[str] = []
    respawns = Respawns({"hopper": SILENCE}, requests.append, requests.append, lambda *_: None, lambda: clock[0])
    respawns.ask("hopper", 5 * STEP, lambda: None)
    for clock[0] in range(100):
        respawns.progress(5 * STEP)
    assert not requests
    respawns.progress(6 * STEP)
    for clock[0] in range(100, 200):
        respawns.progress(6 * STEP)
    assert requests == ["hopper"]
