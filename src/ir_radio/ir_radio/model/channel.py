# SPDX-License-Identifier: Apache-2.0
"""The radio channel: from a distance to the bit rate of one resource block. All functions take arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ir_radio.model import tr38901
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_adaptation import efficiency_at
from ir_radio.model.random_fields import RandomField

Floats = NDArray[np.float64]
_TERMINAL_HEIGHT = 1.5
"""Of a terminal of which only the distance is known, m (TR 38.901, table 7.2-1)."""


def free_space_path_loss(distance: ArrayLike, frequency: float) -> Floats:
    """Free-space path loss, MAFL section II-A under eq. (1): 20 log10 d + 20 log10 f - 27.55 (d in m, f in MHz).

    Args:
        distance: [...] float, m, positive.
        frequency: Hz, positive.

    Returns:
        [...] float64, dB.
    """
    distance = np.asarray(distance, np.float64)
    return 20.0 * np.log10(distance) + 20.0 * np.log10(frequency / 1e6) - 27.55


def snr(carrier: Carrier, distance: ArrayLike, gain: ArrayLike = 0.0) -> Floats:
    """Signal-to-noise ratio of a resource block.

    The transmit power is spread evenly over all blocks of the carrier, so the ratio of a block does not depend on how
    many of them a slice was given: SNR = P - 10 log10(blocks) - PL + G - (N0 + NF + 10 log10(block bandwidth)), in dB.

    Args:
        carrier: the carrier; distances under its `min_distance` count as that.
        distance: [...] float, m; NaN where it is unknown.
        gain: [...] float, dB: what shadowing and fading add to the mean.

    Returns:
        [...] float64, dB; NaN where the distance is.
    """
    return ratio(carrier, path_loss(carrier, distance), gain)


def path_loss(carrier: Carrier, distance: ArrayLike) -> Floats:
    """Path loss at distances [...], m; dB: of free space, or the mean of the scenario over places with line of sight.

    A place (`coverage.Coverage`) has line of sight or not; of a distance only the probability is known, for a terminal
    at 1.5 m.
    """
    distance = np.maximum(np.asarray(distance, np.float64), carrier.min_distance)
    p = carrier.propagation
    if p is None:
        return free_space_path_loss(distance, carrier.frequency)
    height = carrier.position[2]
    flat = np.sqrt(np.maximum(distance**2 - (height - _TERMINAL_HEIGHT) ** 2, 0.0))
    los, nlos = tr38901.path_losses(p, carrier.frequency, flat, height, _TERMINAL_HEIGHT, carrier.min_distance)
    sight = tr38901.sight_probability(p, flat, height, _TERMINAL_HEIGHT)
    return sight * los + (1.0 - sight) * nlos


def ratio(carrier: Carrier, loss: ArrayLike, gain: ArrayLike = 0.0) -> Floats:
    """Signal-to-noise ratio of a resource block after a path loss [...], dB, with a gain [...], dB; [...] dB."""
    received = carrier.tx_power - 10.0 * np.log10(carrier.resource_blocks) + np.asarray(gain, np.float64)
    received = received - np.asarray(loss, np.float64)
    return received - (carrier.noise_density + carrier.noise_figure + 10.0 * np.log10(carrier.block_bandwidth))


def uplink_snr(carrier: Carrier, snr_db: ArrayLike, blocks: float | None = None) -> Floats:
    """Signal-to-noise ratio of uplink on so many blocks at once; none: those of `uplink.blocks`.

    Args:
        carrier: the carrier.
        snr_db: [...] that of downlink at the same place, without interference, dB.
        blocks: that the terminal shares its power among.

    Returns:
        [...] dB, of each block.
    """
    snr_db, uplink = np.asarray(snr_db, np.float64), carrier.uplink
    if uplink is None:
        return snr_db
    sent = carrier.tx_power - 10.0 * np.log10(carrier.resource_blocks)
    power = uplink.block_power(ratio(carrier, 0.0) - snr_db, carrier.subcarrier_spacing, blocks or uplink.blocks)
    return snr_db + power - sent - uplink.noise_rise


def uplink_headroom(carrier: Carrier, snr_db: float) -> float:
    """Blocks that a terminal can give as much power as a single one; at least 1. Arguments as of `uplink_snr`.

    Its power headroom (TS 38.321, 5.4.6) in blocks: beyond it, power is shared.
    """
    assert carrier.uplink is not None
    single = carrier.uplink.block_power(ratio(carrier, 0.0) - snr_db, carrier.subcarrier_spacing, 1.0)
    return float(10.0 ** (0.1 * (carrier.uplink.max_power - single)))


def block_rate(carrier: Carrier, snr_db: ArrayLike) -> Floats:
    """Bit rate of one resource block, MAFL eq. (1): w log2(1 + SNR), at most that of the best modulation and coding.

    r = w (1 - overhead) min(efficiency log2(1 + SNR), max_spectral_efficiency), the truncated Shannon bound of 3GPP
    TR 36.942, A.1. Differs from the paper: with efficiency 1 and overhead 0 by the cap alone; 0 under `min_snr`.

    With `access` it is that of the MCS that the link has (`link_adaptation`), over time in the direction that has less.

    Args:
        carrier: the carrier.
        snr_db: [...] float, dB; NaN where it is unknown.

    Returns:
        [...] float64, bit/s; 0 out of coverage, NaN where the ratio is.
    """
    rate = air_rate(carrier, snr_db)
    return carrier.least_share * rate if carrier.access else rate


def air_rate(carrier: Carrier, snr_db: ArrayLike) -> Floats:
    """`block_rate` while the carrier has the direction, bit/s [...]."""
    snr_db = np.asarray(snr_db, np.float64)
    if carrier.access:
        efficiency = (1.0 - carrier.overhead) * efficiency_at(carrier.access.ladder, snr_db)
    else:
        shannon = carrier.efficiency * np.log2(1.0 + 10.0 ** (snr_db / 10.0))
        efficiency = (1.0 - carrier.overhead) * np.minimum(shannon, carrier.max_spectral_efficiency)
    return carrier.block_bandwidth * np.where(snr_db < carrier.min_snr, 0.0, efficiency)


def distance_to(carrier: Carrier, position: ArrayLike) -> Floats:
    """Distance from the base station, m, of positions [..., 3] in the map frame, m."""
    return np.linalg.norm(np.asarray(position, np.float64) - np.asarray(carrier.position), axis=-1)


def shadowing(rng: np.random.Generator, shape: tuple[int, ...], deviation: float) -> Floats:
    """Log-normal shadowing, the Theta_u of MAFL section II-A.

    Args:
        rng: source of randomness.
        shape: of the result.
        deviation: standard deviation, dB, not negative.

    Returns:
        [*shape] float64, dB: a gain for `snr`, zero on average.
    """
    return rng.normal(0.0, deviation, shape)


def rayleigh_fading(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Rayleigh fading, the g_u of MAFL section II-A: an exponential power gain of mean 1.

    Returns:
        [*shape] float64, dB: a gain for `snr`.
    """
    return 10.0 * np.log10(rng.standard_exponential(shape))


class Shadowing:
    """Log-normal shadowing of one base station as a field over space, MAFL section II-A: normal in dB.

    Two places x apart are correlated with exp(-x / `shadowing_distance`) (`random_fields`): the same place has the same
    shadow for every robot and whenever it comes back, and nothing depends on the way there or on how often it is asked.
    Differs from the paper, which draws Theta_u anew each time.

    Args:
        carrier: its `shadowing` and `shadowing_distance` are used.
        rng: source of chance of this field.
    """

    def __init__(self, carrier: Carrier, rng: np.random.Generator) -> None:
        self._field, self._deviation = RandomField(carrier.shadowing_distance, rng), carrier.shadowing

    def at(self, positions: ArrayLike) -> Floats:
        """Gains at positions [..., 3], m; dB [...]."""
        return self._deviation * self._field.at(positions)
