# SPDX-License-Identifier: Apache-2.0
"""The cell, live and in batch: queues, scheduling, puncturing, compiled loops on integer nanoseconds."""
