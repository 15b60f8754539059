# SPDX-License-Identifier: Apache-2.0
"""The slices of a cell: what was agreed on, and the rows that the kernel has of each, one per station."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from ir_radio import cell_tables
from ir_radio.cell_tables import NONE, Table
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec

_NS = 1_000_000_000
_RETIRED = 32  # removed slices whose counters are kept


class CellSlices:
    """Slices by name.

    Args:
        carrier: the carrier.
        cell: the row of the table of the cell.

    Attributes:
        table: rows of the kernel.
        rows: of each slice one per station; removed slices that are still reported on are among them.
        specs: of the slices in force. types: of all in `rows`.
    """

    def __init__(self, carrier: Carrier, cell: NDArray[Any]) -> None:
        self._carrier, self._cell = carrier, cell
        self.table = Table(cell_tables.SLICE)
        self.rows: dict[str, list[int]] = {}
        self.specs: dict[str, SliceSpec] = {}
        self.types: dict[str, str] = {}

    def put(self, spec: SliceSpec) -> None:
        """Puts a slice into force, without blocks where it is new."""
        blocks, air = self._carrier.resource_blocks, self._carrier.air
        ceiling = math.inf if spec.max_share == 1.0 or air.scheduler == "fifo" else spec.max_share * blocks
        if spec.name not in self.rows:
            self.rows[spec.name] = [self.table.add() for _ in (self._carrier.position, *self._carrier.neighbours)]
            for station, row in enumerate(self.rows[spec.name]):
                self.table.rows[row]["station"], self.table.rows[row]["first"] = station, NONE
        for row in self.rows[spec.name]:
            record = self.table.rows[row]
            record["active"], record["limit"] = 1, spec.queue_limit
            record["urllc"] = spec.type == "urllc" and air.scheduler != "fifo"
            policed = air.police and record["urllc"]
            record["police"], record["depth"] = spec.rate if policed else 0.0, spec.rate * spec.max_latency
            record["lifespan"], record["bound"] = round(spec.lifespan * _NS), round(spec.max_latency * _NS)
            record["dedicated"], record["ceiling"] = spec.dedicated_share * blocks, ceiling
            record["blocks"] = min(record["blocks"], ceiling)
            record["uplink"] = -1.0 if spec.uplink_part is None else spec.uplink_part
        self.specs[spec.name], self.types[spec.name] = spec, spec.type
        self._set_apart()

    def close(self, name: str) -> str | None:
        """Takes a slice, whose spec is gone already, out of service; the name of one to `forget`, if there are many."""
        for row in self.rows[name]:
            self.table.rows[row]["active"], self.table.rows[row]["blocks"] = 0, 0.0
        self._set_apart()
        self.rows[name] = self.rows.pop(name)  # the last removed stands last
        retired = [name for name in self.rows if name not in self.specs]
        return retired[0] if len(retired) > _RETIRED else None

    def forget(self, name: str) -> None:
        """Gives up the rows of a slice that is out of service and empty."""
        for row in self.rows.pop(name):
            self.table.release(row)
            self.table.rows[row]["first"] = NONE
        del self.types[name]

    def check(self, blocks: Mapping[str, float]) -> None:
        """Raises a ValueError, one line, where `Cell.set_allocation` cannot be done."""
        for name, value in blocks.items():
            if name not in self.specs:
                known = ", ".join(self.specs) or "none"
                raise ValueError(f"allocation for unknown slice '{name}'; slices are: {known}")
            if not (math.isfinite(value) and value >= 0.0):
                raise ValueError(f"allocation of {value} resource blocks for slice '{name}'; give a number from 0 up")
        total, there = sum(blocks.values()), self._carrier.resource_blocks
        if total > there * (1.0 + 1e-9):
            raise ValueError(f"allocation of {total:g} resource blocks; the carrier has {there}")

    def allocate(self, blocks: Mapping[str, float]) -> None:
        """Gives each slice in force its blocks, up to its ceiling; those that are not named none."""
        for name in self.specs:
            for row in self.rows[name]:
                record = self.table.rows[row]
                record["blocks"] = min(blocks.get(name, 0.0), record["ceiling"])

    def _set_apart(self) -> None:
        """Notes whether some blocks are not everybody's, which only schedulers ask that puncture."""
        punctures = self._carrier.air.scheduler not in ("reserved", "fifo")
        held = any(spec.dedicated_share > 0.0 or spec.max_share < 1.0 for spec in self.specs.values())
        self._cell["apart"] = punctures and held
