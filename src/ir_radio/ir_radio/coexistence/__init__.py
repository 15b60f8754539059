# SPDX-License-Identifier: Apache-2.0
"""Coexistence of eMBB and URLLC as a batch model on sub-carriers: the experiments of IoR section IV.

`batch_air` is the air engine here: whole runs as arrays, for figures and for searches over schedules. It is not live:
nothing of ROS or of the cell goes through it. It shares formulas (`ir_radio.model`) and the compiled rules of
puncturing and preemption (`ir_radio.engine`) with the live engine.
"""
