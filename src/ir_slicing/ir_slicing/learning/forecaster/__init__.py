# SPDX-License-Identifier: Apache-2.0
"""The slice forecaster, which forecasts the traffic of the devices of a slice, and what it is measured against."""
