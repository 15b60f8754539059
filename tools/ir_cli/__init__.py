# SPDX-License-Identifier: Apache-2.0
"""The `./ir` command: makes the environment of the stack and runs things in it. Standard library only."""
