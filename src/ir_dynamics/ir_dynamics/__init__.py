# SPDX-License-Identifier: Apache-2.0
"""Learnt models of the robots' dynamics, what they are learnt from, and how they are fitted and kept."""
