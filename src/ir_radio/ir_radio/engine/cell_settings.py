# SPDX-License-Identifier: Apache-2.0
"""What a carrier's configuration is to the compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ir_radio.cell_tables import CELL, MOST_SLOTS, MOST_STEPS, NONE, SCHEDULERS
from ir_radio.engine.access_air import SHARINGS
from ir_radio.engine.puncturing import LOSSES, RULES
from ir_radio.model.carrier import Carrier
from ir_radio.model.radio_access import RadioAccess
from ir_radio.model.shares import MILLE
from ir_radio.model.wifi_contention import Contention

_NS = 1_000_000_000


def settings(carrier: Carrier, slot: int, mini_slots: int, seed: int) -> NDArray[Any]:
    """The one row of the table of the cell."""
    air, computing, mini = carrier.air, carrier.computing, slot // mini_slots
    cell = np.zeros(1, CELL)
    access = carrier.access
    bandwidth = carrier.block_bandwidth * (1.0 if access else carrier.efficiency) * (1.0 - carrier.overhead)
    best = float(access.ladder.efficiency[-1]) if access else carrier.max_spectral_efficiency / carrier.efficiency
    values: dict[str, Any] = {
        "mini": mini, "slot": slot, "free": NONE, "seed": seed, "latency": round(carrier.scheduling_latency * _NS),
        "coherence": carrier.coherence_slots * slot if carrier.fading == "rayleigh" else 0,
        "subbands": carrier.subbands,
        "scheduler": SCHEDULERS[air.scheduler], "limit": air.packets_per_minislot, "patience": air.patience,
        "rule": RULES[air.puncture], "loss": LOSSES[air.loss],
        "threshold": air.loss_threshold, "exponent": air.loss_exponent, "retransmissions": air.retransmissions,
        "blocks": carrier.resource_blocks, "bandwidth": bandwidth, "symbols": bandwidth * mini * 1e-9,
        "efficiency": best,
        "coverage": 10.0 ** (carrier.min_snr / 10.0), "quantile": -ndtri(air.epsilon), "block_error": air.block_error,
    }  # fmt: skip
    if computing:
        fifo, euad = air.scheduler == "fifo", air.scheduler == "euad"
        values["work"], values["drop_after"] = 8e9 / computing.rate, round(computing.drop_after * _NS)
        values["shared"] = MILLE if fifo else computing.shared
        values["idle"] = MILLE - computing.shared if euad else MILLE
    if access:
        values |= _access_settings(access, slot)
    if carrier.contention:
        values |= _contention_settings(carrier.contention)
    for name, value in values.items():
        cell[name] = value
    return cell


def _access_settings(access: RadioAccess, slot: int) -> dict[str, Any]:
    """What `carrier.access` adds to it; a slot is `slot` ns long."""
    return {
        "access": 1, "header": access.message_header, "configured": access.configured_grant,
        "sr": _whole_ns(access.sr_period), "first_grant": 8 * access.first_grant,
        "keep": _whole_ns(access.keep_granting), "k1": access.k1 * slot, "k2": access.k2 * slot,
        "ue": _whole_ns(access.ue_processing), "gnb": _whole_ns(access.gnb_processing),
        "rtt": _whole_ns(access.harq_round_trip), "attempts": access.transmissions, "outer": access.outer_loop,
        "acknowledged": access.rlc == "acknowledged", "rlc": _whole_ns(access.rlc_wait),
        "segment": 8 * access.segment_header, "core": _whole_ns(access.core_delay),
        "sharing": SHARINGS[access.sharing], "margin": -ndtri(access.bler_target), "spread": access.combining_spread,
        "jitter": access.core_jitter * _NS, "weight": 1.0 if access.tdd else 0.5,
        "slots": len(access.spans), "steps": len(access.ladder.start),
        "spans": _padded(access.spans, MOST_SLOTS), "ladder": _padded(np.stack(access.ladder, axis=1), MOST_STEPS),
    }  # fmt: skip


def _contention_settings(contention: Contention) -> dict[str, Any]:
    """What `carrier.contention` adds to it."""
    windows = [[one.aifsn, one.cw_min, one.cw_max] for one in (contention.embb, contention.urllc)]
    return {
        "contends": 1, "backoff_slot": _whole_ns(contention.slot_time), "sifs": _whole_ns(contention.sifs),
        "preamble": _whole_ns(contention.preamble), "acknowledgement": _whole_ns(contention.acknowledgement),
        "packet": contention.packet, "packet_header": contention.packet_header, "aggregated": contention.aggregated,
        "txop": _whole_ns(contention.txop), "burst": _whole_ns(contention.burst),
        "packet_error": contention.packet_error, "retransmissions": contention.retries, "windows": np.array(windows),
    }  # fmt: skip


def _padded(rows: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.pad(rows, ((0, count - len(rows)), (0, 0)))


def _whole_ns(seconds: float) -> int:
    return round(seconds * _NS)
