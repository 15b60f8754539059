# SPDX-License-Identifier: Apache-2.0
"""Camera pictures of the simulator: drawn in a thread of their own, as large and as often as the radio carries them."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.publisher import Publisher

from ir_common.ros_node import RELIABLE
from ir_interfaces.msg import CellReport, FlowReport
from ir_sim.camera import CameraWorker
from ir_sim.picture_rate import PictureRate
from ir_sim.readings import Reading
from ir_sim.ros_sensors import picture_to_message
from ir_sim.simulation import Simulation


class CameraPictures:
    """Draws and publishes what cameras have seen.

    Args:
        node: that publishes.
        simulation: whose world is drawn.
        adapts: whether the radio's reports decide how large pictures are, and how often they come.
    """

    def __init__(self, node: Node, simulation: Simulation, adapts: bool) -> None:
        self._node, self._simulation = node, simulation
        self._rate = PictureRate()
        self._publishers: dict[str, Publisher] = {}
        self._worker = CameraWorker(simulation.model, self._publish)
        if adapts:
            node.create_subscription(CellReport, "/radio/report", self._on_radio, RELIABLE)

    def take(self, reading: Reading, publisher: Publisher, limit: int) -> None:
        """Has a picture drawn, unless the radio does not carry it, or more than `limit` wait to be drawn."""
        self._publishers[reading.topic] = publisher
        shot = self._rate.take(publisher.topic_name, reading)
        if shot is not None:
            self._worker.submit(shot, limit=limit)

    def _publish(self, reading: Reading, jpeg: bytes) -> None:
        """Called in the worker's thread."""
        self._publishers[reading.topic].publish(picture_to_message(reading, jpeg))

    def _on_radio(self, report: CellReport) -> None:
        now = self._simulation.nanoseconds * 1e-9
        for flow in report.flows:
            if flow.direction == FlowReport.UPLINK:
                topic = self._node.resolve_topic_name(f"/{flow.robot}/{flow.topic}")
                dropped = sum(count.messages for count in flow.books.dropped)
                self._rate.report(topic, flow.books.offered_messages, flow.books.queued_messages, dropped, now)

    def flush(self) -> None:
        """Waits until all that was taken is published."""
        self._worker.flush()

    def close(self) -> None:
        """Ends the thread."""
        self._worker.close()
