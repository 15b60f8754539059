# SPDX-License-Identifier: Apache-2.0
"""The slice manager without ROS: allocation follows demand, lifetimes, jumps of time."""

import math
from pathlib import Path

import pytest

from ir_common.config import ConfigError
from ir_radio.model.slice_specs import SliceSpec
from ir_slicing.allocation.demand import Load
from ir_slicing.allocation.division import QUANTUM
from ir_slicing.manager.manager_config import ManagerConfig
from ir_slicing.manager.slice_manager import SliceManager
from ir_slicing.manager.slices_checks import check

CONFIG = Path(__file__).parents[3] / "config" / "slices.yaml"
SECOND = 1_000_000_000
LINKS = {"cart": 1e6, "spider": 1e6, "hopper": 1e6}


def make(now=0, **parameters):
    return SliceManager(ManagerConfig(slices_file=CONFIG, demand_time_constant=0.01, **parameters), now)


def report(manager, now, offered):
    manager.report(now, {name: Load(rate) for name, rate in offered.items()}, LINKS)


def guarantees(manager):
    return {n: manager.registry.blocks(e.spec, manager.block_rate) for n, e in manager.registry.slices.items()}


def test_first_allocation_needs_no_report():
    manager = make()
    assert manager.allocate()
    assert manager.allocation.sequence == 1
    assert sum(manager.allocation.blocks.values()) == manager.registry.carrier.resource_blocks
    for name, blocks in guarantees(manager).items():
        assert manager.allocation.blocks[name] >= blocks - QUANTUM


def test_allocation_follows_demand():
    """At 1 Mb/s per block: video offers 150 Mb/s, so asks for 180 blocks; the idle ones keep their reserve."""
    manager = make()
    manager.allocate()
    report(manager, SECOND, {"video": 150e6, "spider": 0.0, "cart": 0.0, "control": 1e6})
    assert manager.allocate()
    video = manager.allocation.blocks
    assert video["video"] == pytest.approx(180, abs=1)
    assert video["control"] >= 5 * 1.25, "the guarantee of URLLC stays whole"
    assert video["spider"] >= 3.5 - QUANTUM
    report(manager, 2 * SECOND, {"video": 0.0, "spider": 150e6, "cart": 0.0, "control": 1e6})
    assert manager.allocate()
    assert manager.allocation.blocks["spider"] == pytest.approx(180, abs=1)
    assert manager.allocation.sequence == 3


def test_ceiling_and_dedicated_part_hold_under_every_demand():
    manager = make()
    carrier = manager.registry.carrier.resource_blocks
    for name, changes in (("video", {"max_share": 0.3}), ("cart", {"dedicated_share": 0.25})):
        spec = manager.registry.get(name).spec
        manager.apply("modify", 1, "", name, SliceSpec.model_validate(spec.model_dump() | changes))
    manager.allocate()
    for second, video in enumerate((1e6, 200e6, 50e6), 1):
        report(manager, second * SECOND, {"video": video, "spider": 20e6, "cart": 0.0, "control": 1e6})
        manager.allocate()
        blocks = manager.allocation.blocks
        assert blocks["video"] <= 0.3 * carrier and blocks["cart"] >= 0.25 * carrier - QUANTUM
        assert sum(blocks.values()) == carrier
    assert blocks["video"] >= manager.registry.blocks(manager.registry.get("video").spec, manager.block_rate) - QUANTUM


def test_a_lowered_ceiling_counts_at_once():
    """5 % less than what it has is within the hysteresis, and holds even so."""
    manager = make()
    manager.allocate()
    spec, has = manager.registry.get("video").spec, manager.allocation.blocks["video"]
    lower = 0.95 * has / manager.registry.carrier.resource_blocks
    manager.apply("modify", 1, "", "video", SliceSpec.model_validate(spec.model_dump() | {"max_share": lower}))
    assert manager.allocate()
    assert manager.allocation.blocks["video"] <= 0.95 * has


def test_queue_is_demand():
    manager = make(drain_time=0.1)
    manager.report(SECOND, {"video": Load(0.0), "cart": Load(0.0, 10e6)}, LINKS)
    manager.allocate()
    assert manager.allocation.blocks["cart"] >= 100, "10 Mbit in 0.1 s at 1 Mb/s per block"


def test_jitter_changes_nothing():
    manager = make()
    base = {"video": 20e6, "spider": 10e6, "cart": 5e6, "control": 1e6}
    report(manager, SECOND, base)
    manager.allocate()
    for k, factor in enumerate([1.03, 0.97, 1.04, 1.0]):
        report(manager, (2 + k) * SECOND, {n: r * factor for n, r in base.items()})
        assert not manager.allocate()
    assert manager.allocation.sequence == 1


def test_block_rate_is_that_of_the_slices_robots():
    manager = make()
    nominal = manager.block_rate(manager.registry.slices["cart"].spec)
    manager.report(SECOND, {}, {"cart": 0.5e6, "cart_2": 1e6, "spider": 2e6, "hopper": math.nan})
    assert manager.block_rate(manager.registry.slices["cart"].spec) == pytest.approx(2e6 / 3)
    assert manager.block_rate(manager.registry.slices["spider"].spec) == pytest.approx(2e6)
    manager.report(SECOND, {}, {"cart": math.nan})
    assert manager.block_rate(manager.registry.slices["cart"].spec) == nominal


def test_lifetime_counts_from_the_start_of_the_clock():
    manager = make()
    short = manager.registry.from_template("cart", "").model_copy(update={"lifetime": 2.0})
    manager.registry.modify(short, 0, manager.block_rate)
    assert manager.tick(500 * SECOND), "the clock starts late, as when the manager was started again"
    assert "cart" in manager.registry.slices
    assert not manager.tick(501 * SECOND)
    assert manager.tick(502 * SECOND)
    assert "cart" not in manager.registry.slices


def test_clock_set_back_keeps_the_slices():
    manager = make(now=100 * SECOND)
    short = manager.registry.from_template("cart", "").model_copy(update={"lifetime": 2.0})
    manager.registry.modify(short, 100 * SECOND, manager.block_rate)
    assert manager.tick(SECOND)
    assert manager.registry.slices["cart"].expires == 3 * SECOND


def test_preflight_reads_the_slices_file(tmp_path):
    class Arguments:
        slices = CONFIG

    check(Arguments())
    Arguments.slices = tmp_path / "missing.yaml"
    with pytest.raises(ConfigError, match="missing.yaml"):
        check(Arguments())
    Arguments.slices = tmp_path / "traced.yaml"
    Arguments.slices.write_text("traces:\n  - {robot: cart, trace: lost.csv}\n")
    with pytest.raises(ConfigError, match=r"lost\.csv: there is no such file"):
        check(Arguments())
