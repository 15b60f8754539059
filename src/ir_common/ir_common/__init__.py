# SPDX-License-Identifier: Apache-2.0
"""Shared floor of the stack: configuration files, parameters, node helpers, test fixtures."""
