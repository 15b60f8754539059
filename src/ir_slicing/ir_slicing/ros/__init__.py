# SPDX-License-Identifier: Apache-2.0
"""The nodes: parameters and messages in, calls of the engines, messages out. Nothing is decided here."""
