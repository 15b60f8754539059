# SPDX-License-Identifier: Apache-2.0
"""The file that puts a ROS 2 system behind the radio: which topics, services and actions cross, over which link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ir_common.config import Config, ConfigError, load_yaml
from ir_radio.engine.line_cell import LineLink, LineRate, LineWay
from ir_radio.engine.relay_engine import RelayEngine, Say
from ir_radio.model.carrier import Carrier
from ir_radio.model.link_traces import DelayTrace, LinkTrace, delay_trace, link_trace, load_trace
from ir_radio.model.profiles import load_profile
from ir_radio.model.slice_specs import NAME, Direction, SliceSpec, SliceType, TraceFile

_PART = r"[A-Za-z_]\w*"
_ABSOLUTE = re.compile(rf"(/{_PART})+")
_PATTERN = re.compile(r"/[\w*?/\[\]!-]*")
_NAMESPACE = re.compile(rf"/|(/{_PART})+")
_INTERFACE = re.compile(r"[a-zA-Z]\w*/(msg|srv|action)/[A-Z]\w*")

Side = Literal["robot", "edge"]
NO_SLICE = "all"
"""Name of the slice of a file without slices."""


def _check_name(name: str) -> str:
    if not _ABSOLUTE.fullmatch(name):
        raise ValueError(f"'{name}' is no absolute name; give one such as /scan")
    return name


def _check_pattern(name: str) -> str:
    if not _PATTERN.fullmatch(name) or "//" in name or name == "/":
        raise ValueError(f"'{name}' is no absolute name or pattern; give one such as /scan or /camera/*")
    return name


def _check_namespace(namespace: str) -> str:
    if not _NAMESPACE.fullmatch(namespace):
        raise ValueError(f"'{namespace}' is no absolute namespace; give one such as /edge, or /")
    return namespace


def _check_type(name: str) -> str:
    if name and not _INTERFACE.fullmatch(name):
        raise ValueError(f"'{name}' is no type; give one such as std_msgs/msg/String, or leave it out")
    return name


def _named(key: str) -> BeforeValidator:
    """A plain name stands for an entry with only that."""
    return BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def _profile(value: object) -> object:
    return load_profile(value) if isinstance(value, str) else value


AbsoluteName = Annotated[str, AfterValidator(_check_name)]
TypeName = Annotated[str, AfterValidator(_check_type)]


class RadioSide(Config):
    """One side of the radio: what is in this namespace of this ROS domain."""

    namespace: Annotated[str, AfterValidator(_check_namespace)] | None = Field(
        None, description="absolute; default: / for the robot, /edge for the edge (/ in a domain of its own)"
    )
    domain: int | None = Field(None, ge=0, le=232, description="ROS_DOMAIN_ID; default: the environment's")


class TopicEntry(Config):
    """A topic that crosses."""

    topic: Annotated[str, AfterValidator(_check_pattern)] = Field(
        description="absolute name on the robot's side, or a pattern: * stands for anything, ? for one character"
    )
    type: TypeName = Field("", description="e.g. std_msgs/msg/String; empty: the graph's")
    to: AbsoluteName | None = Field(None, description="name on the edge's side; default: in its namespace")
    slice: str = Field("", description="the slice that carries it; empty: the first")

    @property
    def is_pattern(self) -> bool:
        """Does it stand for several topics?"""
        return not _ABSOLUTE.fullmatch(self.topic)

    @model_validator(mode="after")
    def _one_target(self) -> TopicEntry:
        if self.is_pattern and (self.to or self.type):
            raise ValueError(f"'{self.topic}' stands for several topics; give neither to nor type")
        return self


class CallEntry(Config):
    """A service or an action that crosses, requests one way and answers the other."""

    name: AbsoluteName = Field(description="absolute name on the robot's side")
    server: Side = Field("robot", description="the side of whoever serves it")
    type: TypeName = Field("", description="e.g. std_srvs/srv/SetBool; empty: the graph's")
    to: AbsoluteName | None = Field(None, description="name on the edge's side; default: in its namespace")
    slice: str = Field("", description="the slice that carries it; empty: the first")


class WayOfLink(Config):
    """A constant link in one direction."""

    rate: float = Field(0.0, ge=0, le=1e15, description="bit/s; 0: no limit")
    delay: float = Field(0.0, ge=0, le=600, description="of each message after its last bit has gone, s")
    jitter: float = Field(0.0, ge=0, le=600, description="standard deviation of the delay, s; the order stays")
    loss: float = Field(0.0, ge=0, le=1, description="probability that a message is lost")
    queue_limit: int = Field(1_000_000, gt=0, description="bytes that wait; what does not fit is dropped")


class LinkOfRadio(WayOfLink):
    """The link: constant, or a carrier seen from a distance, a pose or a trace."""

    uplink: WayOfLink | None = Field(None, description="robot to edge, where it differs")
    downlink: WayOfLink | None = Field(None, description="edge to robot, where it differs")
    profile: Annotated[Carrier | None, BeforeValidator(_profile)] = Field(
        None, description="a carrier: name or file of an access profile, or its values"
    )
    distance: float | None = Field(None, ge=0, le=1e6, description="to the base station of the profile, m")
    pose: AbsoluteName | None = Field(None, description="topic of the robot's pose; gives the distance")
    trace: TraceFile | None = Field(None, description="measurements that the link follows")

    @model_validator(mode="after")
    def _fits(self) -> LinkOfRadio:
        way = [key for key in (*WayOfLink.model_fields, "uplink", "downlink") if key in self.model_fields_set]
        quality = self.trace.quality if self.trace else None
        if self.profile is None:
            for key in ("distance", "pose"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} needs a profile, such as profile: nr")
            if quality in ("snr", "cqi"):
                raise ValueError(f"a trace of {quality} needs a profile, such as profile: nr; or give its rate")
            if self.trace and (self.uplink or self.downlink):
                raise ValueError("a trace holds both ways; leave out uplink and downlink")
            if quality and "rate" in way:
                raise ValueError("rate and the trace both give the rate; leave out one")
            if self.trace and self.trace.delay and {"delay", "jitter"} & set(way):
                raise ValueError("delay or jitter and the trace both give the delay; leave out one")
            return self
        if way:
            raise ValueError(f"{way[0]} is for a link without a profile; leave out one of them")
        given = [key for key in ("distance", "pose") if getattr(self, key) is not None] + ["trace"] * bool(quality)
        if len(given) != 1:
            text = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"a profile takes one of distance, pose, or a trace of rate, snr or cqi; {text}")
        return self


class SliceOfRadio(Config):
    """A slice that holds its part of the carrier."""

    name: str = Field(pattern=NAME, max_length=64, description="unique among the slices")
    type: SliceType = Field("embb", description="embb: served by the slot; urllc: by the mini-slot")
    rate: float = Field(1e6, gt=0, description="bit/s; the carrier is divided in proportion")
    share: float | None = Field(None, gt=0, le=1, description="fraction of the carrier, in place of that")
    max_latency: float = Field(0.1, gt=0, description="latency bound; a urllc message older than it expires, s")
    reliability: float = Field(0.99, gt=0, lt=1, description="fraction of messages within the bound")
    queue_limit: int = Field(1_000_000, gt=0, description="bytes per direction; what does not fit is dropped")


class RadioFile(Config):
    """The whole file of ``./ir radio FILE``."""

    name: str = Field("robot", pattern=NAME, description="what the reports call the robot")
    robot: RadioSide = Field(RadioSide(), description="the side of the robot")
    edge: RadioSide = Field(RadioSide(), description="the other side")
    link: LinkOfRadio = Field(description="constant (rate, delay, jitter, loss), or a profile and what it follows")
    uplink: tuple[Annotated[TopicEntry, _named("topic")], ...] = Field((), description="topics from robot to edge")
    downlink: tuple[Annotated[TopicEntry, _named("topic")], ...] = Field((), description="topics from edge to robot")
    tf: bool = Field(False, description="/tf and /tf_static cross to the edge, in the first slice")
    services: tuple[Annotated[CallEntry, _named("name")], ...] = Field((), description="services that cross")
    actions: tuple[Annotated[CallEntry, _named("name")], ...] = Field((), description="actions that cross")
    slices: tuple[SliceOfRadio, ...] = Field((), description="slices of the link; none: one for all")
    report_rate: float = Field(5.0, gt=0, le=100, description="reports per second, Hz")
    pose_rate: float = Field(20.0, gt=0, le=1000, description="how often poses are read, Hz")
    history: int = Field(256, ge=1, le=100_000, description="messages that middleware queues keep per topic")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="of loss, jitter, shadowing, fading and errors")

    @model_validator(mode="after")
    def _holds_together(self) -> RadioFile:
        if not (self.uplink or self.downlink or self.tf or self.services or self.actions):
            raise ValueError("nothing crosses; give uplink, downlink, tf, services or actions")
        if self.robot.domain == self.edge.domain and self.namespace("robot") == self.namespace("edge"):
            raise ValueError(f"both sides are {self.namespace('robot')} of one domain; give the edge another namespace")
        names = [one.name for one in self.slices]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"slice '{name}' stands twice; names must differ")
        entries: list[TopicEntry | CallEntry] = [*self.uplink, *self.downlink, *self.services, *self.actions]
        for entry in entries:
            name = entry.topic if isinstance(entry, TopicEntry) else entry.name
            if self.robot.domain == self.edge.domain and entry.to == name:
                raise ValueError(f"{name} has the same name on both sides of one domain; give another name as to")
            if entry.slice and entry.slice not in names:
                raise ValueError(f"unknown slice '{entry.slice}'; slices are: {', '.join(names) or 'none'}")
        if sum(one.share or 0.0 for one in self.slices) > 1.0 + 1e-9:
            raise ValueError("the shares of the slices add up to more than 1; lower one")
        self._refuse_doubles()
        return self

    def _refuse_doubles(self) -> None:
        for what, entries in (
            ("uplink topic", [entry.topic for entry in self.uplink] + ["/tf", "/tf_static"] * self.tf),
            ("downlink topic", [entry.topic for entry in self.downlink]),
            ("service", [entry.name for entry in self.services]), ("action", [entry.name for entry in self.actions]),
        ):  # fmt: skip
            for entry in entries:
                if entries.count(entry) > 1:
                    raise ValueError(f"{what} {entry} stands twice; remove one")
        for entry in {entry.topic for entry in self.uplink} & {entry.topic for entry in self.downlink}:
            raise ValueError(f"topic {entry} crosses both ways and would go round; give it one direction")

    def namespace(self, side: Side) -> str:
        """The absolute namespace of a side; "/" for the root."""
        given = getattr(self, side).namespace
        if given is not None:
            return str(given)
        return "/edge" if side == "edge" and self.robot.domain == self.edge.domain else "/"

    def edge_name(self, name: str, to: str | None = None) -> str:
        """What a thing of the robot's side is called on the edge's."""
        if to:
            return to
        home = self.namespace("robot").rstrip("/")
        rest = name[len(home) :] if name.startswith(f"{home}/") else name
        return f"{self.namespace('edge').rstrip('/')}{rest}"

    def robot_name(self, name: str) -> str | None:
        """What a thing of the edge's side is called on the robot's; none: it is not in the edge's namespace."""
        home = self.namespace("edge").rstrip("/")
        return f"{self.namespace('robot').rstrip('/')}{name[len(home) :]}" if name.startswith(f"{home}/") else None

    def specs(self) -> dict[str, SliceSpec]:
        """The slices by name, without flows."""
        slices = self.slices or (SliceOfRadio(name=NO_SLICE, queue_limit=self.link.queue_limit),)
        return {one.name: SliceSpec.model_validate(one.model_dump()) for one in slices}

    def blocks(self, carrier: Carrier) -> dict[str, float]:
        """Resource blocks of each slice, for good: its share, or of what is left in proportion to its rate."""
        specs = self.specs()
        rates = sum(spec.rate for spec in specs.values() if spec.share is None)
        left = 1.0 - sum(spec.share or 0.0 for spec in specs.values())
        return {
            name: carrier.resource_blocks * (left * spec.rate / rates if spec.share is None else spec.share)
            for name, spec in specs.items()
        }

    def topics(self) -> list[tuple[Direction, TopicEntry]]:
        """All entries of topics, those of tf and of actions among them."""
        entries: list[tuple[Direction, TopicEntry]] = [("uplink", entry) for entry in self.uplink]
        entries += [("downlink", entry) for entry in self.downlink]
        entries += [("uplink", TopicEntry(topic=topic)) for topic in ("/tf", "/tf_static") if self.tf]
        for action in self.actions:
            way: Direction = "uplink" if action.server == "robot" else "downlink"
            for part in ("feedback", "status"):
                to = f"{action.to}/_action/{part}" if action.to else None
                entry = TopicEntry(topic=f"{action.name}/_action/{part}", to=to, slice=action.slice)
                entries.append((way, entry))
        return entries

    def calls(self) -> list[CallEntry]:
        """All entries of services, those of actions among them."""
        parts = ("send_goal", "cancel_goal", "get_result")
        return list(self.services) + [
            action.model_copy(update={
                "name": f"{action.name}/_action/{part}", "to": action.to and f"{action.to}/_action/{part}", "type": "",
            })
            for action in self.actions for part in parts
        ]  # fmt: skip


def read_radio_file(path: str | Path) -> RadioFile:
    """Reads a file, and the traces and profiles that it names.

    Raises:
        ConfigError: one line: file, line, what is wrong and what to do.
    """
    return load_yaml(path, RadioFile)


def radio_engine(file: RadioFile, folder: Path, start: int, say: Say) -> RelayEngine:
    """The engine of a file: its link, and its slices with what is theirs of the carrier.

    Args:
        file: the file.
        folder: that it stands in, for the traces that it names.
        start: time at the start, ns.
        say: tells a person what is wrong, each thing once.

    Raises:
        ConfigError: the trace is wrong.
    """
    link, robot = file.link, file.name
    rates: dict[str, LinkTrace] = {}
    delays: dict[str, DelayTrace] = {}
    how: Mapping[str, Any] = {"start": start, "seed": file.seed, "say": say}
    trace = load_trace(link.trace, folder) if link.trace else None
    if link.trace and trace:
        if link.trace.delay:
            delays[robot] = delay_trace(trace, link.trace)
        if link.trace.quality and link.profile:
            rates[robot] = link_trace(trace, link.trace, link.profile)
    if link.profile:
        engine = RelayEngine(link.profile, [robot], rates, delays=delays, **how)
    else:
        values = trace.resample("rate", 1.0) if trace and link.trace and link.trace.quality else None
        line = _line(link, values, delays.get(robot))
        engine = RelayEngine(Carrier(), [robot], {}, lines={robot: line}, **how)
    for note in trace.notes if trace else ():
        engine.notice(note)
    engine.set_slices(file.specs())
    blocks = file.blocks(engine.cell.carrier)
    engine.set_allocation(list(blocks), list(blocks.values()), 0)
    if link.profile and link.distance is not None:
        x, y, z = link.profile.position
        engine.set_poses({robot: (x + link.distance, y, z)})
    return engine


def _line(link: LinkOfRadio, rates: Any, delays: DelayTrace | None) -> LineLink:
    def way(given: WayOfLink, uplink: bool) -> LineWay:
        constant = {key: getattr(given, key) for key in WayOfLink.model_fields}
        measured = delays if delays and (delays.uplink if uplink else delays.downlink) else None
        if rates is None or link.trace is None:
            return LineWay(**constant, delays=measured)
        first = int(link.trace.start)
        if first >= len(rates):
            raise ConfigError(f"{link.trace.trace}: start at {first} s is after its end at {len(rates)} s; give less")
        values = np.roll(rates, -first) if link.trace.loop else rates[first:]
        return LineWay(**constant, delays=measured, rates=LineRate(values, link.trace.loop))

    return LineLink(way(link.uplink or link, True), way(link.downlink or link, False))
