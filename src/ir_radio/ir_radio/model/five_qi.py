# SPDX-License-Identifier: Apache-2.0
"""Packet delay budgets of the standardised 5G QoS identifiers (5QI), 3GPP TS 23.501 (V16), table 5.7.4-1."""

from __future__ import annotations

BUDGETS: dict[int, float] = {
    1: 0.1, 2: 0.15, 3: 0.05, 4: 0.3, 65: 0.075, 66: 0.1, 67: 0.1, 71: 0.15, 72: 0.3, 73: 0.3, 74: 0.5, 76: 0.5,
    5: 0.1, 6: 0.3, 7: 0.1, 8: 0.3, 9: 0.3, 69: 0.06, 70: 0.2, 79: 0.05, 80: 0.01,
    82: 0.01, 83: 0.01, 84: 0.03, 85: 0.005, 86: 0.005,
}  # fmt: skip
"""Seconds between the terminal and the edge of the core, by 5QI: guaranteed rates, others, delay-critical ones."""
