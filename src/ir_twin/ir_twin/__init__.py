# SPDX-License-Identifier: Apache-2.0
"""The robots' digital twin, its risk veto, and the bringup of the stack."""
