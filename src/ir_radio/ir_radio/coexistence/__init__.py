# SPDX-License-Identifier: Apache-2.0
"""Batch engine of IoR section IV: eMBB and bursty URLLC in the computing of a base station and on its air."""
