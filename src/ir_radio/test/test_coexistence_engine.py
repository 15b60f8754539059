# SPDX-License-Identifier: Apache-2.0
"""Whole runs: books, seeds, what the schedulers do to each other, the joint scheduler, and bad input."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_common.config import ConfigError
from ir_radio.coexistence import batch_air, joint_scheduling
from ir_radio.coexistence.batch_run import DROPPED_IN_COMPUTING, draw, process, radiate, simulate
from ir_radio.coexistence.scenario import SLOT, scenario


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["puncturing", "putd", "euad", "fifo"]), st.sampled_from(["linear", "threshold", "convex"]),
    st.integers(1, 12), st.integers(1, 999), st.floats(0, 30e6), st.floats(0, 4000), st.floats(-115, -80),
    st.integers(0, 99),
)  # fmt: skip
def test_books_balance(scheduler, loss, limit, shared, embb, batches, power, seed):
    """Every packet has one fate, every bit is delivered, dropped or queued, nothing leaves before it came."""
    scene = scenario(scheduler=scheduler, loss=loss, packets_per_minislot=limit, shared=shared, embb_rate=embb,
                     batch_rate=batches, urllc_power=power, embb_power=power)  # fmt: skip
    out = simulate(scene, 50, seed)
    fates = (batch_air.QUEUED, batch_air.DROPPED, batch_air.LOST, DROPPED_IN_COMPUTING)
    assert np.all((out.packet_end > 0) | np.isin(out.packet_end, fates))
    for arrival, end in ((out.draw.packets, out.packet_end), (out.draw.jobs, out.job_end)):
        done = end > 0
        assert np.all(end[done] > arrival[done]) and np.all(end[done] <= 50 * SLOT)
    assert np.all((out.job_left >= 0) & (out.job_left <= out.draw.bits))
    assert np.all((out.job_end > 0) == (out.job_left == 0))
    most = out.draw.rates.max(axis=1).sum(axis=1).repeat(scene.coherence_slots)[:50].sum()
    assert (out.draw.bits - out.job_left).sum() <= most
    assert 0 <= out.outage <= 1 and 0 <= out.dropped <= 1 and 0 <= out.outage_of_minislots <= 1


def test_same_seed_same_run_other_seed_another():
    ends = [simulate(scenario(), 100, seed).packet_end.tolist() for seed in (1, 1, 2)]
    assert ends[0] == ends[1] != ends[2]


_FAULTS = """
import resource
from ir_radio.coexistence.batch_run import simulate
from ir_radio.coexistence.kept_memory import keep_memory
from ir_radio.coexistence.scenario import scenario
kept = keep_memory()
for seed in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    simulate(scenario(), 20_000, 7)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_a_run_takes_the_memory_that_the_one_before_has_left():
    """In a process of its own, whose memory nobody else has shaped; without it 2,200 pages are new in each run."""
    out = subprocess.run([sys.executable, "-c", _FAULTS], check=True, capture_output=True, text=True).stdout.split()
    if out[0] != "True":
        pytest.skip("the C library cannot be asked to keep memory")
    assert int(out[1]) < 500


def test_schedulers_are_ordered_as_the_paper_has_them():
    """Queuing drops less than PUTD; the shared computing is faster than EUAD's split; fifo is the slowest."""
    base = scenario(embb_rate=11e6, shared=600)
    chance = draw(base, 2000, 5)
    runs = {}
    for name, shared in (("puncturing", 600), ("putd", 600), ("euad", 312), ("fifo", 1000)):
        scene = base.but(scheduler=name, shared=shared)
        runs[name] = radiate(scene, chance, process(scene, chance))
    assert runs["puncturing"].outage < 0.6 * runs["putd"].outage
    assert runs["puncturing"].urllc_delay < 0.95 * runs["euad"].urllc_delay < 0.5 * runs["fifo"].urllc_delay


def test_a_bad_channel_leaves_no_sub_carrier_for_urllc():
    out = simulate(scenario(urllc_power=-130.0), 100, 0)
    assert out.outage == 1.0 and np.isnan(out.urllc_delay)


def test_decoding_errors_come_as_often_as_the_approximation_says():
    """All sub-carriers allowed: lost packets against the mean error probability."""
    scene = scenario(epsilon=0.999, urllc_power=-103.0, batch_packets=2.0, sub_carriers=12, embb_rate=0.0)
    out = simulate(scene, 20_000, 3)
    share = np.mean(out.packet_end[out.packet_end != batch_air.QUEUED] == batch_air.LOST)
    usable = out.draw.errors[out.draw.errors <= 0.999]
    assert 0.02 < share == pytest.approx(usable.mean(), rel=0.05)


@pytest.mark.parametrize(
    ("rate", "delay", "dropped", "share"),
    [(12e6, 9e-3, 0.05, 1000), (12e6, 8e-3, 0.005, 400), (11e6, 5e-3, 0.05, None)],
)
def test_joint_finds_the_best_of_all(rate, delay, dropped, share, monkeypatch):
    """Against every combination on a coarser list of shares and four sub-carriers."""
    monkeypatch.setattr(joint_scheduling, "SHARES", (200, 400, 600, 800, 1000))
    scene = scenario(sub_carriers=4, packets_per_minislot=4, embb_rate=rate, batch_packets=1.5)
    need = joint_scheduling.Requirements(embb_rate=1.2e6, embb_delay=delay, dropped=dropped)
    choice = joint_scheduling.optimise(scene, need, 600, [7])
    assert (choice.best and choice.best.shared) == share
    search = joint_scheduling._Search(scene, need, [draw(scene, 600, 7)])
    rules = ("rotate", "idle_first", "best_channel")
    every = [search.measure(*key) for key in itertools.product(joint_scheduling.SHARES, range(1, 5), rules)]
    kept = [m.delay for m in every if m.keeps(need)]
    if kept:
        assert choice.measure.keeps(need) and choice.measure.delay == pytest.approx(min(kept), rel=2e-3)
    else:
        assert choice.best is None and choice.reasons


def test_joint_does_not_starve_urllc_to_please_embb():
    """A share so small that URLLC's queue grows without end keeps every need of eMBB, and is no choice."""
    scene = scenario(embb_rate=13e6, sub_carriers=8)
    choice = joint_scheduling.optimise(
        scene, joint_scheduling.Requirements(embb_rate=13e6 / 8, embb_delay=11e-3), 1000, [1]
    )
    assert choice.best is None and "keeps all" in choice.reasons[0]


def test_joint_says_what_cannot_be_kept():
    scene = scenario(embb_rate=20e6)
    choice = joint_scheduling.optimise(scene, joint_scheduling.Requirements(embb_rate=2.5e6, embb_delay=1e-3), 300, [1])
    assert choice.best is None
    assert [reason.split(":")[0] for reason in choice.reasons] == ["eMBB rate", "eMBB delay"]


@pytest.mark.parametrize(
    ("values", "say"),
    [
        ({"scheduler": "magic"}, "scheduler"), ({"loss": "cubic"}, "loss"), ({"epsilon": 0.0}, "epsilon"),
        ({"epsilon": 1.0}, "epsilon"), ({"sub_carriers": 0}, "sub_carriers"), ({"colour": 1}, "colour"),
        ({"packets_per_minislot": 0}, "packets_per_minislot"), ({"packets_per_minislot": 13}, "packets_per_minislot"),
        ({"minislots": 3}, "minislots"), ({"batch_rate": float("nan")}, "batch_rate"), ({"shared": 0}, "shared"),
        ({"scheduler": "euad", "shared": 1000}, "shared"), ({"puncture": "none"}, "puncture"),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_line(values, say):
    with pytest.raises(ConfigError) as error:
        scenario(**values)
    assert str(error.value).startswith("scenario: ") and say in str(error.value) and "\n" not in str(error.value)
