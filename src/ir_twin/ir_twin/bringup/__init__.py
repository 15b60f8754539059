# SPDX-License-Identifier: Apache-2.0
"""The bringup: one description of the stack, for two launchers (`up` and ``launch/bringup.launch.py``)."""
