# SPDX-License-Identifier: Apache-2.0
"""What happens to a run at given times: links that are cut, traffic that comes on top."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ir_common.config import Config


class Fault(Config):
    """Something that begins at an instant and lasts for a while."""

    kind: Literal["link_cut", "load"] = Field(description="link_cut: a robot has no coverage; load: traffic on top")
    at: float = Field(ge=0, description="s of simulated time")
    duration: float = Field(gt=0, description="s")
    robot: str = Field(min_length=1, description="whose link is meant")
    slice: str = Field("", description="load: slice that the traffic is in")
    direction: Literal["uplink", "downlink"] = Field("uplink", description="load: its direction")
    rate: float = Field(0.0, ge=0, description="load: bit/s")
    size: int = Field(1500, ge=1, le=10_000_000, description="load: bytes of a message; they come evenly spaced")

    @model_validator(mode="after")
    def _load_is_whole(self) -> Fault:
        if self.kind == "load" and not (self.slice and self.rate > 0.0):
            raise ValueError("a load needs slice and rate")
        if self.kind == "link_cut" and (self.slice or self.rate):
            raise ValueError("a link that is cut has neither slice nor rate; leave them out")
        return self
