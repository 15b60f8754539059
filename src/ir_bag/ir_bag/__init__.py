# SPDX-License-Identifier: Apache-2.0
"""Bags: recording to rosbag2 files, playing them, and computing a recorded run again."""
