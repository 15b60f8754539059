# SPDX-License-Identifier: Apache-2.0
"""The slice manager: orchestration and allocation as one engine, its journal, and the rounds of the federation."""
