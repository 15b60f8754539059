# SPDX-License-Identifier: Apache-2.0
"""The table of what the fleet did (`table`) and the health of the stack (`health`); see `ir_common.run_totals`."""
