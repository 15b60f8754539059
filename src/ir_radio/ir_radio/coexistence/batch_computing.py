# SPDX-License-Identifier: Apache-2.0
"""Base-station computing, IoR section IV (2): when each job of the two classes leaves it. Integer nanoseconds.

`work` is the time a job needs of the whole computing. The shared part serves URLLC, first come first served, and eMBB
when no URLLC is there: preemptive-resume. The exclusive part always serves eMBB. The eMBB jobs form one queue whose
first job is served by both parts together (fluid): at rate 1 while there is no URLLC, else at 1 - shared. The live cell
takes the same steps one message at a time (`ir_radio.engine.preemption`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ir_radio.compiled import jit
from ir_radio.engine.preemption import first_come, resume
from ir_radio.model.shares import MILLE

DROPPED = -2
"""End of a packet that was dropped."""

NEVER = np.iinfo(np.int64).max
_NEVER = int(NEVER)

Times = NDArray[np.int64]


@jit
def _first_come(arrival: Times, work: Times, share: int, patience: int, end: Times) -> None:
    """One class on `share` thousandths; who would leave later than `patience` after arriving is dropped at once."""
    free = 0
    for i in range(len(arrival)):
        leave = first_come(arrival[i], work[i], free, share)
        if leave - arrival[i] > patience:
            end[i] = DROPPED
        else:
            end[i] = free = leave


@jit
def _below(arrival: Times, work: Times, upper: Times, busy_to: Times, share: int, end: Times) -> None:
    """The lower class: rate 1, but 1 - share while one of the upper class, which came at `upper`, is served."""
    free, b, n = 0, 0, len(upper)
    for i in range(len(arrival)):
        now, left = max(arrival[i], free), work[i] * MILLE
        while True:
            while b < n and (busy_to[b] == DROPPED or busy_to[b] <= now):
                b += 1
            busy_from = _NEVER if b == n else upper[b] if b == 0 else max(upper[b], busy_to[b - 1])
            if busy_from <= now:
                rate, until = MILLE - share, busy_to[b]
            else:
                rate, until = MILLE, busy_from
            left, now = resume(left, rate, now, until)
            if left == 0 and rate > 0:
                break
        end[i] = free = now


@jit
def _merged(arrival_u: Times, work_u: Times, arrival_e: Times, work_e: Times, end_u: Times, end_e: Times) -> None:
    """Both classes in one queue in the order of arrival, URLLC first where they tie."""
    free, u, e = 0, 0, 0
    while u < len(arrival_u) or e < len(arrival_e):
        if e == len(arrival_e) or (u < len(arrival_u) and arrival_u[u] <= arrival_e[e]):
            end_u[u] = free = max(arrival_u[u], free) + work_u[u]
            u += 1
        else:
            end_e[e] = free = max(arrival_e[e], free) + work_e[e]
            e += 1


def compute(
    urllc: tuple[Times, Times], embb: tuple[Times, Times], shared: int, scheduler: str, drop_after: int = _NEVER
) -> tuple[Times, Times]:
    """Runs both queues to their end.

    Args:
        urllc, embb: (arrival, work), each [n] int64, ns; arrivals sorted, not negative; work not negative.
        shared: thousandths of the computing that URLLC may use, 1 to 1000; under euad it alone, less than 1000.
        scheduler: "puncturing" and "putd": shared; "euad": split; "fifo": one queue for all, on everything.
        drop_after: euad: packets that would stay longer are dropped on arrival, ns.

    Returns:
        ([n] int64, [m] int64), ns: when the last bit of each was processed; `DROPPED` where dropped.
    """
    end_u, end_e = np.empty_like(urllc[0]), np.empty_like(embb[0])
    if scheduler == "fifo":
        _merged(*urllc, *embb, end_u, end_e)
    elif scheduler == "euad":
        _first_come(*urllc, shared, drop_after, end_u)
        _first_come(*embb, MILLE - shared, _NEVER, end_e)
    else:
        _first_come(*urllc, shared, _NEVER, end_u)
        _below(*embb, urllc[0], end_u, shared, end_e)
    return end_u, end_e
