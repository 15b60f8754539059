# SPDX-License-Identifier: Apache-2.0
"""Controllers and policies at the edge."""
