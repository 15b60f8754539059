# SPDX-License-Identifier: Apache-2.0
"""The radio cell and the relay node that carries topics through its slices."""
