# SPDX-License-Identifier: Apache-2.0
"""The computing against hand-solved cases and a reference that lives nanosecond by nanosecond."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ir_radio.coexistence.batch_computing import DROPPED, compute


def arrays(jobs):
    jobs = sorted(jobs, key=lambda job: job[0])
    return np.array([j[0] for j in jobs], np.int64), np.array([j[1] for j in jobs], np.int64)


def by_tick(urllc, embb, shared, scheduler, drop_after):
    """One nanosecond after another; thousandths of work."""
    left = {("u", i): int(w) * 1000 for i, w in enumerate(urllc[1])} | {
        ("e", i): int(w) * 1000 for i, w in enumerate(embb[1])
    }
    arrival = {("u", i): int(a) for i, a in enumerate(urllc[0])} | {("e", i): int(a) for i, a in enumerate(embb[0])}
    end, now = {}, 0

    def present(kind):
        return [job for job in sorted(left) if job[0] in kind and job not in end and arrival[job] <= now]

    def serve(jobs, rate):
        if jobs and rate:
            left[jobs[0]] -= rate
            if left[jobs[0]] <= 0:
                end[jobs[0]] = now + 1

    while len(end) < len(left):
        for job in present("u"):
            if scheduler == "euad" and arrival[job] == now:
                ahead = sum(-(-left[j] // shared) for j in present("u") if j < job)
                if ahead + -(-left[job] // shared) > drop_after:
                    end[job] = DROPPED
        u, e = present("u"), present("e")
        if scheduler == "fifo":
            serve(sorted(u + e, key=lambda j: (arrival[j], j[0] != "u", j[1])), 1000)
        elif scheduler == "euad":
            serve(u, shared)
            serve(e, 1000 - shared)
        else:
            serve(u, shared)
            serve(e, 1000 - shared if u else 1000)
        now += 1
        assert now < 100_000
    return [end["u", i] for i in range(len(urllc[0]))], [end["e", i] for i in range(len(embb[0]))]


JOBS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=6)


@settings(deadline=None)
@given(
    JOBS, JOBS, st.sampled_from([100, 333, 500, 999, 1000]),
    st.sampled_from(["puncturing", "putd", "euad", "fifo"]), st.integers(5, 60),
)  # fmt: skip
def test_equals_the_reference_exactly(urllc, embb, shared, scheduler, drop_after):
    if scheduler == "euad":
        shared = min(shared, 900)
    u, e = arrays(urllc), arrays(embb)
    got = compute(u, e, shared, scheduler, drop_after)
    expected = by_tick(u, e, shared, scheduler, drop_after)
    assert got[0].tolist() == expected[0]
    assert got[1].tolist() == expected[1]


def test_an_interrupted_job_resumes_and_loses_nothing():
    """eMBB of 10 ns from 0, URLLC of 3 ns at 4: on the fully shared part it ends at 13, with half exclusive sooner."""
    u, e = arrays([(4, 3)]), arrays([(0, 10)])
    assert [x.tolist() for x in compute(u, e, 1000, "puncturing")] == [[7], [13]]
    # Half: URLLC takes 6 ns (4..10), in which eMBB does 3: done at 4 + 6 + 3 = 13.
    assert [x.tolist() for x in compute(u, e, 500, "putd")] == [[10], [13]]
    assert [x.tolist() for x in compute(u, e, 1000, "fifo")] == [[13], [10]]
    assert [x.tolist() for x in compute(u, e, 500, "euad")] == [[10], [20]]


def test_euad_drops_what_would_come_too_late():
    u = arrays([(0, 5), (0, 5), (0, 1)])
    assert compute(u, arrays([]), 500, "euad", 12)[0].tolist() == [10, DROPPED, 12]


@settings(deadline=None)
@given(JOBS, JOBS, JOBS, st.sampled_from([250, 1000]))
def test_urllc_never_waits_behind_embb(urllc, embb, other, shared):
    u = arrays(urllc)
    a, b = (compute(u, arrays(jobs), shared, "puncturing")[0] for jobs in (embb, other))
    assert a.tolist() == b.tolist()


@pytest.mark.parametrize("shared", [200, 500, 1000])
def test_more_shared_serves_urllc_sooner_and_no_work_is_lost(shared):
    """The last end is the same for every share as long as eMBB is the last to be served."""
    u, e = arrays([(10, 5), (12, 5)]), arrays([(0, 500)])
    assert compute(u, e, shared, "puncturing")[1].tolist() == [510]
