# SPDX-License-Identifier: Apache-2.0
"""Access profiles: the numbers of the paper that they stand for, and what the engine makes of them."""

from pathlib import Path

import numpy as np
import pytest

from ir_common.config import ConfigError, load_yaml
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel, profiles
from ir_radio.model.carrier import Carrier
from ir_radio.model.profiles import load_profile, profile_names
from ir_radio.model.slice_specs import SlicesFile, SliceSpec


def rate(profile, distance):
    carrier = load_profile(profile)
    return carrier.resource_blocks * channel.block_rate(carrier, channel.snr(carrier, distance))


def test_the_profiles():
    """Those of the papers are idealised, and stay so; the others have access as it is."""
    assert profile_names() == [
        "lte", "lte-campus", "nr", "nr-campus", "nr-factory", "nr-urllc", "wifi", "wifi6",
    ]  # fmt: skip
    profiles = {name: load_profile(name) for name in profile_names()}
    assert {name for name in profiles if not profiles[name].access} == {"lte", "nr", "wifi", "wifi6"}
    assert [name for name in profiles if profiles[name].contention] == ["wifi6"]
    assert [name for name in profiles if profiles[name].propagation] == ["nr-factory"]
    assert profiles["nr-factory"].access == profiles["nr-campus"].access


@pytest.mark.parametrize("name", ["lte-campus", "nr-campus", "nr-factory", "nr-urllc", "wifi6"])
def test_a_profile_with_access_keeps_nearly_all_messages(name):
    """Slow enough not to queue, in coverage: what is lost is at most what the profile's own HARQ gives up."""
    cell = Cell(load_profile(name), seed=3)
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=0.1, reliability=0.9))
    cell.set_allocation({"a": float(cell.carrier.resource_blocks)})
    cell.set_pose("cart", (10.0, 0.0, 0.0))
    flow = cell.flow(FlowKey("a", "cart", "x", "uplink"))
    cell.run([flow] * 2000, [128] * 2000, np.arange(2000) * 10_400_000, 2000 * 10_400_000 + 10**9)
    assert cell.counters().delivered >= 1995 and cell.counters().balance() == (0, 0)


def test_nr_is_near_116_at_1_m_and_twice_lte_over_distance():
    """IoR section II, Fig. 2c."""
    distance = np.arange(1.0, 101.0)
    assert rate("nr", 1.0) == pytest.approx(116e6, rel=0.01)
    ratio = rate("nr", distance) / rate("lte", distance)
    assert ratio.min() > 1.8 and ratio.max() < 2.2


def test_wifi_carries_the_three_slices():
    """IoR section II, Fig. 2b: 45 + 35 + 15 Mb/s; without MAC overhead it is the 135 Mb/s of MCS 7."""
    assert 95e6 < rate("wifi", 5.0) < 105e6
    assert rate("wifi", 5.0) / (1.0 - load_profile("wifi").overhead) == pytest.approx(135e6)


@pytest.mark.parametrize("fading", ["none", "rayleigh"])
def test_the_engine_has_the_profiles_efficiency_and_overhead(fading):
    """At very high SNR even a fading link is at the cap: the kernel and `channel` must agree on it."""
    carrier = load_profile("lte").model_copy(update={"fading": fading, "tx_power": 200.0, "scheduling_latency": 0.0})
    cell = Cell(carrier)
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=1.0, reliability=0.9))
    cell.set_allocation({"a": 100.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flow = cell.flow(FlowKey("a", "cart", "scan", "uplink"))
    cell.offer(flow, 725_000, 0)
    (event,) = cell.advance(10**9)
    assert event.time == pytest.approx(8 * 725_000 / 57.974e6 * 1e9, rel=1e-3)


def test_scheduling_latency_is_added_and_counts_against_the_bound():
    carrier = Carrier(scheduling_latency=0.003)
    cell = Cell(carrier)
    for name, bound in (("a", 0.02), ("b", 0.002)):
        cell.set_slice(SliceSpec(name=name, type="urllc", rate=1e6, max_latency=bound, reliability=0.9))
    cell.set_allocation({"a": 1.0, "b": 1.0})
    cell.set_pose("cart", (1.0, 0.0, 3.0))
    flows = [cell.flow(FlowKey(name, "cart", "x", "uplink")) for name in "ab"]
    for flow in flows:
        cell.offer(flow, 10, 0)
    assert cell.next_event() > 3_000_000
    events = cell.advance(10_000_000)
    sent = 80 / (180e3 * carrier.max_spectral_efficiency) * 1e9
    assert {e.fate.name for e in events} == {"DELIVERED", "EXPIRED"}
    assert all(abs(e.time - 3_000_000 - sent) < 2 for e in events)


def test_numerology_comes_from_the_profile():
    cell = Cell(load_profile("nr"))
    assert int(cell._cell["slot"][0]) == 500_000 and int(cell._cell["mini"][0]) == 125_000
    assert int(Cell(load_profile("lte"))._cell["mini"][0]) == 1_000_000


def test_a_slices_file_may_name_a_profile(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("carrier: nr\n")
    assert load_yaml(file, SlicesFile).carrier == load_profile("nr")
    file.write_text("# slices\ncarrier: wimax\n")
    with pytest.raises(
        ConfigError, match=r"s\.yaml:2: carrier: unknown access profile 'wimax'; profiles are: lte, lte-campus, nr, "
    ):
        load_yaml(file, SlicesFile)


def test_wrong_profile_files(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("slot: 1.0e-3\nmini_slots: 3\n")
    with pytest.raises(ConfigError, match=r"own\.yaml:1: .*3 mini-slots do not divide a slot of 1000000 ns"):
        load_profile(str(file))
    file.write_text("tx_power: 1.0\noverhed: 0.1\n")
    with pytest.raises(ConfigError, match=r"own\.yaml:2: unknown key 'overhed'; did you mean 'overhead'"):
        load_profile(str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        load_profile(str(tmp_path / "no.yaml"))


def test_a_profile_says_who_may_take_whose_blocks(tmp_path):
    assert {load_profile(name).air.scheduler for name in profile_names()} == {"reserved"}
    own = tmp_path / "own.yaml"
    text = (Path(profiles.__file__).parents[1] / "profile_files" / "nr.yaml").read_text()
    own.write_text(text.replace("scheduler: reserved", "scheduler: puncturing\n  packets_per_minislot: 3"))
    carrier = load_profile(str(own))
    assert (carrier.air.scheduler, carrier.air.packets_per_minislot, carrier.slot_time) == ("puncturing", 3, 500_000)
    own.write_text(text.replace("scheduler: reserved", "scheduler: best"))
    with pytest.raises(ConfigError, match=r"own.yaml:18: air.scheduler"):
        load_profile(str(own))
