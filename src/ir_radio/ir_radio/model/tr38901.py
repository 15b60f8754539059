# SPDX-License-Identifier: Apache-2.0
"""Formulas of 3GPP TR 38.901 (V16.1.0): path loss, line of sight, shadowing. All functions take arrays.

Distances are in m (`flat`: in the horizontal plane, d_2D; `distance`: d_3D), heights in m, losses in dB, the frequency
in Hz. Each pair is (line of sight, none).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio.model.propagation import Propagation, Scenario

Floats = NDArray[np.float64]

_LIGHT = 3e8  # m/s, as the breakpoint distance is defined
_STREET_HEIGHT = 1.0  # m: effective environment height h_E of UMi

DEVIATIONS: dict[Scenario, tuple[float, float]] = {
    "inf_sl": (4.3, 5.7), "inf_dl": (4.3, 7.2), "inf_sh": (4.3, 5.9), "inf_dh": (4.3, 4.0),
    "inh_mixed": (3.0, 8.03), "inh_open": (3.0, 8.03), "umi": (4.0, 7.82),
}  # fmt: skip
"""Standard deviations of shadowing, dB (table 7.4.1-1)."""

CORRELATIONS: dict[Scenario, tuple[float, float]] = {
    "inf_sl": (10.0, 10.0), "inf_dl": (10.0, 10.0), "inf_sh": (10.0, 10.0), "inf_dh": (10.0, 10.0),
    "inh_mixed": (10.0, 6.0), "inh_open": (10.0, 6.0), "umi": (10.0, 13.0),
}  # fmt: skip
"""Distances over which shadowing decorrelates to 1/e, m (table 7.5-6)."""


def sight_correlation(p: Propagation) -> float:
    """Distance over which the state of line of sight decorrelates, m (table 7.6.3.1-2)."""
    return p.width / 2.0 if p.in_factory else 50.0 if p.scenario == "umi" else 10.0


def path_losses(
    p: Propagation, frequency: float, flat: ArrayLike, base: ArrayLike, terminal: ArrayLike, least: float = 1.0
) -> tuple[Floats, Floats]:
    """Path losses of table 7.4.1-1, with and without line of sight.

    Args:
        p: the scenario.
        frequency: Hz.
        flat: [...] distance in the plane.
        base, terminal: [...] heights of the antennas; in a street canyon those of terminals count as at least 1.5 m.
        least: distances count as at least this.

    Returns:
        ([...] dB, [...] dB).
    """
    flat, base, terminal = (np.asarray(value, np.float64) for value in (flat, base, terminal))
    f, log = 20.0 * np.log10(frequency / 1e9), np.log10(np.maximum(np.hypot(flat, base - terminal), least))
    if p.scenario == "umi":
        return _street(frequency, f, log, flat, base, np.maximum(terminal, 1.5))
    if not p.in_factory:
        los = 32.4 + 17.3 * log + f
        return los, np.maximum(los, 17.30 + 38.3 * log + 24.9 / 20.0 * f)
    los = 31.84 + 21.50 * log + 0.95 * f
    sparse = 33.0 + 25.5 * log + f
    if p.scenario == "inf_dl":
        return los, np.maximum(np.maximum(los, sparse), 18.6 + 35.7 * log + f)
    nlos = {"inf_sl": sparse, "inf_sh": 32.4 + 23.0 * log + f, "inf_dh": 33.63 + 21.9 * log + f}[p.scenario]
    return los, np.maximum(los, nlos)


def _street(
    frequency: float, f: float, log: Floats, flat: Floats, base: Floats, terminal: Floats
) -> tuple[Floats, Floats]:
    """UMi street canyon; `log`: of the distance in space."""
    effective = (base - _STREET_HEIGHT) * (terminal - _STREET_HEIGHT)
    breakpoint_ = 4.0 * effective * frequency / _LIGHT  # note 1 of the table
    near = 32.4 + 21.0 * log + f
    far = 32.4 + 40.0 * log + f - 9.5 * np.log10(breakpoint_**2 + (base - terminal) ** 2)
    los = np.where(flat <= breakpoint_, near, far)
    return los, np.maximum(los, 35.3 * log + 22.4 + 21.3 / 20.0 * f - 0.3 * (terminal - 1.5))


def sight_probability(p: Propagation, flat: ArrayLike, base: ArrayLike, terminal: ArrayLike) -> Floats:
    """Probability of line of sight, table 7.4.2-1; 0 or 1 where the scenario says `never` or `always`.

    Args:
        p: the scenario.
        flat: [...] distance in the plane.
        base, terminal: [...] heights of the antennas.
    """
    flat, base, terminal = (np.asarray(value, np.float64) for value in (flat, base, terminal))
    if p.line_of_sight != "drawn":
        return np.full(np.broadcast(flat, base, terminal).shape, float(p.line_of_sight == "always"))
    if p.scenario == "umi":
        near = 18.0 / np.maximum(flat, 18.0)
        return np.where(flat <= 18.0, 1.0, near + np.exp(-flat / 36.0) * (1.0 - near))
    if p.scenario == "inh_mixed":
        inner, outer = np.exp(-(flat - 1.2) / 4.7), 0.32 * np.exp(-(flat - 6.5) / 32.6)
        return np.where(flat <= 1.2, 1.0, np.where(flat < 6.5, inner, outer))
    if p.scenario == "inh_open":
        inner, outer = np.exp(-(flat - 5.0) / 70.8), 0.54 * np.exp(-(flat - 49.0) / 211.7)
        return np.where(flat <= 5.0, 1.0, np.where(flat <= 49.0, inner, outer))
    scale = -p.width / np.log1p(-p.density)
    if not p.base_is_high:
        return np.broadcast_to(np.exp(-flat / scale), np.broadcast(flat, base, terminal).shape)
    under = np.maximum(p.height - terminal, 0.0)  # of the terminal under the top of the clutter
    return np.exp(-flat / scale * under / np.maximum(base - terminal, 1e-9))
