# SPDX-License-Identifier: Apache-2.0
"""What a relay is asked to be: its parameters, and the carrier and measured links that they name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from ir_common.config import Config, ConfigError, live, load_yaml
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import MeasuredLinks, load_links
from ir_radio.model.profiles import load_profile
from ir_radio.model.radio_map import MOST_CELLS, RadioMap, radio_map
from ir_radio.model.slice_specs import NAME, SlicesFile


def _check_robots(robots: tuple[str, ...]) -> tuple[str, ...]:
    for robot in robots:
        if not re.fullmatch(NAME, robot):
            raise ValueError(f"'{robot}' is no robot name; give names such as cart or cart_2")
        if robots.count(robot) > 1:
            raise ValueError(f"robot '{robot}' stands twice; names must differ")
    return robots


def _check_namespace(namespace: str) -> str:
    if not namespace.strip("/"):
        raise ValueError("the edge needs a namespace of its own, such as /edge; without a radio do not start the relay")
    return namespace.rstrip("/")


class RelayConfig(Config):
    """Parameters of the relay."""

    robots: Annotated[tuple[str, ...], AfterValidator(_check_robots)] = Field(
        min_length=1, description="names of the robots"
    )
    slices_file: str = Field(min_length=1, description="YAML file of carrier and traces (config/slices.yaml)")
    profile: str = Field(
        "", description="access profile in place of that carrier: nr, lte, wifi, nr-campus or a file; empty: none"
    )
    edge_namespace: Annotated[str, AfterValidator(_check_namespace)] = Field(
        "/edge", description="namespace of the edge's side of the radio"
    )
    report_rate: float = live(5.0, gt=0, le=100, description="reports per second of ROS time, Hz")
    pose_topic: str = Field("odom", min_length=1, description="relative topic (nav_msgs/Odometry) of a robot's pose")
    pose_rate: float = Field(20.0, gt=0, le=1000, description="how often poses are read, Hz of ROS time")
    mini_slots: int = Field(0, ge=0, le=50, description="mini-slots of a slot; 0: those of the carrier")
    map_size: float = Field(
        0.0,
        ge=0,
        le=10_000,
        description="side of the square around the first base station on ~/map, m; 0: no map",
    )
    map_cell: float = Field(1.0, ge=0.01, le=1000, description="side of a cell of that map, m")
    map_height: float = Field(0.5, ge=-1000, le=1000, description="height of the robots' antennas in that map, m")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of shadowing, fading and errors of the radio")
    sync: bool = Field(
        False, description="run in step with the embedded simulator, which has to do so, too (docs/guide/start.md)"
    )
    sync_patience: float = Field(
        1.0, gt=0, le=600, description="s of wall time that a robot's edge is waited for, with sync"
    )
    cut: tuple[str, ...] = live((), description="robots that are out of coverage until they are taken out of this list")
    history: int = Field(256, ge=1, description="messages that middleware queues keep per topic")
    qos_grace: float = Field(
        10.0, ge=1, description="deadline and lifespan of URLLC publishers as a multiple of the slice's latency bound"
    )

    @model_validator(mode="after")
    def _cut_are_there(self) -> RelayConfig:
        if unknown := sorted(set(self.cut) - set(self.robots)):
            raise ValueError(f"cut: there is no robot '{unknown[0]}'; robots: {', '.join(self.robots)}")
        return self


def map_of(config: RelayConfig, carrier: Carrier) -> RadioMap | None:
    """The map that a relay publishes; none: it is not asked to."""
    if config.map_size == 0.0:
        return None
    half = config.map_size / 2
    corner = carrier.position[0] - half, carrier.position[1] - half
    return radio_map(
        carrier, corner, (config.map_size, config.map_size), config.map_cell, config.map_height, config.seed
    )


def load_radio(config: RelayConfig) -> tuple[Carrier, MeasuredLinks]:
    """The carrier of a relay, and the measured links of its robots.

    Raises:
        ConfigError: a file is wrong or missing, or the mini-slots do not divide the carrier's slot.
    """
    file = load_yaml(config.slices_file, SlicesFile)
    carrier = load_profile(config.profile) if config.profile else file.carrier
    if config.mini_slots and carrier.slot_time % config.mini_slots:
        raise ConfigError(f"parameter mini_slots: {config.mini_slots} does not divide a slot of {carrier.slot_time} ns")
    if (config.map_size / config.map_cell + 1.0) ** 2 > MOST_CELLS:
        raise ConfigError(f"parameter map_cell: too small for a map of {config.map_size:g} m; give a greater one")
    traces = [spec for spec in file.traces if spec.robot in config.robots]
    return carrier, load_links(traces, Path(config.slices_file).parent, carrier)
