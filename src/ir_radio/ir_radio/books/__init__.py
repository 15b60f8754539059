# SPDX-License-Identifier: Apache-2.0
"""What became of every byte: counters of flows, histograms of delays, reports of slices.

It reads the tables of a cell (`ir_radio.cell_tables`), and knows nothing of the engine that fills them.
"""
