# SPDX-License-Identifier: Apache-2.0
"""First starts: what is compiled beforehand is all, where it is kept, and a relay that has to compile can be ended."""

import os
import signal
import subprocess
import sys
import time

import pytest

from ir_radio.compiled import cache_folder, digest

CALLS = """
from numba import njit
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)

from ir_radio.books.flow_counters import FlowKey
from ir_radio.engine.cell import CALLS, Cell
from ir_radio.engine.delayed_cell import DelayedCell
from ir_radio.engine.line_cell import LineCell, LineLink, LineWay
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace
from ir_radio.model.slice_specs import SliceSpec
import numpy as np

def spec(name, kind):
    return SliceSpec(name=name, type=kind, rate=1e6, max_latency=0.01, reliability=0.9)

made = set()
for scheduler in ("reserved", "puncturing", "putd", "euad", "fifo"):
    cell = Cell(Carrier.model_validate({
        "fading": "rayleigh", "shadowing": 4.0, "neighbours": [[60.0, 0.0, 3.0]], "air": {"scheduler": scheduler},
        "handover": {"time_to_trigger": 0.0}, "computing": {"rate": 1e8, "shared": 500},
    }))
    def tell(call, *arguments):
        made.add(call)
        return cell.apply(call, *arguments)
    tell("add_link", "cart")
    tell("set_slice", spec("video", "embb"))
    tell("set_slice", spec("control", "urllc"))
    tell("set_allocation", {"video": 20.0, "control": 5.0})
    tell("set_pose", "cart", (1.0, 0.0, 0.0))
    flows = [tell("flow", FlowKey(name, "cart", "x", way))
             for name in ("video", "control") for way in ("uplink", "downlink")]
    for i in range(200):
        tell("offer", flows[i % 4], 500, i * 100_000)
        cell.advance(i * 100_000)
        cell.next_event()
    tell("set_pose", "cart", (59.0, 0.0, 0.0))
    assert cell.report().links[0].handovers == 1
    tell("set_measured", "cart", 10.0, 1e6)
    cell.run(flows, [100] * 4, [cell.now] * 4, cell.now + 10**7)
    tell("report"), cell.counters(), cell.counters(flows[0]), cell.grid(), cell.key(flows[0])
    tell("close_flow", flows[0])
    tell("remove_slice", "control")
    tell("reset_time", 5)
assert made == CALLS
trace = DelayTrace(np.array([0.0]), np.array([0.01]))
for cell in (
    LineCell({"cart": LineLink(LineWay(rate=1e6, jitter=0.01, loss=0.3), LineWay(delays=trace))}, seed=3),
    DelayedCell(Carrier(), {"cart": trace}),
):
    cell.set_slice(spec("video", "embb"))
    cell.set_allocation({"video": 20.0})
    if isinstance(cell, DelayedCell):
        cell.set_pose("cart", (1.0, 0.0, 0.0))
    flows = [cell.flow(FlowKey("video", "cart", "x", way)) for way in ("uplink", "downlink")]
    for i in range(100):
        cell.offer(flows[i % 2], 500, i * 100_000)
        cell.advance(i * 100_000)
        cell.next_event()
    cell.report(), cell.counters()
    cell.remove_slice("video")
    cell.reset_time(5)
njit(lambda: 1)()  # the recorder sees what is compiled
compiled = [record.data["dispatcher"].py_func.__name__ for _, record in recorder.buffer if record.is_start]
print("compiled:", *compiled)
"""


def python(cache, *arguments):
    return subprocess.run(
        [sys.executable, *arguments], env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_after_the_warm_up_no_call_of_a_cell_compiles_anything(tmp_path):
    python(tmp_path, "-m", "ir_radio.engine.warm_up")
    assert python(tmp_path, "-c", CALLS).split() == ["compiled:", "<lambda>"]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "place" / "radio"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("@jit\ndef f(): return 1\n")
    return folder


def test_a_given_folder_holds_a_folder_for_each_version_of_the_sources(package, tmp_path):
    first = cache_folder(package, str(tmp_path / "given"), tmp_path)
    assert first == tmp_path / "given" / "radio" / f"compiled-{digest(package)}"
    (package / "a.py").write_text("@jit\ndef f(): return 2\n")
    assert cache_folder(package, str(tmp_path / "given"), tmp_path) != first


def test_loops_lie_beside_the_package_or_as_a_copy_where_that_cannot_be_written(package, tmp_path, monkeypatch):
    beside = cache_folder(package, "", tmp_path)
    assert beside.parent == package / "__pycache__"
    (beside / "loop").write_text("code")
    monkeypatch.setattr("ir_radio.compiled._writable", lambda _: False)
    own = cache_folder(package, "", tmp_path / "caches")
    assert own == tmp_path / "caches" / "radio" / beside.name and (own / "loop").read_text() == "code"
    assert cache_folder(package, "", tmp_path / "caches") == own and len(list(own.parent.iterdir())) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_relay_that_compiles_says_so_and_ends_when_told_to(ros_domain, tmp_path, number):
    pytest.importorskip("rclpy")
    program = "from ir_radio.ros.relay_node import main; main()"
    environ = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    relay = subprocess.Popen([sys.executable, "-c", program], env=environ, stderr=subprocess.PIPE, text=True)
    line = relay.stderr.readline()
    assert "compiling the radio's loops into" in line and str(tmp_path) in line
    time.sleep(0.5)  # it is in the midst of it
    told = time.monotonic()
    relay.send_signal(number)
    assert relay.wait(10.0) == 0 and time.monotonic() - told < 2.0
