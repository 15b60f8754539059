# SPDX-License-Identifier: Apache-2.0
"""Parameters of the dashboard."""

from __future__ import annotations

from pydantic import Field, model_validator

from ir_common.config import Config, live


class DashboardConfig(Config):
    """Parameters of the dashboard node."""

    robots: tuple[str, ...] = Field(
        ("cart", "spider", "hopper"), min_length=1, max_length=255, description="robots: name, or name:model"
    )
    world: str = Field("", description="SDFormat file of the world to draw; empty: a bare floor")
    edge_namespace: str = Field(
        "/edge", pattern=r"^(/[a-z][a-z0-9_]*)*$", description="namespace of the edge side, empty without the radio"
    )
    host: str = Field("127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0: all, for a phone")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on, 0: a free one")
    token: str = Field("", pattern=r"^[\x21-\x7e]*$", description="what writes must show; empty: a random one")
    rate: float = Field(20.0, ge=1, le=60, description="updates of the page, Hz")
    camera_rate: float = Field(10.0, gt=0, le=60, description="most pictures of each camera that go to a page, Hz")
    dead_man: float = Field(0.3, ge=0.1, le=5, description="a driver silent for so long stops the robot, s")
    command_age: float = Field(
        0.3, gt=0, le=5, description="a driver's command that is older when it comes is not carried out, s"
    )
    picture_slow: float = live(
        0.4, gt=0, le=60, description="with a picture older than this a driver is slowed, in proportion, s"
    )
    picture_lock: float = live(1.2, gt=0, le=60, description="with a picture older than this nobody drives, s")
    guard: bool = live(True, description="keeps driven robots with a lidar from what it sees")
    recordings: str = Field("", description="folder for the bags of the recording button; empty: where it runs")
    history: float = Field(120.0, ge=10, le=3600, description="how far back the charts go, s")
    service_timeout: float = Field(3.0, gt=0, le=60, description="how long a service of the stack may take, s")

    @model_validator(mode="after")
    def _slower_before_locked(self) -> DashboardConfig:
        if self.picture_slow >= self.picture_lock:
            raise ValueError("picture_slow: must be under picture_lock")
        return self
