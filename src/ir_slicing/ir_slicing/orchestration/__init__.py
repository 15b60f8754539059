# SPDX-License-Identifier: Apache-2.0
"""Which slices exist: admission, their life from preparation to termination, the audit trail, and the state file."""
