# SPDX-License-Identifier: Apache-2.0
"""What the radio is made of, as formulas and configuration: carrier, channel, blocklength, arrivals, slices, traces.

It imports none of the other rooms.
"""
