# SPDX-License-Identifier: Apache-2.0
"""The tables of a cell: what the rows of the kernel's arrays hold, and arrays that grow.

Compiled (jit) functions take in the constants of this module.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

NONE = -1
"""No row."""
MEASURED = -2
"""Era of a link whose rate was measured: fading is in it already."""
TINY = 1e-6
"""Bits under which a remainder is rounding, not data."""

MOST_SLOTS, MOST_STEPS = 80, 32
"""Longest pattern of slots, and most steps of modulation and coding, that a cell has room for."""

RESERVED, PUNCTURING, PUTD, EUAD, FIFO = range(5)
SCHEDULERS = {"reserved": RESERVED, "puncturing": PUNCTURING, "putd": PUTD, "euad": EUAD, "fifo": FIFO}


class Fate(IntEnum):
    """What became of a message; from QUEUE_FULL on: why it was dropped."""

    DELIVERED = 0
    ACCEPTED = 1
    QUEUE_FULL = 2
    TOO_LARGE = 3
    EXPIRED = 4
    OUT_OF_COVERAGE = 5
    NO_POSE = 6
    NO_SLICE = 7
    SLICE_DELETED = 8
    TIME_JUMP = 9
    OUTAGE = 10  # urllc: the mini-slots in which it could go passed it by
    NOT_DECODED = 11  # urllc: sent, but an error event struck it
    HARQ_FAILED = 12  # embb: its block failed more often than it may be sent again
    COMPUTING_FULL = 13  # euad: the computing would take too long
    LOST = 14  # on a line without a carrier: at its rate of loss


def _table(integers: str, floats: str = "") -> np.dtype[Any]:
    return np.dtype([(n, np.int64) for n in integers.split()] + [(n, np.float64) for n in floats.split()])


# now: ns; next: start of the next mini-slot to be served, ns; mini, slot: lengths, ns; free: first free row of the
# pool; waiting: queues that hold messages; seed: of all chance; coherence: of the fading, ns, whole slots, 0: none;
# subbands: that fade each for itself;
# latency: added to each message after its last bit, ns; scheduler: one of SCHEDULERS; limit: most urllc packets of a
# slice in a mini-slot; patience: mini-slots in which such a packet may go, 0: any number; rule, loss: as in
# `puncturing`; threshold: 1/1000; exponent; retransmissions: of a block; blocks: of the carrier; processing: messages
# in the computing; shared: of the computing, 1/1000, what urllc may use; idle: what embb may use while no urllc is
# there; drop_after: euad, ns.
# apart: a slice has dedicated blocks or a ceiling under puncturing.
# access: 1: the air is that of `access_air`; header: bytes that each message is longer on the air.
# bandwidth: of a resource block, what reaches the user, Hz; efficiency: greatest log2(1 + SNR), bit/s/Hz;
# coverage: least SNR, linear; symbols: of a block in a mini-slot; quantile: Q^-1(epsilon); block_error: probability
# that an embb block fails; work: ns of computing per byte, 0: there is none.
# Keys of `radio_access`, times in ns, sizes in bits: first_grant to sharing. attempts: transmissions of a block;
# margin: Q^-1 of the target; weight: by which blocks count as used, so that a carrier that is full both ways is used
# once; spans [slots of the pattern, 2]: share of each that carries downlink (its beginning), uplink (its end); ladder
# [steps, 4]: SNR from which a step holds, bit/s/Hz, threshold and deviation of its MCS, dB. They stand here, not in
# tables of their own, since every further table makes every call of a compiled function slower.
_CELL = _table(
    "now next mini slot free waiting seed coherence subbands latency scheduler limit patience rule loss threshold "
    "exponent retransmissions blocks processing shared idle drop_after apart access header configured sr first_grant "
    "keep k1 k2 ue gnb rtt attempts outer acknowledged rlc segment core sharing slots steps "
    "contends backoff_slot sifs preamble acknowledgement packet packet_header aggregated txop burst",
    "bandwidth efficiency coverage symbols quantile block_error work margin spread jitter weight packet_error",
)
CELL = np.dtype([
    *_CELL.descr, ("spans", np.float64, (MOST_SLOTS, 2)), ("ladder", np.float64, (MOST_STEPS, 4)),
    ("windows", np.float64, (2, 3)),
])  # fmt: skip
# Keys of `wifi_contention`, times in ns: contends to burst; windows [2: embb, urllc; 3]: AIFSN, least and greatest
# window, slots.
# rotation: where puncturing goes on; slot: number of the slot that is planned; taken: blocks that urllc took in the
# mini-slot served last; busy: ns until which urllc is in the computing; first, last: its messages; embb_first,
# embb_last: those of embb; clock: ns up to which embb was served; left: work of its first, ns / 1000. medium: ns up to
# which contention was played; idle: slots for which the medium was idle then.
STATION = _table("rotation slot taken busy first last embb_first embb_last clock left medium idle")
# era: coherence time for which the rate holds, MEASURED: it does not fade; station: that serves it; snr: mean, linear,
# NaN: no pose; faded: of the era; rate: of a resource block, bit/s. barred: ns until which nothing crosses, after a
# handover or a failure; 0: it does. headroom: resource blocks that its sender can give the power of which snr speaks.
LINK = _table("era station barred", "snr faded rate headroom")
# One row per slice and station. urllc: served at every mini-slot, else at every slot; lifespan: ns, 0 none; bound: of
# latency, ns; limit: bytes per queue; first: of its waiting queues; punctured: blocks times mini-slots that urllc took
# from it; blocks: resource blocks allocated; used: resource blocks times ns that carried bits; lost: bits that were to
# go in a slot, but had to be sent again.
# owed_down, owed_up: blocks that repetitions take from the next slots.
# dedicated, ceiling: blocks that nobody else uses, and that it never exceeds (else its allocation says all);
# own_first, own_last: the dedicated ones of the slot; taken: urllc, blocks of the mini-slot; uplink: fraction of its
# blocks that uplink has a right to, -1: the directions are not apart.
# police: bit/s that a URLLC slice may take from others' blocks, 0: any; tokens: bits that it may take now, at most
# depth; refilled: when they were counted, ns.
SLICE = _table(
    "active urllc station lifespan bound limit first punctured refilled own_first own_last taken",
    "blocks used lost owed_down owed_up police tokens depth dedicated ceiling uplink",
)
# downlink: it passes the computing; bytes: of whole messages that have not left; later: bytes behind the unsent
# message; next: waiting queue of the same slice; fails: of its block in a row; punctured: blocks times mini-slots of
# this slot; cursor: of fifo; left: bits that remain of the unsent message; granted: resource blocks until the next
# scheduling; block: bits of the transport block (what was there when it was scheduled) that are still to be sent;
# capacity: bits that its granted blocks carry in the slot.
# With access: open: from when on it may be served, -1: not found out yet; until: for which grants go on without a
# report, -1: none do; report_at, newer_at: when two buffer reports are granted, 0: none; turn: start of its last block;
# arrived, departed: greatest so far, of blocks decoded and messages delivered, ns; visible: bits that are granted;
# report, newer: of the two reports; mean: rate of late, bit/s.
# With contention: backoff: slots that are left, -1: not drawn; sends: it does now.
QUEUE = _table(
    "slice link downlink head unsent tail bytes later next waiting fails punctured cursor open until report_at "
    "newer_at turn arrived departed backoff sends",
    "left granted block capacity visible report newer mean",
)
# bound: delay beyond which a message is late, ns; late: such messages; retransmissions: blocks, led by a message of it,
# that were sent again
FLOW = _table(
    "queue active offered offered_bytes delivered delivered_bytes queued queued_bytes delay_max late retransmissions "
    "bound",
    "delay_sum",
)
# departure: of its last bit, ns; before that: when it was ready for the air.
MESSAGE = _table("id flow size arrival departure fate next")
ARRIVAL = _table("id flow size time fate")
EVENT = _table("id flow time fate")


Rows = Any
"""[n] of one of the types above: the rows of a table."""
Row = Any
"""One row of a table; what is written to it stands in the table."""


class Tables(NamedTuple):
    """All that the compiled functions work on.

    `grid` [2 x stations + 2, blocks]: of each station the queue that was given each block, then the blocks that urllc
    takes in its mini-slot; then all blocks in order; at last those that it may choose from where some are dedicated.
    """

    cell: Any
    stations: Any
    slices: Any
    queues: Any
    flows: Any
    drops: Any
    delays: Any
    pool: Any
    links: Any
    grid: Any
    events: Any


class Table:
    """Rows of one kind, in an array that doubles when it is full; released rows are used again."""

    def __init__(self, dtype: Any, shape: tuple[int, ...] = (), fill: float = 0) -> None:
        self._store = np.full((4, *shape), fill, dtype)
        self._fill, self._released = fill, list[int]()
        self.rows: Any = self._store[:0]

    def add(self) -> int:
        """Number of a fresh row."""
        if self._released:
            return self._released.pop()
        count = len(self.rows)
        if count == len(self._store):
            self._store = np.concatenate([self._store, np.full_like(self._store, self._fill)])
        self.rows = self._store[: count + 1]
        return count

    def release(self, row: int) -> None:
        """Clears a row for use by a later `add`."""
        self.rows[row] = self._fill
        self._released.append(row)
