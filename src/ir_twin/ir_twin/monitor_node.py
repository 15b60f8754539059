# SPDX-License-Identifier: Apache-2.0
"""The monitor: shows the run as a live table, ends it after its duration, and writes the report."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import yaml
from diagnostic_msgs.msg import DiagnosticArray
from pydantic import Field
from rcl_interfaces.msg import Log
from rclpy.clock import Clock, ClockType
from rich.console import Console, RenderableType
from rich.live import Live

from ir_common.config import Config
from ir_common.ros_diagnosis_messages import diagnostics_message
from ir_common.ros_node import ANNOUNCEMENTS, LATCHED, NODE_STATUS_TOPIC, RELIABLE, Finished, LeanNode, run
from ir_common.ros_params import declare
from ir_common.run_totals import RunTotals
from ir_interfaces.msg import Allocation, CellReport, FederationStatus, HostReport, NodeStatus, TaskStatus, TwinStatus
from ir_twin.bringup.restart_counts import read_counts
from ir_twin.monitor.health import Health
from ir_twin.monitor.table import render


class MonitorConfig(Config):
    """Parameters of the monitor."""

    robots: tuple[str, ...] = Field(("cart", "spider", "hopper"), description="names of the robots")
    edge_namespace: str = Field("/edge", description="namespace of the edge side, empty without the radio")
    duration: float = Field(0.0, ge=0, description="end after so many simulated seconds, 0: never")
    report: str = Field("", description="JSON file for the report, empty: none")
    spare_report: str = Field("", description="where the report goes when it cannot be written there, empty: nowhere")
    restarts_file: str = Field("", description="file in which the launcher counts restarts, empty: none")
    started: float = Field(0.0, ge=0, description="start of the run, seconds since the epoch, 0: start of this node")
    arguments: str = Field("{}", description="arguments of the bringup as YAML, copied into the report")
    period: float = Field(0.5, gt=0, le=60, description="time between two tables on a terminal, s")
    diagnostics_period: float = Field(1.0, gt=0, le=60, description="time between two diagnoses, s of wall time")
    plain_period: float = Field(10.0, gt=0, le=3600, description="time between two tables elsewhere, s")


class MonitorNode(LeanNode):
    """Subscribes to what the nodes say about themselves; publishes /diagnostics."""

    def __init__(self) -> None:
        super().__init__("monitor")
        self._config = declare(self, MonitorConfig).config
        self._totals = RunTotals(list(self._config.robots))
        self._started = self._config.started or time.time()
        self._console = Console()
        if not self._console.is_terminal:
            self._console = Console(width=130)
        self._live: Live | None = None
        self._closed = False
        totals = self._totals
        for name, robot in totals.robots.items():
            self.create_subscription(TaskStatus, f"/{name}/task_status", robot.update_task, LATCHED)
            self.create_subscription(
                TwinStatus, f"{self._config.edge_namespace}/{name}/twin_status", robot.update_twin, LATCHED
            )
        self.create_subscription(HostReport, "/simulator/host", totals.update_host, LATCHED)
        self.create_subscription(CellReport, "/radio/report", totals.update_cell, RELIABLE)
        self.create_subscription(Allocation, "/slicing/allocation", totals.update_allocation, LATCHED)
        self.create_subscription(FederationStatus, "/slicing/federation", totals.update_federation, LATCHED)
        self.create_subscription(NodeStatus, NODE_STATUS_TOPIC, totals.update_node, ANNOUNCEMENTS)
        self.create_subscription(DiagnosticArray, "/diagnostics", totals.update_diagnostics, RELIABLE)
        self.create_subscription(Log, "/rosout", self._log, RELIABLE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.05, self._tick, clock=steady)
        terminal = self._console.is_terminal
        self._health = Health(time.monotonic())
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)
        self.create_timer(self._config.diagnostics_period, self._diagnose, clock=steady)
        show = self._redraw if terminal else self._print
        self.create_timer(self._config.period if terminal else self._config.plain_period, show, clock=steady)

    def _tick(self) -> None:
        now = self.get_clock().now().nanoseconds
        if now > 0:
            self._totals.update_clock(now / 1e9)
        if 0 < self._config.duration <= self._totals.simulated_seconds:
            raise Finished(0)

    def _diagnose(self) -> None:
        present = {f"{space.rstrip('/')}/{name}" for name, space in self.get_node_names_and_namespaces()}
        now = self.get_clock().now()
        found = self._health.look(self._totals.processes, present, now.nanoseconds / 1e9, time.monotonic())
        self._diagnostics.publish(diagnostics_message(found, now.nanoseconds))

    def _log(self, log: Log) -> None:
        own = log.name == self.get_logger().name
        ours = f"/{log.name.replace('.', '/')}".startswith(f"{self.stack_namespace}/")  # /rosout is the whole domain's
        if log.level >= Log.WARN and ours and not own:
            self._totals.warn(f"{log.name}: {log.msg}")

    def _wall(self) -> float:
        return time.time() - self._started

    def _rendered(self) -> RenderableType:
        if self._config.restarts_file:
            self._totals.update_restarts(read_counts(Path(self._config.restarts_file)))
        return render(self._totals, self._wall())

    def _redraw(self) -> None:
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._rendered(), refresh=True)

    def _print(self) -> None:
        self._console.print(self._rendered())

    def close(self) -> None:
        """Shows the table a last time and writes the report."""
        if self._closed:
            return
        self._closed = True
        if self._live is not None:
            self._redraw()
            self._live.stop()
        else:
            self._print()
        if self._config.report:
            report = self._totals.as_dict(self._wall(), yaml.safe_load(self._config.arguments))
            self._write(json.dumps(report, indent=2) + "\n")

    def _write(self, report: str) -> None:
        """Writes the report where it should go, or else where it can: what a run has shown is not lost."""
        for path in filter(None, (self._config.report, self._config.spare_report)):
            try:
                write_whole(Path(path), report)
            except OSError as error:
                self._console.print(f"report: {path} cannot be written: {error.strerror}")
            else:
                self._console.print(f"report: {path}")
                return
        print(report)


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader sees the old one or the whole new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)  # half of it, where the disk is full


def main() -> None:
    """Entry point."""
    run(MonitorNode)


if __name__ == "__main__":
    main()
