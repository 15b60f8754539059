# SPDX-License-Identifier: Apache-2.0
"""Who gets how many resource blocks: the slices' loads, their agents' requests, the policies, and the division."""
