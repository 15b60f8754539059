# SPDX-License-Identifier: Apache-2.0
"""The dashboard: a live page, browser teleoperation and REST."""
