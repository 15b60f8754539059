# SPDX-License-Identifier: Apache-2.0
"""What slices are asked to be: models of `config/slices.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ir_common.config import Config
from ir_radio.model.carrier import Carrier
from ir_radio.model.five_qi import BUDGETS
from ir_radio.model.profiles import load_profile

NAME = r"^[a-z][a-z0-9_]*$"
"""Pattern of slice and robot names: a ROS name without slashes."""

_ROBOTS = re.compile(r"[a-z*?][a-z0-9_*?]*")

_MESSAGE_TYPE = re.compile(r"[a-zA-Z]\w*/msg/[A-Z]\w*")
_TOPIC = re.compile(r"[a-zA-Z_]\w*(/[a-zA-Z_]\w*)*")

Direction = Literal["uplink", "downlink"]
SliceType = Literal["embb", "urllc"]
DatasetColumn = Literal["SNR", "CQI", "DL_bitrate", "UL_bitrate"]
Quality = Literal["snr", "cqi", "rate"]
_QUALITIES: dict[str, Quality] = {"SNR": "snr", "CQI": "cqi", "DL_bitrate": "rate", "UL_bitrate": "rate"}


def _robot_patterns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _check_robots(robots: tuple[str, ...]) -> tuple[str, ...]:
    for robot in robots:
        if not _ROBOTS.fullmatch(robot):
            raise ValueError(f"'{robot}' is no robot name or pattern; give names such as cart or cart*, or *")
    return robots


def _check_topic(topic: str) -> str:
    if not _TOPIC.fullmatch(topic):
        raise ValueError(f"'{topic}' is no relative topic name; give one such as cmd_vel, without a leading slash")
    return topic


def _check_five_qi(five_qi: int) -> int:
    if five_qi and five_qi not in BUDGETS:
        known = ", ".join(map(str, sorted(BUDGETS)))
        raise ValueError(f"{five_qi} is no standardised 5QI with a delay budget; there are: {known}; 0: none")
    return five_qi


def _carrier_of_profile(value: object) -> object:
    return load_profile(value) if isinstance(value, str) else value


def _check_message_type(message_type: str) -> str:
    if message_type and not _MESSAGE_TYPE.fullmatch(message_type):
        raise ValueError(f"'{message_type}' is no message type; give one such as sensor_msgs/msg/Imu, or leave it out")
    return message_type


class FlowSpec(Config):
    """Which topic, of which robots, in which direction."""

    robots: Annotated[tuple[str, ...], BeforeValidator(_robot_patterns), AfterValidator(_check_robots)] = Field(
        ("*",), min_length=1, description="names of robots, or patterns: * stands for anything, ? for one character"
    )
    topic: Annotated[str, AfterValidator(_check_topic)] = Field(
        description="relative topic name, the same on both sides"
    )
    message_type: Annotated[str, AfterValidator(_check_message_type)] = Field(
        "", description="e.g. sensor_msgs/msg/Imu; empty: found out from the first publisher"
    )
    direction: Direction = Field(description="uplink: robot to edge; downlink: edge to robot")
    five_qi: Annotated[int, AfterValidator(_check_five_qi)] = Field(
        0, description="5QI whose delay budget its messages are held against; 0: the latency bound of the slice"
    )

    def carries(self, robot: str) -> bool:
        """Is the topic of this robot meant?"""
        return any(fnmatchcase(robot, pattern) for pattern in self.robots)


class SliceSpec(Config):
    """What one slice is asked to be (IoR section II; S-NSSAI as in 3GPP TS 23.003)."""

    name: str = Field(pattern=NAME, max_length=64, description="unique among the slices")
    template_name: str = Field("", description="the template that it was made from, empty: none")
    type: SliceType = Field(description="embb (SST 1): served by the slot; urllc (SST 2): served by the mini-slot")
    differentiator: int = Field(
        0, ge=0, lt=2**24, description="slice differentiator of the S-NSSAI; 0xFFFFFF: none (TS 23.003, 28.4.2)"
    )
    rate: float = Field(
        gt=0, le=1e15, description="guaranteed rate, both directions together, bit/s; their sum where they are apart"
    )
    max_latency: float = Field(ge=1e-9, le=1e6, description="latency bound; a urllc message older than it expires, s")
    reliability: float = Field(gt=0, lt=1, description="fraction of messages within the bound")
    priority: int = Field(1, ge=0, le=255, description="0 is served first when the carrier is short")
    lifetime: float = Field(0.0, ge=0, le=1e9, description="ROS time after which it is deleted, 0: lives on, s")
    queue_limit: int = Field(
        1_000_000, gt=0, le=10**15, description="bytes per link and direction; what does not fit is dropped"
    )
    share: float | None = Field(
        None, gt=0, le=1, description="fraction of the carrier held for it instead of what its rate needs; none: that"
    )
    flows: tuple[FlowSpec, ...] = Field((), description="the topics that it carries")
    dedicated_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="fraction of the carrier that is its own and never lent (RRMPolicyRatio, TS 28.541)",
    )
    max_share: float = Field(1.0, gt=0, le=1, description="fraction of the carrier that it never exceeds (the same)")
    uplink_rate: float = Field(0.0, ge=0, le=1e15, description="guaranteed rate of uplink apart, bit/s; 0 both: rate")
    downlink_rate: float = Field(0.0, ge=0, le=1e15, description="guaranteed rate of downlink apart, bit/s")

    @model_validator(mode="before")
    @classmethod
    def _sum_of_rates(cls, values: object) -> object:
        """Rates apart make the rate, where it is left out."""
        if not isinstance(values, dict) or values.get("rate") is not None:
            return values
        apart = [values.get(name) for name in ("uplink_rate", "downlink_rate")]
        numbers = [rate for rate in apart if isinstance(rate, int | float)]
        return values | {"rate": sum(numbers)} if numbers else values

    @model_validator(mode="after")
    def _shares_and_rates_agree(self) -> SliceSpec:
        apart = self.uplink_rate + self.downlink_rate
        if apart > 0.0 and abs(self.rate - apart) > 1e-9 * apart:
            raise ValueError(
                f"slice {self.name}: rate is {self.rate:g}, uplink_rate and downlink_rate add up to {apart:g}; "
                "leave rate out"
            )
        least = self.dedicated_share if self.share is None else self.share
        if not self.dedicated_share <= least <= self.max_share:
            raise ValueError(
                f"slice {self.name}: dedicated_share {self.dedicated_share:g}, share {least:g} and max_share "
                f"{self.max_share:g} must not fall in this order"
            )
        return self

    @model_validator(mode="after")
    def _flows_differ(self) -> SliceSpec:
        if twice := doubled_flow(self.flows):
            raise ValueError(f"slice {self.name} carries {twice} twice; remove one of its flows")
        return self

    @property
    def uplink_part(self) -> float | None:
        """Fraction of what is guaranteed that uplink has a right to; none: the directions are not apart."""
        apart = self.uplink_rate + self.downlink_rate
        return self.uplink_rate / apart if apart > 0.0 else None

    def budget(self, robot: str, topic: str, direction: str) -> float:
        """Delay beyond which a message of a flow counts as late, s: of its 5QI, else the latency bound."""
        for flow in self.flows:
            if flow.five_qi and (flow.topic, flow.direction) == (topic, direction) and flow.carries(robot):
                return BUDGETS[flow.five_qi]
        return self.max_latency

    @property
    def lifespan(self) -> float:
        """Age at which a message is worthless and dropped as expired, s; 0: never."""
        return self.max_latency if self.type == "urllc" else 0.0


InitialSlice = Annotated[
    Annotated[str, Tag("template")] | Annotated[SliceSpec, Tag("slice")],
    Discriminator(lambda entry: "template" if isinstance(entry, str) else "slice"),
]


def _column_by_name(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


class TimeColumn(Config):
    """Column of a trace that holds times: dates, epochs, or seconds from any beginning."""

    column: str = Field("Timestamp", min_length=1, description="its name in the header")
    unit: Literal["", "s", "ms", "us", "ns"] = Field("", description="of numbers; empty: what their size says, else s")


class PlainColumn(Config):
    """Column of a trace that holds SNR in dB, or CQI."""

    column: str = Field(min_length=1, description="its name in the header")


class RateColumn(Config):
    """Column of a trace that holds bit rates."""

    column: str = Field(min_length=1, description="its name in the header")
    unit: Literal["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s"] = Field("bit/s", description="its unit")


class DelayColumn(Config):
    """Column of a trace that holds delays."""

    column: str = Field(min_length=1, description="its name in the header")
    unit: Literal["s", "ms", "us", "ns"] = Field("s", description="its unit")
    round_trip: bool = Field(False, description="of both ways; a half is taken for each")
    direction: Literal["uplink", "downlink", "both"] = Field("both", description="in which they hold")


_ByName = BeforeValidator(_column_by_name)


class TraceFile(Config):
    """A file of measurements, and what of it a link follows (`ir_radio.model.link_traces`)."""

    trace: str = Field(
        min_length=1, description="CSV file, or archive.zip/path/in/it.csv; relative to the folder of this file"
    )
    column: DatasetColumn | None = Field(None, description="what gives the rate, in the layout of the 5G dataset")
    time: Annotated[TimeColumn, _ByName] = Field(TimeColumn(), description="column of the times, in another layout")
    snr: Annotated[PlainColumn | None, _ByName] = Field(None, description="column that gives the rate, as SNR in dB")
    cqi: Annotated[PlainColumn | None, _ByName] = Field(None, description="column that gives the rate, as CQI")
    rate: Annotated[RateColumn | None, _ByName] = Field(None, description="column that gives the rate of the carrier")
    delay: Annotated[DelayColumn | None, _ByName] = Field(None, description="column that gives the delay")
    layout: Literal["csv", "mahimahi"] = Field("csv", description="mahimahi: a line for each packet of 1500 B, in ms")
    gap: float = Field(60.0, gt=0, le=86400, description="to which a longer gap between two rows is shortened, s")
    loop: bool = Field(True, description="begin anew at the end; else the last value stays")
    start: float = Field(0.0, ge=0, le=1e9, description="where in the trace to begin, s")

    @model_validator(mode="after")
    def _one_quality(self) -> TraceFile:
        given = [name for name in ("column", "snr", "cqi", "rate") if getattr(self, name) is not None]
        if self.layout == "mahimahi" and (given or self.delay):
            raise ValueError(f"a mahimahi trace has no columns; leave out {', '.join([*given, 'delay'][:1])}")
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both give the rate of the link; give one of them")
        if not given and self.delay is None and self.layout == "csv":
            raise ValueError("nothing of it is used; give column, or snr, cqi, rate or delay with the name of a column")
        return self

    @property
    def quality(self) -> Quality | None:
        """What gives the rate of the link; none: the trace holds delays only."""
        if self.column:
            return _QUALITIES[self.column]
        if self.layout == "mahimahi":
            return "rate"
        return next((kind for kind in ("snr", "cqi", "rate") if getattr(self, kind)), None)


class TraceSpec(TraceFile):
    """A robot's link in a measured network."""

    robot: str = Field(pattern=NAME, description="name of the robot")

    @model_validator(mode="before")
    @classmethod
    def _dataset_snr(cls, values: object) -> object:
        """A trace of which nothing is named is one of the dataset, and gives the SNR."""
        named = {"column", "snr", "cqi", "rate", "delay", "layout"}
        return values if not isinstance(values, dict) or named & values.keys() else {**values, "column": "SNR"}


class SlicesFile(Config):
    """The whole of `config/slices.yaml`."""

    carrier: Annotated[Carrier, BeforeValidator(_carrier_of_profile)] = Field(
        default_factory=lambda: Carrier.model_validate({}), description="values, or the name or file of a profile"
    )
    traces: tuple[TraceSpec, ...] = Field((), description="links that follow a measured trace, not the robot's pose")
    templates: tuple[SliceSpec, ...] = Field((), description="what a slice can be made from by name")
    slices: tuple[InitialSlice, ...] = Field((), description="slices at the start: template names or whole ones")

    @field_validator("traces")
    @classmethod
    def _traces_differ(cls, traces: tuple[TraceSpec, ...]) -> tuple[TraceSpec, ...]:
        _refuse_twins([trace.robot for trace in traces], "trace of robot")
        return traces

    @field_validator("templates")
    @classmethod
    def _templates_differ(cls, templates: tuple[SliceSpec, ...]) -> tuple[SliceSpec, ...]:
        _refuse_twins([template.name for template in templates], "template")
        return templates

    @field_validator("slices")
    @classmethod
    def _slices_fit(cls, slices: tuple[str | SliceSpec, ...], info: ValidationInfo) -> tuple[str | SliceSpec, ...]:
        if "templates" in info.data:  # else they are wrong themselves, and that is said
            specs = _fill_in(slices, info.data["templates"])
            _refuse_twins([spec.name for spec in specs], "slice")
            if twice := doubled_flow([flow for spec in specs for flow in spec.flows]):
                raise ValueError(f"two slices carry {twice}; a topic crosses the radio in one slice only")
        return slices

    def template(self, name: str) -> SliceSpec:
        """The slice that a template makes.

        Raises:
            ValueError: there is no such template.
        """
        return _fill_in((name,), self.templates)[0]

    def initial_slices(self) -> tuple[SliceSpec, ...]:
        """The slices at the start, templates filled in."""
        return _fill_in(self.slices, self.templates)


def _refuse_twins(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what} '{name}' stands twice; names must differ")


def _fill_in(slices: Iterable[str | SliceSpec], templates: tuple[SliceSpec, ...]) -> tuple[SliceSpec, ...]:
    known = {template.name: template for template in templates}
    for entry in slices:
        if isinstance(entry, str) and entry not in known:
            raise ValueError(f"unknown slice template '{entry}'; templates are: {', '.join(known) or 'none'}")
    return tuple(
        known[entry].model_copy(update={"template_name": entry}) if isinstance(entry, str) else entry
        for entry in slices
    )


def doubled_flow(flows: Sequence[FlowSpec]) -> str:
    """Names a topic that two of the flows carry for the same robot in the same direction; empty: there is none."""
    for index, flow in enumerate(flows):
        for other in flows[:index]:
            same = (flow.topic, flow.direction) == (other.topic, other.direction)
            if same and (any(map(flow.carries, other.robots)) or any(map(other.carries, flow.robots))):
                return f"{flow.topic} ({flow.direction})"
    return ""
