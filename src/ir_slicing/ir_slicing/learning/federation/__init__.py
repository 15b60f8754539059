# SPDX-License-Identifier: Apache-2.0
"""Federated averaging of the slices' weights: messages, compression, aggregation, clients."""
