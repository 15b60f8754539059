# SPDX-License-Identifier: Apache-2.0
"""The node that tells a story: captions to the page and the terminal; it ends, and the stack with it, at its end."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from typing import Any, Literal

from pydantic import Field
from rclpy.clock import Clock, ClockType
from std_msgs.msg import String

from ir_common.config import Config
from ir_common.ros_node import LATCHED, Finished, LeanNode, run
from ir_common.ros_params import declare
from ir_lab.clumsy_driver import PERIOD
from ir_lab.demo.ros_stage import LiveStage
from ir_lab.demo.stories import STORIES, Telling
from ir_sim.tasks import read_tasks

LOOK = 0.5
"""s of wall time between looks at whether the story can begin."""
LATE = 1.0
"""s of wall time that the page may take to say who looks at it."""


class StorytellerConfig(Config):
    """Parameters of the storyteller."""

    story: Literal["twin", "slices", "link"] = Field(description="which one")
    robots: tuple[str, ...] = Field(min_length=1, description="robots: name, or name:model")
    world: str = Field(min_length=1, description="SDFormat file of the world")
    edge_namespace: str = Field("/edge", description="namespace of the edge's side of the radio")
    page: str = Field("", description="address of the live page; the story begins when it is open; empty: at once")
    seed: int = Field(1, ge=0, description="of the driver")
    settle: float = Field(3.0, ge=0, description="s between the robots' first steps and the beginning")
    stays: float = Field(6.0, ge=0, description="s for which the end is to be read")


class Storyteller(LeanNode):
    """Tells one story and ends."""

    def __init__(self, **options: Any) -> None:
        super().__init__("storyteller", **options)
        self._config = config = declare(self, StorytellerConfig).config
        self._caption = self.create_publisher(String, "/ir/caption", LATCHED)
        tasks = read_tasks(config.robots, config.world)
        self._stage = LiveStage(self, tasks, config.edge_namespace, config.seed, self._refused)
        self._telling = Telling(STORIES[config.story], self._stage, self._say, self._stage.tally)
        self._begin = self._end = float("inf")
        self._began = 0.0
        self.create_timer(PERIOD, self._tick)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PERIOD, self._stage.hold_stick, clock=steady)
        self._look = self.create_timer(LOOK, self._look_around, clock=steady)

    def _look_around(self) -> None:
        """Sets the beginning once the stack is whole and somebody looks."""
        if self._stage.ready and self._watched():
            self._look.cancel()
            self._began = self._now()
            self._begin = self._began + self._config.settle

    def _watched(self) -> bool:
        if not self._config.page:
            return True
        with (
            contextlib.suppress(OSError, ValueError),
            urllib.request.urlopen(f"{self._config.page}/api/v1/status", timeout=LATE) as answer,
        ):
            return bool(json.load(answer)["viewers"])
        return False

    def _now(self) -> float:
        return float(self.get_clock().now().nanoseconds) / 1e9

    def _tick(self) -> None:
        now = self._now()
        if now < self._begin:
            return
        self._stage.tick(now)
        if now >= self._end:
            raise Finished(0)
        if self._end == float("inf") and self._telling.advance(now - self._begin) is not None:
            self._end = now + self._config.stays

    def _say(self, text: str) -> None:
        print(f"{self._now() - self._begin:6.1f} s  {text}", flush=True)
        self._caption.publish(String(data=text))

    def _refused(self, why: str) -> None:
        print(f"error: the story cannot go on: {why}", flush=True)
        raise Finished(1)


def main() -> None:
    """Entry point of the executable ``storyteller``."""
    run(Storyteller)


if __name__ == "__main__":
    main()
