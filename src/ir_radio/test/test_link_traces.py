# SPDX-License-Identifier: Apache-2.0
"""Links in a measured network: what a trace gives a carrier, and a cell that follows it."""

import zipfile

import numpy as np
import pytest

from ir_common.config import ConfigError, load_yaml
from ir_radio.cell_tables import Fate
from ir_radio.engine.cell import Cell, FlowKey
from ir_radio.model import channel
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import LinkTrace, TracePlayer, load_links
from ir_radio.model.slice_specs import SlicesFile, SliceSpec, TraceSpec
from ir_radio.model.trace_files import load

HEADER = "Timestamp,Speed,RSRP,RSRQ,SNR,CQI,DL_bitrate,UL_bitrate"
S = 1_000_000_000


def row(second, snr="10", cqi="15", down="8000", up="800"):
    return f"2019.12.16_13.40.{second:02d},0,-103,-15,{snr},{cqi},{down},{up}"


@pytest.fixture
def link(tmp_path):
    def make(*rows, carrier=None, **spec):
        (tmp_path / "a.csv").write_text("\n".join([HEADER, *rows]) + "\n")
        spec = TraceSpec(robot="cart", trace="a.csv", **spec)
        return load_links([spec], tmp_path, carrier or Carrier()).rates["cart"]

    return make


def test_snr_gives_the_rate_that_a_pose_of_that_snr_gives(link):
    trace = link(row(0, "10"), row(1, "-20"), row(2, "-"), row(3, "3"))
    assert trace.snr.tolist() == [10.0, -20.0, -20.0, 3.0]  # nothing known: the value before
    np.testing.assert_allclose(trace.rate, channel.block_rate(Carrier(), trace.snr))
    assert trace.rate[1] == 0.0


def test_cqi_gives_its_efficiency_as_far_as_the_carrier_has_it(link):
    carrier = Carrier(max_spectral_efficiency=4.0, overhead=0.5)
    trace = link(row(0, cqi="1"), row(1, cqi="0"), row(2, cqi="15"), carrier=carrier, column="CQI")
    np.testing.assert_allclose(trace.rate, [90e3 * 0.1523, 0.0, 90e3 * 4.0])
    assert trace.snr[0] >= carrier.min_snr > trace.snr[1]  # 0 is out of coverage


def test_bit_rates_are_those_of_the_whole_carrier(link):
    trace = link(row(0, down="8000", up="800"), row(1, down="0"), column="DL_bitrate")
    np.testing.assert_allclose(216 * trace.rate, [8e6, 0.0])
    assert (trace.snr >= Carrier().min_snr).all()
    assert 216 * link(row(0, up="800"), column="UL_bitrate").rate[0] == pytest.approx(0.8e6)
    endless = link(row(0, down="9e9"), column="DL_bitrate").rate[0]
    assert endless == pytest.approx(180e3 * Carrier().max_spectral_efficiency)


def test_start_loop_and_end(link):
    rows = [row(s, str(s)) for s in range(4)]
    once, again = link(*rows, start=2.0, loop=False), link(*rows, start=2.0)
    assert [once.at(t)[0] for t in (0.0, 1.9, 2.5, 99.0)] == [2.0, 3.0, 3.0, 3.0]
    assert [again.at(t)[0] for t in (0.0, 1.0, 2.0, 5.0)] == [2.0, 3.0, 0.0, 3.0]


def test_a_cell_follows_a_trace_and_does_not_fade_on_top():
    """1 Mbit over one block: 0.4 Mb in the first second, 0.1 Mb in the next, the rest at 1 Mb/s."""
    carrier = Carrier(fading="rayleigh")
    trace = LinkTrace(np.array([5.0, 5.0, 5.0]), np.array([0.4e6, 0.1e6, 1e6]), loop=False)
    cell, player = Cell(carrier, start=7 * S), TracePlayer({"cart": trace}, begin=7 * S)
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=1.0, reliability=0.9))
    cell.set_allocation({"a": 1.0})
    flow = cell.flow(FlowKey("a", "cart", "scan", "uplink"))
    change = player.play(cell.now, cell.set_measured)
    assert change == 8 * S
    assert cell.offer(flow, 125_000, 7 * S)[1] == Fate.ACCEPTED
    for _ in range(2):
        assert not cell.advance(change)
        change = player.play(cell.now, cell.set_measured)
    (event,) = cell.advance(11 * S)
    assert (event.time - 7 * S) / S == pytest.approx(2.5, abs=0.01)  # a slot at each change
    assert cell.report().links[0].rate == 1e6


def test_measured_links_judge_coverage_and_refuse_nonsense():
    cell = Cell(Carrier())
    cell.set_slice(SliceSpec(name="a", type="embb", rate=1e6, max_latency=1.0, reliability=0.9))
    flow = cell.flow(FlowKey("a", "cart", "scan", "uplink"))
    cell.set_measured("cart", -30.0, 0.0)
    assert cell.offer(flow, 10, 0)[1] == Fate.OUT_OF_COVERAGE
    for snr, rate in ((np.nan, 1.0), (1.0, np.inf), (1.0, -1.0)):
        with pytest.raises(ValueError, match="link of cart"):
            cell.set_measured("cart", snr, rate)


def test_a_trace_in_an_archive_and_what_is_wrong_with_a_path(tmp_path, link):
    link(row(0))
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as out:
        out.write(tmp_path / "a.csv", "d/a.csv")
        out.write(tmp_path / "a.csv", "d/b.csv")
    (one,) = load(tmp_path / "t.zip/d/b.csv")
    assert one.name.endswith("t.zip/d/b.csv")
    assert len(load(tmp_path / "t.zip/d")) == 2
    for path, told in [
        ("t.zip/d/c.csv", r"t\.zip: there is no d/c\.csv in it"), ("t.zip", "holds 2 traces"), ("c.csv", "no such file")
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=told):
            load_links([TraceSpec(robot="cart", trace=path)], tmp_path, Carrier())


def test_what_a_link_cannot_follow(link):
    with pytest.raises(ConfigError, match="'SNR' holds no value"):
        link(row(0, "-"))
    with pytest.raises(ConfigError, match="start at 5 s is after its end at 1 s"):
        link(row(0), start=5.0)
    with pytest.raises(ConfigError, match=r"a\.csv:3: CQI: 'high' is no number"):
        link(row(0), row(1, cqi="high"), column="CQI")
    link(row(0), row(1, cqi="high"))  # it is not used


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("traces:\n  - {robot: cart, trace: a.csv, column: RSRP}\n", r"s\.yaml:2: traces\.0\.column"),
        ("traces:\n  - {robot: cart, trace: a}\n  - {robot: cart, trace: b}\n", "trace of robot 'cart' stands twice"),
        ("traces:\n  - {robot: cart, trace: a, lop: true}\n", r"unknown key 'traces\.0\.lop'; did you mean 'loop'"),
    ],
)
def test_bad_entries_in_the_slices_file(tmp_path, text, told):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_yaml(tmp_path / "s.yaml", SlicesFile)
