# SPDX-License-Identifier: Apache-2.0
"""What a carrier's configuration is to the compiled functions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ir_radio.cell_tables import CELL, NONE, SCHEDULERS
from ir_radio.engine.puncturing import LOSSES, RULES
from ir_radio.model.carrier import Carrier
from ir_radio.model.shares import MILLE

_NS = 1_000_000_000


def settings(carrier: Carrier, slot: int, mini_slots: int, seed: int) -> NDArray[Any]:
    """The one row of the table of the cell."""
    air, computing, mini = carrier.air, carrier.computing, slot // mini_slots
    cell = np.zeros(1, CELL)
    bandwidth = carrier.block_bandwidth * carrier.efficiency * (1.0 - carrier.overhead)
    values: dict[str, float] = {
        "mini": mini, "slot": slot, "free": NONE, "seed": seed, "latency": round(carrier.scheduling_latency * _NS),
        "coherence": carrier.coherence_slots * slot if carrier.fading == "rayleigh" else 0,
        "scheduler": SCHEDULERS[air.scheduler], "limit": air.packets_per_minislot, "patience": air.patience,
        "rule": RULES[air.puncture], "loss": LOSSES[air.loss],
        "threshold": air.loss_threshold, "exponent": air.loss_exponent, "retransmissions": air.retransmissions,
        "blocks": carrier.resource_blocks, "bandwidth": bandwidth, "symbols": bandwidth * mini * 1e-9,
        "efficiency": carrier.max_spectral_efficiency / carrier.efficiency,
        "coverage": 10.0 ** (carrier.min_snr / 10.0), "quantile": -ndtri(air.epsilon), "block_error": air.block_error,
    }  # fmt: skip
    if computing:
        fifo, euad = air.scheduler == "fifo", air.scheduler == "euad"
        values["work"], values["drop_after"] = 8e9 / computing.rate, round(computing.drop_after * _NS)
        values["shared"] = MILLE if fifo else computing.shared
        values["idle"] = MILLE - computing.shared if euad else MILLE
    for name, value in values.items():
        cell[name] = value
    return cell
