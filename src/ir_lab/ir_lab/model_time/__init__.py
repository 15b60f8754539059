# SPDX-License-Identifier: Apache-2.0
"""Simulated time for the whole stack: an agenda of what is due, a bus between the parts, and the parts themselves.

The parts are the engines of the live nodes; what stands here only connects them, as the description of the bringup does
with processes and topics.
"""
