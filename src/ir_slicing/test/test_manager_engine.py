# SPDX-License-Identifier: Apache-2.0
"""The manager's engine without ROS: what goes out after reports, requests, rounds and changes of slices."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError
from ir_radio.books.cell_report import FlowCounters, FlowRow, LinkRow, Report, SliceRow
from ir_radio.books.histogram import Delay
from ir_slicing.allocation.pooled_need import pooled_need, quantile_factor
from ir_slicing.learning.agent_weights import TRAINED, load
from ir_slicing.learning.federation.compression import encode_plain
from ir_slicing.learning.federation.messages import Global, Update
from ir_slicing.learning.federation.update_keys import load_keys, make_master
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.manager_engine import ManagerEngine

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000
SLICES = ("video", "spider", "cart", "control")


def make(**parameters):
    return ManagerEngine(ManagerConfig(slices_file=CONFIG, demand_time_constant=0.01, **parameters), SECOND)


def report(now, **offered):
    rows = tuple(
        SliceRow(
            name,
            "embb",
            50.0,
            1e6,
            offered.get(name, 0.0),
            offered.get(name, 0.0),
            0.5,
            FlowCounters(),
            Delay(),
            Delay(),
        )
        for name in SLICES
    )
    links = tuple(LinkRow(robot, 5.0, 20.0, 1e6) for robot in ("cart", "spider", "hopper"))
    return Report(now, 0.2, rows, (), links)


def spec(engine, name, rate):
    return engine.manager.registry.templates["cart"].model_copy(update={"name": name, "rate": rate, "flows": ()})


def test_the_first_decision_has_slices_allocation_and_the_beginning_of_the_trail():
    decision = make().start()
    assert [one.entry.spec.name for one in decision.slices] == list(SLICES)
    assert [one.resource_blocks for one in decision.slices] == list(decision.allocation.blocks.values())
    assert [(e.sequence, e.action, e.slice) for e in decision.events] == [
        (k + 1, "create", name) for k, name in enumerate(SLICES)
    ]
    assert decision.save and decision.federation is None and decision.model is None


def test_nothing_is_decided_on_until_something_is_heard():
    engine = make()
    engine.start()
    assert engine.tick(2 * SECOND) is None
    engine.report(report(2 * SECOND, video=150e6))
    decision = engine.tick(3 * SECOND)
    assert decision.allocation.blocks["video"] > 170 and decision.slices is not None and not decision.save
    assert engine.tick(4 * SECOND) is None


def test_a_request_for_a_slice_answers_with_what_it_has_and_one_refused_changes_nothing():
    engine = make()
    engine.start()
    answer = engine.create(2 * SECOND, "anna", "", "extra", lambda: spec(engine, "extra", 2e6))
    assert answer.success and answer.message.startswith("slice 'extra' created: ")
    assert answer.slice.resource_blocks == answer.decision.allocation.blocks["extra"] > 0
    assert [e.action for e in answer.decision.events] == ["create", "activate"] and answer.decision.save
    refused = engine.modify(3 * SECOND, "anna", "extra", lambda: spec(engine, "extra", 9e9))
    assert not refused.success and "can never fit" in refused.message
    assert refused.slice.entry.spec.rate == 2e6, "as it is now"
    assert refused.decision.slices is None and [e.accepted for e in refused.decision.events] == [False]
    gone = engine.set_active(4 * SECOND, "", "extra", False)
    assert gone.success and "extra" not in gone.decision.allocation.blocks and gone.slice.resource_blocks == 0.0
    assert engine.delete(5 * SECOND, "", "extra").success
    assert not engine.delete(6 * SECOND, "", "extra").success


def test_a_request_that_cannot_be_read_is_on_record_but_not_in_the_journal():
    engine = make()
    engine.journal.take()

    def unreadable():
        raise ConfigError("slice 'bad': rate: must be positive")

    answers = [
        engine.create(2 * SECOND, "ben", "", "bad", unreadable),
        engine.create(2 * SECOND, "ben", "vidio", "bad", unreadable),
        engine.set_template(2 * SECOND, "ben", "bad", unreadable),
    ]
    assert not any(answer.success for answer in answers) and "unknown slice template 'vidio'" in answers[1].message
    assert [answer.decision.events[-1].action for answer in answers] == ["create", "create", "set_template"]
    assert engine.journal.take()[1] == ""


def test_templates_are_set_used_and_deleted():
    engine = make()
    engine.start()
    answer = engine.set_template(2 * SECOND, "", "tiny", lambda: spec(engine, "tiny", 1e5))
    assert answer.success and answer.message == "template 'tiny' set" and answer.decision.save
    assert [template.name for template in engine.templates()][-1] == "tiny"
    assert engine.create(3 * SECOND, "", "tiny", "", lambda: pytest.fail("it has a template")).success
    assert engine.delete_template(4 * SECOND, "", "tiny").success
    assert [one.entry.spec.name for one in engine.slices()] == [*SLICES, "tiny"]


def test_agents_decide_while_they_ask_and_a_refused_request_says_why():
    engine = make(policy="learned")
    engine.start()
    assert engine.request(2 * SECOND, 2.0, "cart", 40.0) == ""
    assert engine.tick(2 * SECOND).allocation.policies["cart"] == "learned"
    assert "is more than the carrier has (1 so far)" in engine.request(2 * SECOND, 2.1, "cart", 1e6)
    assert "is no positive number (1 so far)" in engine.request(2 * SECOND, 2.1, "cart", math.nan)
    assert "(2 so far)" in engine.request(2 * SECOND, 2.1, "cart", 1e6)
    decision = engine.tick(4 * SECOND)
    assert decision.allocation.policies["cart"] == "proportional", "silent for longer than request_timeout"
    told = [(e.action, e.accepted) for e in decision.events]
    assert told == [("request", False), ("request", False), ("fallback", True)], "of refusals alike only the first"


def update(engine, name):
    values = np.full(len(load(TRAINED).values), 1e-3, np.float32)
    message = Update(engine.federation.state.round, name, 5, engine.federation.state.architecture, encode_plain(values))
    return message.to_bytes()


def test_a_round_is_called_for_closed_and_its_model_goes_out():
    engine = make(policy="learned", federation_period=10.0, federation_timeout=2.0)
    engine.start()
    assert engine.tick(2 * SECOND).federation is None, "nothing is due"
    begun = engine.tick(12 * SECOND)
    assert begun.federation.collecting and begun.model is None and not begun.save
    for name in SLICES[:2]:
        assert engine.federation.receive(update(engine, name)) == ""
    assert "duplicate (1 so far)" in engine.federation.receive(update(engine, "video"))
    assert engine.tick(13 * SECOND).federation is None, "the others have a second left"
    closed = engine.tick(14 * SECOND)
    assert closed.federation.participants == ("spider", "video") and closed.federation.silent == ("cart", "control")
    assert Global.from_bytes(closed.model).round == closed.federation.round == 1 and closed.save
    assert closed.federation.bytes_up > 0 and closed.federation.bytes_down == len(closed.model)
    whole = engine.federation.whole()
    assert engine.federation.state.bytes_down == len(closed.model) + len(whole)
    assert Global.from_bytes(whole).basis == 1


def test_a_round_is_closed_early_when_all_have_answered_and_begins_anew_when_the_clock_is_set_back():
    engine = make(policy="learned", federation_period=10.0, federation_timeout=2.0)
    engine.start()
    engine.tick(2 * SECOND)
    engine.tick(12 * SECOND)
    for name in SLICES:
        engine.federation.receive(update(engine, name))
    assert engine.tick(12 * SECOND + 1).model is not None
    engine.tick(23 * SECOND)
    assert engine.federation.state.collecting
    back = engine.tick(3 * SECOND)
    assert back.federation.collecting, "the round on the old clock is forgotten, the next one is due"


def test_the_journal_has_every_call_in_order():
    engine = make()
    engine.report(report(2 * SECOND, video=1e6))
    engine.tick(2 * SECOND)
    engine.create(2 * SECOND, "", "", "extra", lambda: spec(engine, "extra", 2e6))
    engine.configure(engine.manager.config.model_copy(update={"hysteresis": 0.5}))
    calls = [json.loads(line)[0] for line in engine.journal.take()[1].splitlines()]
    assert calls == ["begin", "report", "tick", "allocate", "create", "allocate", "configure"]


def test_state_is_saved_and_returns(tmp_path):
    state = tmp_path / "state.json"
    engine = make(policy="learned", state_file=state)
    engine.create(2 * SECOND, "", "", "extra", lambda: spec(engine, "extra", 2e6))
    engine.save()
    again = make(policy="learned", state_file=state)
    assert [one.entry.spec.name for one in again.slices()] == [*SLICES, "extra"]
    assert {event.action for event in again.start().events} == {"restore"}


def traffic(number, size=4000, **scale):
    """The ``number``-th report: each slice has one device of the cart; its counters run, ``scale`` times as fast."""
    rows, flows = [], []
    for name in SLICES:
        count = int(10 * number * scale.get(name, 1))
        books = FlowCounters(count, count * size, count, count * size)
        rows.append(SliceRow(name, "embb", 50.0, 1e6, 1e6, 1e6, 0.5, books, Delay(), Delay(10, 2e-3, 2e-3, 4e-3, 4e-3)))
        flows.append(FlowRow(name, "cart", "scan", "uplink", books, Delay()))
    links = (LinkRow("cart", 5.0, 20.0, 1e6),)
    return Report(number * SECOND // 5, 0.2, tuple(rows), tuple(flows), links)


def test_the_policy_forecast_decides_on_the_report_and_falls_back_when_reports_stop():
    """Ten messages of 4000 B in 0.2 s are 1.6 Mb/s; a step to ten times that is asked for with its first report."""
    engine = make(policy="forecast", twin=False)
    engine.start()
    for number in range(1, 8):
        decision = engine.report(traffic(number))
    sight = engine.needs.sights["video"]
    assert sight.needed == pytest.approx(pooled_need(
        np.array([1.6e6]), np.array([32e3]), np.array([1e6]), sight.max_latency, quantile_factor(sight.reliability)
    ))  # fmt: skip
    assert engine.manager.allocation.policies == dict.fromkeys(SLICES, "forecast")
    before = engine.manager.requests.trusted(1.4)["video"]
    assert before == pytest.approx(engine.manager.config.margin * sight.needed)
    engine.configure(engine.manager.config.model_copy(update={"margin": 2.0}))
    step = traffic(8)
    jump = FlowCounters(170, 170 * 4000, 170, 170 * 4000)
    flows = tuple(row._replace(counters=jump) if row.slice == "video" else row for row in step.flows)
    decision = engine.report(replace(step, flows=flows))
    assert decision.allocation.blocks["video"] >= engine.manager.requests.trusted(1.6)["video"] > 10 * before
    assert engine.manager.requests.trusted(1.6)["video"] == pytest.approx(2.0 * sight.needed)
    late = engine.tick(4 * SECOND)
    assert set(late.allocation.policies.values()) == {"proportional"}, "no report for request_timeout"
    assert engine.journal.take()[1].count('"take"') == 4 * 6, (
        "its requests are in the journal, from the third report on"
    )


def test_slices_of_the_policy_forecast_come_and_go():
    engine = make(policy="forecast", twin=False)
    engine.start()
    engine.report(traffic(1))
    engine.delete(SECOND // 4, "", "cart")
    engine.report(traffic(2))
    assert set(engine.needs.sights) == {"video", "spider", "control"} and len(engine.needs.forecasters) == 3


def test_agents_that_have_all_asked_are_decided_on_at_once():
    engine = make(policy="learned")
    engine.start()
    engine.report(traffic(5))
    for name in SLICES[:-1]:
        assert engine.request(SECOND, 1.0, name, 40.0) == "" and engine.all_asked() is None
    engine.request(SECOND, 0.8, SLICES[-1], 40.0)
    assert engine.all_asked() is None, "on the report before"
    engine.request(SECOND, 1.0, SLICES[-1], 41.0)
    assert set(engine.all_asked().allocation.policies.values()) == {"learned"} and engine.all_asked() is None


def test_a_request_from_before_a_reset_is_refused_with_one_line_and_freezes_nothing():
    engine = make(policy="learned")
    engine.start()
    engine.tick(500 * SECOND)
    engine.request(500 * SECOND, 500.0, "cart", 40.0)
    engine.tick(1 * SECOND)
    why = engine.request(SECOND, 500.2, "cart", 40.0)
    assert why == "request of slice 'cart' for 40 resource blocks: is of a time that has not come (1 so far)"
    assert engine.request(SECOND, 1.0, "cart", 41.0) == ""
    assert engine.tick(SECOND).allocation.policies["cart"] == "learned"


def test_an_update_is_refused_that_is_not_signed_with_the_key_of_its_slice(tmp_path):
    """Not signed, signed by another slice, changed on the way: each counts, and the slice itself still has its turn."""
    path = make_master(tmp_path / "keys.json")
    keys = load_keys(path)
    engine = make(policy="learned", federation_period=10.0, federation_timeout=2.0, keys_file=path)
    engine.start()
    engine.tick(2 * SECOND)
    engine.tick(12 * SECOND)
    data = update(engine, "cart")
    changed = bytearray(keys.sign("cart", data))
    changed[30] ^= 1
    for forged in (data, keys.sign("video", data), bytes(changed), b"", b"x" * 40):
        assert ": key (" in engine.federation.receive(forged)
    assert engine.federation.receive(keys.sign("cart", data)) == ""
    closed = engine.tick(14 * SECOND).federation
    assert closed.participants == ("cart",) and closed.refused == {"key": 5}
