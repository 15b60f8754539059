# SPDX-License-Identifier: Apache-2.0
"""Network slices from the command line: the same verbs under `ros2 slice` and `./ir slice`."""
