# SPDX-License-Identifier: Apache-2.0
"""The channel: hand-solved values, monotony, coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_radio.model import channel
from ir_radio.model.carrier import Carrier


def test_path_loss_is_the_papers_formula():
    assert channel.free_space_path_loss(100.0, 2400e6) == pytest.approx(40.0 + 67.6042 - 27.55, abs=1e-4)


def test_path_loss_agrees_with_friis():
    distance, frequency = np.array([1.0, 7.0, 30.0]), 3.5e9
    friis = 20.0 * np.log10(4.0 * np.pi * distance * frequency / 299_792_458.0)
    np.testing.assert_allclose(channel.free_space_path_loss(distance, frequency), friis, atol=0.01)


def test_rate_of_a_block_by_hand():
    carrier = Carrier(resource_blocks=100, bandwidth=20e6, tx_power=20.0, frequency=1000e6, noise_figure=0.0)
    # at 100 m: loss 40 + 60 - 27.55 = 72.45 dB; 0 dBm per block; noise -174 + 52.5527 dBm
    ratio = channel.snr(carrier, 100.0)
    assert ratio == pytest.approx(-72.45 + 174.0 - 52.5527, abs=1e-3)
    carrier = carrier.model_copy(update={"max_spectral_efficiency": 99.0})
    assert channel.block_rate(carrier, ratio) == pytest.approx(180e3 * np.log2(1.0 + 10.0 ** (ratio / 10.0)))


def test_efficiency_is_capped_and_ends_at_the_edge_of_coverage():
    carrier = Carrier()
    assert channel.block_rate(carrier, 60.0) == pytest.approx(180e3 * carrier.max_spectral_efficiency)
    assert channel.block_rate(carrier, carrier.min_snr - 1e-6) == 0.0
    assert channel.block_rate(carrier, carrier.min_snr) > 0.0
    assert np.isnan(channel.block_rate(carrier, np.nan))


def test_gain_is_added_in_decibels():
    np.testing.assert_allclose(channel.snr(Carrier(), 10.0, [-3.0, 0.0]) - channel.snr(Carrier(), 10.0), [-3.0, 0.0])


def test_default_carrier_holds_the_papers_slices_with_margin():
    """45 + 35 + 15 Mb/s and control fit 1 to 30 m away, and the distance matters within that."""
    carrier = Carrier()
    rates = carrier.resource_blocks * channel.block_rate(carrier, channel.snr(carrier, [1.0, 30.0]))
    assert rates[1] > 1.5 * 100e6
    assert rates[0] > 1.2 * rates[1]


@given(st.lists(st.floats(0.0, 1e5), min_size=2, max_size=20))
def test_rate_never_rises_with_distance(distances):
    carrier = Carrier()
    rates = channel.block_rate(carrier, channel.snr(carrier, sorted(distances)))
    assert (np.diff(rates) <= 0.0).all() and np.isfinite(rates).all()
