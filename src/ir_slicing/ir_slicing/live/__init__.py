# SPDX-License-Identifier: Apache-2.0
"""Slice agents on a live radio: what an agent sees, asks for and learns, and rehearsals of it in simulated time."""
