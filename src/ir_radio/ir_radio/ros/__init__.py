# SPDX-License-Identifier: Apache-2.0
"""The relay: topics of ROS 2 carried through a cell."""
