# SPDX-License-Identifier: Apache-2.0
"""Admission: what fits is accepted, what does not is refused with the reason, and a refusal changes nothing."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_radio.model.access_scheme import Air
from ir_radio.model.carrier import Carrier
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.slice_specs import FlowSpec, SliceSpec
from ir_slicing.orchestration.admission import (
    Registry,
    SliceRefused,
    guaranteed_blocks,
    load_registry,
    nominal_block_rate,
)

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
CARRIER = Carrier(bandwidth=10e6, resource_blocks=50)
SECOND = 1_000_000_000


def one_megabit(_spec):
    return 1e6


def spec(name="a", rate=10e6, **changes):
    values = {"type": "embb", "max_latency": 0.1, "reliability": 0.99} | changes
    return SliceSpec(name=name, rate=rate, **values)


@pytest.fixture
def registry():
    return Registry(CARRIER, [spec("video", 45e6)], urllc_margin=0.25)


def test_blocks_of_a_guaranteed_rate():
    """10 Mb/s at 0.5 Mb/s per block: 20 blocks; URLLC with a margin of 25 %: 25; a share of 0.3 of 50: 15."""
    assert guaranteed_blocks(spec(), 0.5e6, CARRIER, 0.25) == pytest.approx(20)
    assert guaranteed_blocks(spec(type="urllc"), 0.5e6, CARRIER, 0.25) == pytest.approx(25)
    assert guaranteed_blocks(spec(share=0.3), 0.5e6, CARRIER, 0.25) == pytest.approx(15)


def test_blocks_of_ratios_and_directions():
    """A dedicated share of 0.5 of 50 is 25 blocks; 6 up and 2 down at 0.5 Mb/s per block: 16 if they share."""
    assert guaranteed_blocks(spec(dedicated_share=0.5), 0.5e6, CARRIER, 0.25) == pytest.approx(25)
    assert guaranteed_blocks(spec(dedicated_share=0.1), 0.5e6, CARRIER, 0.25) == pytest.approx(20)
    apart = spec(rate=None, uplink_rate=6e6, downlink_rate=2e6)
    assert guaranteed_blocks(apart, 0.5e6, CARRIER, 0.25) == pytest.approx(16)
    fdd = CARRIER.model_copy(update={"access": RadioAccess(tdd="")})
    assert guaranteed_blocks(apart, 0.5e6, fdd, 0.25) == pytest.approx(12), "each direction has the blocks to itself"


@pytest.mark.parametrize(
    ("carrier", "changes", "words"),
    [
        (CARRIER, {"max_share": 0.1}, "max_share of 0.1 is 5.0 resource blocks, its guarantee takes 10 Mb/s"),
        (CARRIER.model_copy(update={"air": Air(scheduler="fifo")}), {"dedicated_share": 0.1}, "fifo cannot give"),
        (
            CARRIER.model_copy(update={"air": Air(scheduler="puncturing")}),
            {"type": "urllc", "rate": 1.0, "max_share": 0.01},
            "less than the one resource block",
        ),
        (CARRIER, {"dedicated_share": 1.0, "share": 1.0, "rate": 60e6}, "contradicts itself: its share"),
    ],
)
def test_ratios_that_cannot_hold_are_refused(carrier, changes, words):
    with pytest.raises(SliceRefused, match=words):
        Registry(carrier, [], 0.25).create(spec(**changes), 0, one_megabit)


def test_dedicated_blocks_count_in_admission(registry):
    registry.create(spec("a", 1e6, dedicated_share=0.7), 0, one_megabit)
    with pytest.raises(SliceRefused, match="15.0 of 50 are free"):
        registry.create(spec("b", 16e6), 0, one_megabit)
    with pytest.raises(SliceRefused, match="a dedicated share of 0.4 of the carrier = 20.0"):
        registry.create(spec("b", 1e6, dedicated_share=0.4), 0, one_megabit)


def test_fits_to_the_last_block_and_not_beyond(registry):
    registry.create(spec("a", 30e6), 0, one_megabit)
    registry.create(spec("b", 20e6), 0, one_megabit)
    with pytest.raises(
        SliceRefused, match=r"'c' does not fit: 1 Mb/s at 1.000 Mb/s per block = 1.0 .* 0.0 of 50 are free"
    ):
        registry.create(spec("c", 1e6), 0, one_megabit)
    assert list(registry.slices) == ["a", "b"]


def test_urllc_margin_counts(registry):
    registry.create(spec("a", 30e6), 0, one_megabit)
    with pytest.raises(
        SliceRefused, match=r"20 Mb/s \+ 25% URLLC margin .* = 25.0 resource blocks, 20.0 of 50 .*a 30.0"
    ):
        registry.create(spec("b", 20e6, type="urllc"), 0, one_megabit)


def test_worse_links_leave_less_room(registry):
    registry.create(spec("a", 30e6), 0, one_megabit)
    with pytest.raises(SliceRefused, match="does not fit"):
        registry.create(spec("b", 10e6), 0, lambda _: 0.7e6)


def test_name_clash_is_refused(registry):
    registry.create(spec("a", 1e6), 0, one_megabit)
    with pytest.raises(SliceRefused, match="'a' exists already"):
        registry.create(spec("a", 2e6), 0, one_megabit)
    assert registry.slices["a"].spec.rate == 1e6


def test_unknown_template_is_refused_with_the_known_ones(registry):
    with pytest.raises(SliceRefused, match="unknown slice template 'vidio'; templates are: video"):
        registry.from_template("vidio", "")


def test_template_under_another_name(registry):
    made = registry.from_template("video", "video_2")
    assert (made.name, made.template_name, made.rate) == ("video_2", "video", 45e6)
    assert registry.from_template("video", "").name == "video"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_latency": 1e-4}, "slot of 1 ms, its latency bound is 0.1 ms"),
        ({"share": 0.1}, r"share of 0.1 is 5.0 resource blocks, which carry 5.0 Mb/s, its rate is 10 Mb/s"),
        ({"rate": 51e6}, "can never fit: .* the carrier has 50"),
    ],
)
def test_specification_that_contradicts_itself(registry, changes, reason):
    with pytest.raises(SliceRefused, match=reason):
        registry.create(spec(**changes), 0, one_megabit)
    assert not registry.slices


def test_topic_of_another_slice_is_refused(registry):
    scan = FlowSpec(robots=("cart*",), topic="scan", direction="uplink")
    registry.create(spec("a", 1e6, flows=(scan,)), 0, one_megabit)
    with pytest.raises(SliceRefused, match="'a' carries scan"):
        registry.create(spec("b", 1e6, flows=(scan.model_copy(update={"robots": ("cart_2",)}),)), 0, one_megabit)


def test_modification_that_does_not_fit_leaves_the_old_one(registry):
    registry.create(spec("a", 30e6), 0, one_megabit)
    registry.create(spec("b", 10e6), 0, one_megabit)
    before = dict(registry.slices)
    with pytest.raises(SliceRefused, match=r"20.0 of 50 are free \(guaranteed: a 30.0\)"):
        registry.modify(spec("b", 21e6), 5, one_megabit)
    with pytest.raises(SliceRefused, match="no slice 'x'; slices are: a, b"):
        registry.modify(spec("x", 1e6), 5, one_megabit)
    assert registry.slices == before
    registry.modify(spec("b", 20e6), 5, one_megabit)
    assert registry.slices["b"].spec.rate == 20e6


def test_delete_makes_room(registry):
    registry.create(spec("a", 50e6), 0, one_megabit)
    registry.delete("a")
    registry.create(spec("b", 50e6), 0, one_megabit)
    with pytest.raises(SliceRefused, match="no slice 'a'"):
        registry.delete("a")


def test_lifetime(registry):
    registry.create(spec("short", 1e6, lifetime=2.0), 10 * SECOND, one_megabit)
    registry.create(spec("long", 1e6), 10 * SECOND, one_megabit)
    assert registry.expired(12 * SECOND - 1) == []
    assert [entry.spec.name for entry in registry.expired(12 * SECOND)] == ["short"]


def test_clock_that_is_set_back_begins_lifetimes_anew(registry):
    registry.create(spec("short", 1e6, lifetime=2.0), 100 * SECOND, one_megabit)
    registry.begin_lifetimes(SECOND)
    assert registry.expired(3 * SECOND - 1) == []
    assert [entry.spec.name for entry in registry.expired(3 * SECOND)] == ["short"]


@given(st.lists(st.tuples(st.sampled_from("cmd"), st.sampled_from("abcd"), st.floats(1e5, 60e6)), max_size=30))
def test_guarantees_always_fit_whatever_is_asked(operations):
    registry = Registry(CARRIER, [], 0.25)
    for operation, name, rate in operations:
        try:
            if operation == "c":
                registry.create(spec(name, rate), 0, one_megabit)
            elif operation == "m":
                registry.modify(spec(name, rate), 0, one_megabit)
            else:
                registry.delete(name)
        except SliceRefused:
            pass
        assert sum(registry.blocks(e.spec, one_megabit) for e in registry.slices.values()) <= 50 + 1e-9


def test_file_of_the_stack_is_admitted():
    registry, nominal = load_registry(CONFIG, 0.25, 20.0)
    assert list(registry.slices) == ["video", "spider", "cart", "control"]
    assert {name: e.spec.rate for name, e in registry.slices.items()} == {
        "video": 45e6, "spider": 35e6, "cart": 15e6, "control": 5e6,
    }  # fmt: skip
    assert registry.slices["control"].spec.type == "urllc"
    assert nominal == nominal_block_rate(registry.carrier, 20.0) > 0


def test_file_whose_slices_do_not_fit_is_a_configuration_error(tmp_path):
    path = tmp_path / "slices.yaml"
    slices = "{name: big, type: embb, rate: 900.0e+6, max_latency: 0.1, reliability: 0.9}"
    path.write_text(f"slices: [{slices}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"slices.yaml: slice 'big' can never fit"):
        load_registry(path, 0.25, 20.0)
    path.write_text("carrier: {tx_power: -90.0}\nslices: []\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"slices.yaml: carrier: no coverage at the reference distance of 20 m"):
        load_registry(path, 0.25, 20.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("slices: [{name: a, type: embb, rate: -1.0, max_latency: 0.1, reliability: 0.9}]", "rate"),
        ("slices: [{name: a, type: embb, rate: 1.0, max_latency: 0.1, reliability: 0.9, share: 1.2}]", "share"),
        ("slices: [{name: a, type: mmtc, rate: 1.0, max_latency: 0.1, reliability: 0.9}]", "type"),
        ("slices: [vidio]", "unknown slice template 'vidio'"),
        ("slcies: []", "did you mean 'slices'"),
    ],
)
def test_impossible_file_names_file_and_place(tmp_path, line, reason):
    path = tmp_path / "slices.yaml"
    path.write_text(f"# slices\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"slices.yaml:\d+: .*{reason}"):
        load_registry(path, 0.25, 20.0)


def test_bound_within_the_scheduling_latency_is_refused():
    slow = CARRIER.model_copy(update={"scheduling_latency": 0.011})
    registry = Registry(slow, [], urllc_margin=0.25)
    with pytest.raises(SliceRefused, match="latency bound is 10 ms, scheduling alone takes 11 ms"):
        registry.create(spec(type="urllc", max_latency=0.01), 0, one_megabit)
    registry.create(spec(type="urllc", max_latency=0.012), 0, one_megabit)
