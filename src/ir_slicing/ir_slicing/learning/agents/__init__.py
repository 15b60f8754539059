# SPDX-License-Identifier: Apache-2.0
"""Agents and policies that divide the carrier: DDPG, DQN, rules, and the clairvoyant bound."""
