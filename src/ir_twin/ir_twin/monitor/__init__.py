# SPDX-License-Identifier: Apache-2.0
"""What the fleet did: totals that outlive the nodes that counted them (`totals`), and their table (`table`)."""
