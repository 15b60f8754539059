# SPDX-License-Identifier: Apache-2.0
"""The radio: its model, the live cell and its counters, the relay node, and the batch model of coexistence.

Rooms import one way: `model`, then `books`, then `engine`, then `coexistence` and `ros`; only `ros` imports rclpy.
`compiled` (how loops are compiled) and `cell_tables` (what the arrays hold) lie under all of them.
"""
