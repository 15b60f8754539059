# SPDX-License-Identifier: Apache-2.0
"""Giant, tiny and negative values, from a file or at run time: one line each, never a stack trace or a NaN."""

import math
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from ir_common.config import ConfigError, load_yaml
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import LinkTrace, TracePlayer
from ir_radio.model.slice_specs import SlicesFile, SliceSpec

GIANTS = (1e308, -1e308, 1e-308, 10**400, -(10**400), 2**63, 1e19, 1e30, 0, -1, 1e-9, 1e-4, 1.0, 7)
SLICE = {"name": "a", "type": "urllc", "rate": 1e6, "max_latency": 0.01, "reliability": 0.9}


def _keys(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key of a configuration, with the keys of the models inside it."""
    keys = []
    for name, field in model.model_fields.items():
        inner = [a for a in (field.annotation, *getattr(field.annotation, "__args__", ())) if isinstance(a, type)]
        nested = [a for a in inner if issubclass(a, BaseModel)]
        keys += _keys(nested[0], (*prefix, name)) if nested else [(*prefix, name)]
    return keys


def _put(into: dict, keys: tuple[str, ...], value: object) -> None:
    for key in keys[:-1]:
        into = into.setdefault(key, {})
    into[keys[-1]] = value


def _use(file: SlicesFile) -> None:
    """Has a cell made of the file carry messages."""
    cell = Cell(file.carrier)
    (spec,) = file.initial_slices()
    cell.set_slice(spec)
    cell.set_allocation({spec.name: min(1.0, file.carrier.resource_blocks)})
    for position in ((1.0, 0.0, 0.0), (-1e9, 1e9, 1e9), (30.0, 3.0, 1.0)):
        cell.set_pose("cart", position)
        flows = [cell.flow(FlowKey(spec.name, "cart", "x", way)) for way in ("uplink", "downlink")]
        for flow in flows:
            cell.offer(flow, 10, cell.now)
        cell.advance(cell.now + 4 * file.carrier.slot_time)
        assert cell.next_event() > cell.now
    report = cell.report()
    assert not any(math.isnan(link.snr) or math.isnan(link.rate) for link in report.links)
    assert cell.counters().balance() == (0, 0)


def test_every_number_of_a_slices_file_may_be_giant_and_gets_one_line(tmp_path):
    """Each key of carrier and slice in turn, with every giant: it is refused in one line, or the cell runs with it."""
    random.seed(7)
    refused = used = 0
    carrier = [("carrier", *keys) for keys in _keys(Carrier)]
    for keys in carrier + [("slice", key) for key in SliceSpec.model_fields]:
        for value in random.sample(GIANTS, 6):
            entry = SLICE | ({keys[1]: value} if keys[0] == "slice" else {})
            data = {"carrier": {}, "slices": [entry]}
            if keys[0] == "carrier":
                _put(data, keys, value)
                _put(data, ("carrier", "shadowing"), data["carrier"].get("shadowing", 3.0))
                if keys[1] == "computing":
                    data["carrier"]["computing"].setdefault("rate", 1e8)
            path = tmp_path / "slices.yaml"
            path.write_text(yaml.safe_dump(data))
            outcome = _load(path)
            if isinstance(outcome, SlicesFile):
                used += 1
                _use(outcome)
            else:
                refused += 1
                assert "\n" not in outcome and "slices.yaml:" in outcome
    assert refused > 100 and used > 50


def _load(path: Path) -> SlicesFile | str:
    """The file, or the words with which it is refused."""
    try:
        return load_yaml(path, SlicesFile)
    except ConfigError as error:
        return str(error)


@pytest.mark.parametrize("position", [(1e308, 0.0, 0.0), (0.0, -2e9, 0.0), (math.inf, 0.0, 0.0), (math.nan, 0.0, 0.0)])
def test_a_pose_that_is_no_place_is_refused_and_the_last_one_holds(position):
    cell = Cell(Carrier(shadowing=4.0))
    cell.set_pose("cart", (3.0, 0.0, 0.0))
    before = cell.report().links[0]
    with pytest.raises(ValueError, match="not three finite numbers of at most 1e"):
        cell.set_pose("cart", position)
    after = cell.report().links[0]
    assert (after.snr, after.rate, after.bad_poses) == (before.snr, before.rate, before.bad_poses + 1)


def test_a_trace_is_played_on_a_fresh_cell():
    cell = Cell(Carrier())
    player = TracePlayer({"cart": LinkTrace([10.0], [1e5], True), "spider": LinkTrace([20.0], [2e5], True)})
    player.play(cell.now, cell.set_measured)
    links = {link.robot: link for link in cell.report().links}
    assert links["cart"].snr == pytest.approx(10.0) and links["spider"].rate == pytest.approx(2e5)


@pytest.mark.parametrize(
    ("snr", "rate", "words"),
    [(10.0, -1.0, "a rate of -1.0 bit/s"), (1e5, 1.0, "a ratio of 100000.0 dB"), (math.nan, 1.0, "a ratio of nan")],
)
def test_a_measurement_that_is_none_says_which_number_is_wrong(snr, rate, words):
    cell = Cell(Carrier())
    with pytest.raises(ValueError, match=words):
        cell.set_measured("cart", snr, rate)


def test_a_latency_bound_under_a_nanosecond_is_refused():
    with pytest.raises(ValidationError, match="max_latency"):
        SliceSpec(**SLICE | {"max_latency": 1e-12})


AIRS: dict[str, dict[str, object]] = {
    **{name: {"air": {"scheduler": name}} for name in ("reserved", "puncturing", "fifo")},
    "access": {"access": {"bler_target": 0.4}},
    "configured grant, FDD": {"access": {"tdd": "", "configured_grant": True, "core_delay": 1e-3}},
}
positions = st.tuples(st.sampled_from([1.0, 20.0, 60.0, 1e5]), st.floats(-5, 5), st.just(0.0))
steps = st.lists(
    st.tuples(st.integers(1, 1_300_000), st.sampled_from(["offer", "pose", "look"]), st.integers(0, 7), positions,
              st.integers(1, 20_000)),
    max_size=50,
)  # fmt: skip


def test_a_block_that_is_on_the_air_arrives_though_a_pose_takes_its_link_away():
    """A transport block was planned with its slot; a pose within the slot cannot call it back."""
    cell = Cell(Carrier.model_validate({"air": {"scheduler": "puncturing"}}))
    cell.set_slice(SliceSpec(name="e", type="embb", rate=1.0, max_latency=0.01, reliability=0.9))
    cell.set_allocation({"e": 20.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    cell.offer(cell.flow(FlowKey("e", "cart", "x", "uplink")), 100, 0)
    cell.advance(300_000)
    cell.set_pose("cart", (1e6, 0.0, 0.0))
    assert cell.next_event() == 1_000_000
    assert [event.time for event in cell.advance(2_000_000)] == [1_000_000]


@settings(deadline=None, max_examples=150)
@given(st.sampled_from([*AIRS]), st.sampled_from(["none", "rayleigh"]), steps)
def test_no_message_leaves_before_the_next_event_wherever_poses_fall(air, fading, plan):
    """While nothing is told to the cell, nothing is delivered before the time that `next_event` gave."""
    cell = Cell(Carrier.model_validate({"fading": fading, **AIRS[air]}))
    for name, kind in (("e", "embb"), ("u", "urllc")):
        cell.set_slice(SliceSpec(name=name, type=kind, rate=1.0, max_latency=0.01, reliability=0.9))
    cell.set_allocation({"e": 9.5, "u": 4.0})
    for robot in ("cart", "spider"):
        cell.set_pose(robot, (1.0, 0.0, 3.0))
    ways = [("e", "uplink"), ("e", "downlink"), ("u", "uplink"), ("u", "downlink")]
    flows = [cell.flow(FlowKey(s, robot, "x", way)) for robot in ("cart", "spider") for s, way in ways]
    for wait, what, which, position, size in plan:
        promised, then = cell.next_event(), cell.now + wait
        early = cell.advance(min(promised - 1, then)) if promised > cell.now else []
        assert not [event for event in early if event.fate.name == "DELIVERED" and event.time < promised]
        cell.advance(max(then, cell.now))
        if what == "offer":
            cell.offer(flows[which], size, cell.now)
        elif what == "pose":
            cell.set_pose(("cart", "spider")[which % 2], position)
