# SPDX-License-Identifier: Apache-2.0
"""`python -m ir_radio.engine.warm_up`: compiles all loops that a live run calls, so that no first start waits."""

from ir_radio.books.flow_counters import FlowKey
from ir_radio.compiled import is_complete, mark_complete
from ir_radio.engine.cell import Cell
from ir_radio.engine.line_cell import LineCell, LineLink, LineWay
from ir_radio.model.carrier import Carrier
from ir_radio.model.slice_specs import SliceSpec


def warm_up() -> None:
    """Loads all compiled functions that the calls of a cell lead to, and compiles those that were not yet."""
    cell = Cell(Carrier(shadowing=1.0))  # loads the loops, and those of fields
    cell.set_slice(SliceSpec(name="warm", type="embb", rate=1.0, max_latency=1.0, reliability=0.5))
    cell.flow(FlowKey("warm", "robot", "topic", "uplink"))
    cell.set_pose("robot", (1.0, 0.0, 0.0))  # links in free space
    cell.report()  # adds histograms up and ranks them
    line = LineCell({"robot": LineLink(LineWay(loss=0.5, jitter=1.0))})
    line.set_slice(cell.specs["warm"])
    flow = line.flow(FlowKey("warm", "robot", "topic", "uplink"))
    for _ in range(10):  # some are lost, some arrive
        line.offer(flow, 1, line.now)
    line.advance(10**11)
    mark_complete()


if __name__ == "__main__" and not is_complete():
    warm_up()
