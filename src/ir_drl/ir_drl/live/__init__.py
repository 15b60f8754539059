# SPDX-License-Identifier: Apache-2.0
"""An agent that learns while the robot drives, from what crosses the radio; docs/method/live_learning.md."""
