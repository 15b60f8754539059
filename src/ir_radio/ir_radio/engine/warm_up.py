# SPDX-License-Identifier: Apache-2.0
"""`python -m ir_radio.engine.warm_up`: compiles the cell's loops, so that no first start waits for it."""

from ir_radio.engine.cell import Cell
from ir_radio.model.carrier import Carrier

if __name__ == "__main__":
    Cell(Carrier())  # loads all that serves messages
