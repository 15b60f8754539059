# SPDX-License-Identifier: Apache-2.0
"""Network slices: templates, admission, allocation and the slice manager."""
