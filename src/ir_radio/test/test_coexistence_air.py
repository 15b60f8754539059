# SPDX-License-Identifier: Apache-2.0
"""The air against the slow reference, exactly; books and invariants over arbitrary traffic; hand-solved cases."""

import numpy as np
import pytest
from coexistence_reference import reference
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.coexistence.batch_air import DROPPED, LOST, QUEUED, make_jobs, make_packets, transmit
from ir_radio.coexistence.scenario import SLOT, scenario

NAMES = {QUEUED: "queued", DROPPED: "dropped", LOST: "lost"}
SLOTS = 6
TIMES = st.one_of(st.integers(0, SLOTS * SLOT), st.integers(0, 4 * SLOTS).map(lambda n: n * SLOT // 4))


@st.composite
def cases(draw):
    carriers = draw(st.integers(1, 5))
    scene = scenario(
        scheduler=draw(st.sampled_from(["puncturing", "putd", "euad", "fifo"])), shared=500,
        sub_carriers=carriers, packets_per_minislot=draw(st.integers(1, carriers)),
        minislots=draw(st.sampled_from([1, 2, 4])),
        carried_first=draw(st.booleans()), puncture=draw(st.sampled_from(["rotate", "idle_first", "best_channel"])),
        loss=draw(st.sampled_from(["linear", "threshold", "convex"])),
        loss_threshold=draw(st.sampled_from([0, 250, 500])),
        retransmissions=draw(st.integers(0, 2)), embb_robots=draw(st.integers(1, 3)), epsilon=0.3, coherence_slots=2,
    )  # fmt: skip
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    batches = draw(st.lists(st.tuples(TIMES, st.integers(1, 9)), max_size=6))
    ready = sorted(t for t, n in batches for _ in range(n))
    packets = [(t, float(luck)) for t, luck in zip(ready, rng.random(len(ready)), strict=True)]
    jobs = sorted(
        draw(st.lists(st.tuples(TIMES, st.integers(0, scene.embb_robots - 1), st.integers(1, 4000)), max_size=12))
    )
    eras = SLOTS // 2
    rates = rng.integers(0, 900, (eras, scene.embb_robots, carriers))
    return scene, packets, jobs, rates, rng.choice([0.0, 0.1, 0.2, 0.9], (eras, carriers))


def run(scene, packets, jobs, rates, errors):
    p = make_packets(np.array([t for t, _ in packets], np.int64), np.array([x for _, x in packets]))
    columns = [np.array([job[k] for job in jobs], np.int64) for k in range(3)]
    j = make_jobs(*columns)
    grants = np.zeros((SLOTS, scene.sub_carriers), np.int64)
    traces = np.full((SLOTS, scene.minislots, scene.sub_carriers), -1)
    failed = transmit(scene, p, j, rates, errors, SLOTS, grants, traces)
    return p, j, grants, traces, failed


@settings(deadline=None, max_examples=300)
@given(cases())
def test_equals_the_reference_exactly(case):
    p, j, grants, traces, _ = run(*case)
    packet_end, job_end, left, grid, plans = reference(*case, SLOTS)
    assert [NAMES.get(int(e), int(e)) for e in p.end] == packet_end
    assert [NAMES.get(int(e), int(e)) for e in j["end"]] == job_end
    assert j["left"].tolist() == left
    assert grants.tolist() == plans
    assert {tuple(map(int, w)): int(traces[tuple(w)]) for w in np.argwhere(traces >= 0)} == grid


@settings(deadline=None, max_examples=150)
@given(cases())
def test_books_balance_and_rules_hold(case):
    """Each packet in one place at most, M kept, causality, two mini-slots, no bit delivered twice."""
    scene, mini = case[0], case[0].minislot
    p, j, _, traces, failed = run(*case)
    on_air = traces[traces >= 0]
    assert len(set(on_air.tolist())) == len(on_air) == np.sum((p.end > 0) | (p.end == LOST))
    fates = [np.sum(p.end == f) for f in (QUEUED, DROPPED, LOST)]
    assert sum(fates) + np.sum(p.end > 0) == len(p.ready)
    assert (failed > 0) == (fates[1] > 0)
    gone = p.end > 0
    wait = p.end[gone] - p.ready[gone]
    assert np.all(wait >= mini)
    if scene.scheduler != "fifo":
        assert (traces >= 0).sum(axis=2).max() <= scene.packets_per_minislot
        assert np.all(wait < (3 if scene.scheduler == "puncturing" else 2) * mini)
    assert np.all((j["left"] >= 0) & (j["left"] <= j["bits"]))
    assert np.all((j["left"] == 0) == (j["end"] > 0))
    assert np.all(j["end"][j["end"] > 0] >= j["ready"][j["end"] > 0] + SLOT)


@settings(deadline=None, max_examples=100)
@given(cases(), st.integers(0, 10))
def test_urllc_never_waits_behind_embb(case, seed):
    """Whatever eMBB asks for, the packets leave at the same times."""
    scene, packets, jobs, rates, errors = case
    scene = scene.but(scheduler="puncturing" if scene.scheduler == "fifo" else scene.scheduler)
    packets = [(t, 1.0) for t, _ in packets]
    ends = [run(scene, packets, other, rates, errors)[0].end.tolist() for other in (jobs, jobs[: seed % 3], [])]
    assert ends[0] == ends[1] == ends[2]


def burst(count, **changes):
    scene = scenario(sub_carriers=4, packets_per_minislot=2, embb_robots=1, **changes)
    errors, rates = np.zeros((1, 4)), np.full((1, 1, 4), 1000)
    return run(scene, [(1, 1.0)] * count, [(0, 0, 4000)], rates, errors)


@pytest.mark.parametrize(
    ("scheduler", "ends"),
    [("puncturing", [500_000] * 2 + [750_000] * 2 + [DROPPED]), ("putd", [500_000] * 2 + [DROPPED] * 3)],
)
def test_five_packets_at_two_a_minislot(scheduler, ends):
    p, *_, failed = burst(5, scheduler=scheduler)
    assert p.end.tolist() == ends
    assert failed == 1


def test_fifo_waits_for_its_turn():
    """The job was first and takes the whole slot; the packets go one after another on one sub-carrier of the next."""
    p, *_ = burst(5, scheduler="fifo")
    assert p.end.tolist() == [1_250_000, 1_500_000, 1_750_000, 2_000_000, 1_250_000]


@pytest.mark.parametrize(("loss", "left"), [("linear", 1000), ("convex", 250), ("threshold", 0)])
def test_four_of_sixteen_units_punctured(loss, left):
    """Block of 4,000 bits, x = 1/4: linear loses 1/4, convex 1/16, threshold 1/2 nothing."""
    scene = scenario(sub_carriers=4, packets_per_minislot=2, embb_robots=1, loss=loss)
    p, j, *_ = run(scene, [(1, 1.0)] * 4, [(0, 0, 4000), (900_000, 0, 5)], np.full((3, 1, 4), 1000), np.zeros((3, 4)))
    first = min(4000, 4000 - left)
    assert (p.end > 0).all()
    assert j["end"].tolist() == ([1_000_000, 2_000_000] if first == 4000 else [2_000_000, 2_000_000])


def test_a_failed_block_is_retransmitted_and_then_given_up():
    scene = scenario(
        sub_carriers=4, packets_per_minislot=4, embb_robots=1, loss="threshold", loss_threshold=100, retransmissions=1
    )
    hits = [(SLOT * s + 1, 1.0) for s in (0, 1) for _ in range(4)]
    _, j, *_ = run(scene, hits, [(0, 0, 4000)], np.full((1, 1, 4), 1000).repeat(3, 0), np.zeros((3, 4)))
    assert j["end"].tolist() == [DROPPED] and j["left"].tolist() == [4000]
    _, j, *_ = run(scene, hits[:4], [(0, 0, 4000)], np.full((3, 1, 4), 1000), np.zeros((3, 4)))
    assert j["end"].tolist() == [2 * SLOT]
