# SPDX-License-Identifier: Apache-2.0
"""`python -m ir_radio.warm_up`: compiles the cell's loops and keeps them, so that no first start waits for it."""

from ir_radio.cell import Cell
from ir_radio.slices import Carrier

if __name__ == "__main__":
    Cell(Carrier())  # loads all that serves messages
