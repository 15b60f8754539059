# SPDX-License-Identifier: Apache-2.0
"""A cell in step with a simulation: states at their stamps, answers at the very instant of delivery, nobody ahead."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.answers import Answers
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import NEVER
from ir_radio.engine.relay_engine import RelayEngine
from ir_radio.engine.stepped_relay import Horizon, Instant, SteppedRelay
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import FlowSpec, SliceSpec

MS = 1_000_000
CONTROL = SliceSpec(
    name="control", type="urllc", rate=1e6, max_latency=0.05, reliability=0.999,
    flows=(FlowSpec(topic="state", direction="uplink"), FlowSpec(topic="cmd_vel", direction="downlink")),
)  # fmt: skip


class Desk:
    """A stepped relay with stand-ins for everybody else; the test turns the wall clock."""

    def __init__(self, robots=("cart",), blocks=10.0, slice_=CONTROL):
        self.now = 0.0
        self.engine = RelayEngine(Carrier(), list(robots), {})
        self.engine.set_slices({"control": slice_})
        self.engine.set_allocation(["control"], [blocks], 1)
        self.engine.set_poses(dict.fromkeys(robots, (1.0, 0.0, 2.0)))
        self.flows = {key[1:3]: self.engine.open_flow(key) for key in list(self.engine.openable())}
        self.names = {flow: name for name, flow in self.flows.items()}
        self.held, self.offered, self.crossed, self.silenced = {}, [], [], []
        self.edge = Answers(1.0, self.silenced.append, lambda: self.now)
        self.onboard = Answers(1.0, self.silenced.append, lambda: self.now)
        self.prepared = []
        self.relay = SteppedRelay(
            self.engine, self.let_in, self.finish, lambda: bool(self.held), self.edge, self.onboard,
            self.prepared.append,
        )  # fmt: skip

    def let_in(self, message, time):
        robot, topic, size = message
        number, fate = self.engine.offer(self.flows[robot, topic], size, time)
        self.offered.append((robot, topic, time))
        if fate == Fate.ACCEPTED:
            self.held[number] = robot, topic

    def finish(self, event):
        robot, topic = self.held.pop(event.id)
        self.crossed.append((robot, topic, event.time, event.fate))
        if topic == "state" and event.fate == Fate.DELIVERED:
            self.relay.delivered(robot)

    def step(self, now, after, due=("cart",), states=("cart",), size=500):
        """A stop of the simulation: readings, states that follow from them, and the notes about both."""
        for robot in states:
            self.relay.from_robot((robot, "state", size), now)
        self.relay.instant(Instant(now, after, tuple(due)))
        for robot in due:
            self.relay.done(robot, now)
        return self.relay.progress()


def test_a_state_is_let_in_at_its_stamp_and_its_answer_when_it_arrived():
    desk = Desk()
    assert desk.step(0, 8 * MS) == []  # the edge has yet to answer
    (state,) = desk.crossed
    assert desk.engine.cell.now == state[2]
    desk.now = 0.9  # however long that takes by the wall
    assert desk.relay.progress() == [] and desk.engine.cell.now == state[2]
    desk.relay.from_edge(("cart", "cmd_vel", 50), "cart")
    assert desk.relay.progress() == [Horizon(0, NEVER)]
    assert desk.offered == [("cart", "state", 0), ("cart", "cmd_vel", state[2])]
    assert desk.crossed[1][2] < 8 * MS and desk.engine.cell.now == 8 * MS - 1
    assert not desk.silenced


def test_the_cell_stands_at_an_instant_until_the_on_board_part_is_done_with_it():
    desk = Desk()
    desk.relay.instant(Instant(0, 8 * MS, ("cart",)))
    desk.relay.done("cart", 0)
    assert desk.relay.progress() == [Horizon(0, NEVER)]
    desk.relay.instant(Instant(8 * MS, 16 * MS, ("cart",)))
    assert desk.relay.progress() == [] and desk.engine.cell.now == 8 * MS and desk.relay.waits
    desk.relay.from_robot(("cart", "state", 500), 8 * MS)
    desk.relay.done("cart", 8 * MS)
    assert desk.relay.progress() == []
    assert desk.offered == [("cart", "state", 8 * MS)] and desk.crossed[0][2] > 8 * MS
    assert desk.prepared == [0, 8 * MS]


def test_what_is_long_on_its_way_holds_nobody_up():
    """At 0.05 blocks a state takes about 60 ms: meanwhile the simulation is let on from reading to reading."""
    patient = CONTROL.model_copy(update={"type": "embb"})  # a URLLC message that cannot make its bound expires at once
    desk = Desk(blocks=0.05, slice_=patient)
    assert desk.step(0, 8 * MS) == [Horizon(0, 8 * MS)]
    now = 8 * MS
    while not desk.crossed:
        passed = desk.step(now, now + 8 * MS, states=())
        assert desk.crossed or passed == [Horizon(now, now + 8 * MS)]
        now += 8 * MS
    assert 40 * MS < now < 200 * MS and desk.crossed[0][3] == Fate.DELIVERED


def test_who_does_not_answer_is_given_up_after_the_patience_and_told_once():
    desk = Desk(("cart", "hopper"))
    desk.step(0, 8 * MS, due=("cart", "hopper"), states=("cart", "hopper"))
    passed = []
    while not passed:
        if desk.crossed[-1][0] == "cart":
            desk.relay.from_edge(("cart", "cmd_vel", 50), "cart")
        else:
            assert desk.relay.progress() == []
            desk.now = 1.0
        passed = desk.relay.progress()
    assert passed == [Horizon(0, NEVER)] and desk.silenced == ["hopper"]
    desk.step(8 * MS, 16 * MS, due=("cart", "hopper"), states=("hopper",))
    assert desk.crossed[-1][:2] == ("hopper", "state") and desk.silenced == ["hopper"] == [*desk.relay.silent]
    desk.relay.instant(Instant(16 * MS, 24 * MS, ("cart",)))
    assert desk.relay.progress() == []  # the on-board part says nothing
    desk.now = 2.0
    assert desk.relay.progress() == [Horizon(16 * MS, NEVER)] and desk.silenced == ["hopper", "cart"]


def test_two_states_of_one_instant_are_answered_one_after_the_other():
    desk = Desk()
    assert desk.step(0, 8 * MS, states=("cart", "cart"), size=100) == []
    assert len(desk.crossed) == 1
    desk.relay.from_edge(("cart", "cmd_vel", 50), "cart")
    assert desk.relay.progress() == [] and [row[1] for row in desk.crossed][:2] == ["state", "state"]
    desk.relay.from_edge(("cart", "cmd_vel", 50), "cart")
    assert desk.relay.progress() == [Horizon(0, NEVER)]


def test_a_simulation_that_begins_anew_finds_nothing_on_its_way():
    desk = Desk()
    desk.step(0, 8 * MS, states=())
    desk.step(8 * MS, 16 * MS)
    assert desk.relay.waits
    desk.relay.from_edge(("cart", "cmd_vel", 50_000), "cart")
    desk.relay.progress()
    assert desk.held
    assert desk.step(0, 8 * MS, states=()) == [Horizon(0, NEVER)]
    assert not desk.held and desk.crossed[-1][3] == Fate.TIME_JUMP
    assert desk.step(0, 8 * MS, states=()) == [Horizon(0, NEVER)], "said again, answered again"


def test_a_stamp_of_another_clock_is_no_stamp():
    desk = Desk()
    desk.step(0, 8 * MS, states=())
    desk.relay.from_robot(("cart", "state", 100), 1_700_000_000 * 1000 * MS)
    desk.step(8 * MS, 16 * MS, states=())
    assert desk.offered == [("cart", "state", 8 * MS - 1)]


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0, 0.9), min_size=40, max_size=40), st.floats(0.3, 40.0))
def test_delays_do_not_depend_on_how_long_anybody_takes(pauses, blocks):
    """The same run with an edge that answers at once and with one that takes its time: equal to the nanosecond."""

    def crossings(waits):
        desk = Desk(("cart", "hopper"), blocks)
        for number in range(20):
            due = ("cart", "hopper") if number % 5 == 0 else ("hopper",)
            passed = desk.step(number * 8 * MS, (number + 1) * 8 * MS, due, due)
            while not passed:
                desk.now += waits[number]
                desk.relay.from_edge((desk.crossed[-1][0], "cmd_vel", 60), desk.crossed[-1][0])
                passed = desk.relay.progress()
        assert not desk.silenced
        return desk.offered, desk.crossed

    assert crossings([0.0] * 40) == crossings(pauses)


@pytest.mark.parametrize("due", [(), ("cart",)])
def test_without_anything_on_its_way_the_simulation_may_go_to_its_next_control_step(due):
    assert Desk().step(0, 8 * MS, due, ()) == [Horizon(0, NEVER)]
