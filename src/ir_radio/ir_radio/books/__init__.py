# SPDX-License-Identifier: Apache-2.0
"""What became of every byte: counters of flows, histograms of delays, reports of slices."""
