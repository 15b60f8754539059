# SPDX-License-Identifier: Apache-2.0
"""Allocations that the carrier cannot give: refused, told, counted, and the one in force stays."""

import math

import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray
from relay_bench import BEST_EFFORT, VIDEO, Bench
from sensor_msgs.msg import CompressedImage

from ir_common.ros_node import RELIABLE
from ir_interfaces.msg import Allocation


def test_an_allocation_over_the_carrier_is_refused_counted_and_the_relay_goes_on(ros, tmp_path):
    b = Bench(ros, tmp_path)
    seen = []
    b.node.create_subscription(DiagnosticArray, "/diagnostics", seen.append, RELIABLE)
    b.ready(VIDEO, blocks={"video": 10.0})
    b.ros.until(lambda: b.report().slices[0].resource_blocks == 10.0)
    carrier = b.report().resource_blocks
    bad = [
        ({"video": carrier + 1.0}, f"the carrier has {carrier}"),
        ({"video": math.nan}, "allocation of nan"),
        ({"video": -1.0}, "allocation of -1"),
    ]
    for sequence, (blocks, why) in enumerate(bad, start=2):
        b.allocation.publish(
            Allocation(sequence=sequence, slices=list(blocks), resource_blocks=list(blocks.values()))
        )  # fmt: skip
        b.ros.until(lambda why=why: any(why in text for text in b.warnings), what=why)
    b.allocation.publish(Allocation(sequence=9, slices=["video"]))
    b.ros.until(lambda: any("differ in length" in text for text in b.warnings))
    count = len(b.reports)
    b.ros.until(lambda: len(b.reports) > count + 1)
    assert b.report().slices[0].resource_blocks == 10.0, "the one in force stays"

    def refused():
        values = [kv.value for array in seen for one in array.status for kv in one.values if "refused" in kv.key]
        return values and values[-1] == "4"

    b.ros.until(refused, what="four refusals on /diagnostics")
    publisher, received = b.pipe(CompressedImage, "/cart/camera", "/edge/cart/camera", BEST_EFFORT)
    publisher.publish(CompressedImage(data=bytes(1000)))
    b.ros.until(lambda: received, what="a message under the allocation in force")
    b.set(VIDEO, blocks={"video": 20.0})
    b.ros.until(lambda: b.report().slices[0].resource_blocks == 20.0, what="the next good allocation")
