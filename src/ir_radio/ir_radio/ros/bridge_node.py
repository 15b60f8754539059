# SPDX-License-Identifier: Apache-2.0
"""The radio for any ROS 2 system: carries what a file names between two namespaces, or two domains."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rclpy.utilities import remove_ros_args

from ir_common.config import ConfigError
from ir_common.ros_node import STREAM, run
from ir_radio.books.flow_counters import FlowKey
from ir_radio.engine.radio_file import CallEntry, RadioFile, Side, TopicEntry, radio_engine, read_radio_file
from ir_radio.model.link_traces import load_trace
from ir_radio.model.slice_specs import Direction, FlowSpec, SliceSpec
from ir_radio.ros.ros_calls import AnswerPort, Call, RequestPort
from ir_radio.ros.ros_pump import Port
from ir_radio.ros.ros_relay_base import RelayBase, find_interface, quiet_publisher, raw_subscription
from ir_radio.ros.ros_warm_up import compile_first

_UNASKED = frozenset({"/rosout", "/parameter_events", "/clock", "/diagnostics", "/ir/node_status"})
"""Topics of every system that a pattern does not mean."""
_PATIENCE = 20  # discoveries
_MOST_TOPICS = 1000  # that patterns may bring

Make = Callable[[int, SliceSpec], Port]


@dataclass(frozen=True)
class Route:
    """What crosses: in which slice, and how its port is made once its flow has a number."""

    slice: str
    make: Make


class BridgeNode(RelayBase):
    """Carries topics, services and actions across one link, as a `RadioFile` says.

    It finds out itself what there is: a topic crosses from when somebody publishes it on its source side, with that
    publisher's QoS; a service appears on the other side when its server does.

    Args:
        file: what crosses.
        folder: that the file stands in.
    """

    def __init__(self, file: RadioFile, folder: Path, **kwargs: Any) -> None:
        super().__init__(stack="", **kwargs)  # the names are those of the file, of whatever system
        self._file = file
        self._contexts: list[Context] = []
        self._sides: dict[Side, Node] = {"robot": self._side("robot"), "edge": self._side("edge")}
        self._routes: dict[FlowKey, Route] = {}
        self._calls: dict[str, Any] = {}
        self._own: set[tuple[Side, str]] = set()  # topics that are published here
        self._specs = file.specs()
        self._pose: tuple[Any, Subscription] | None = None
        self._discoveries = 0
        engine = radio_engine(file, folder, self._start_time(), lambda text: self.get_logger().warning(text))
        self._begin(engine, file.report_rate)
        self.create_timer(1.0 / file.pose_rate, self._read_pose)

    def _side(self, side: Side) -> Node:
        """The node on a side: this one, or one in another domain."""
        domain = getattr(self._file, side).domain
        if domain is None or domain == self.context.get_domain_id():
            return self
        context = Context()
        context.init(domain_id=domain)
        self._contexts.append(context)
        return Node(
            f"radio_{side}", context=context, use_global_arguments=False, enable_rosout=False,
            start_parameter_services=False,
        )  # fmt: skip

    def close(self) -> None:
        """Ends the pump, and leaves the other domains."""
        super().close()
        for node in self._sides.values():
            if node is not self:
                node.destroy_node()
        for context in self._contexts:
            context.try_shutdown()

    # --- what there is ---

    def _discover(self) -> None:
        super()._discover()
        self._discoveries += 1
        if self._discoveries == _PATIENCE:
            self._tell_what_is_missing()

    def _tell_what_is_missing(self) -> None:
        if self._file.link.pose and not self._engine.linked:
            self._engine.notice(f"no pose on {self._file.link.pose} so far; nothing crosses before one comes")
        for way, entry in self._file.topics():
            if not any(key.direction == way and fnmatchcase(f"/{key.topic}", entry.topic) for key in self._routes):
                source: Side = "robot" if way == "uplink" else "edge"
                name = entry.topic if source == "robot" else self._file.edge_name(entry.topic, entry.to)
                if "/_action/" not in name and not name.startswith("/tf"):
                    self._engine.notice(f"{name}: nobody publishes it on the {source}'s side so far")
        for call in self._file.calls():
            if call.name not in self._calls:
                name = call.name if call.server == "robot" else self._file.edge_name(call.name, call.to)
                self._engine.notice(f"{name}: nobody serves it on the {call.server}'s side so far")

    def _open_flows(self) -> None:
        """Opens what has come up since the last time, as far as the link is known."""
        if not self._time.started:
            return
        self._listen_to_pose()
        if not self._engine.linked:
            return
        found = dict(self._new_topics())
        for entry in self._file.calls():
            found |= self._new_call(entry)
        self._routes |= found
        if found:
            self._pump.call(lambda: self._caught_up(self._engine.set_slices, self._specs_with_flows()))
        for key, (spec, _) in self._pump.call(self._engine.openable).items():
            port = self._routes[key].make(self._pump.call(partial(self._engine.open_flow, key)), spec)
            if port.subscription is not None:
                self._qos.open(port)
            self._pump.call(partial(self._pump.open, port))
            self.get_logger().info(f"{port.name} crosses ({key.direction}, slice {key.slice})")

    def _specs_with_flows(self) -> dict[str, SliceSpec]:
        flows: dict[str, list[FlowSpec]] = {name: [] for name in self._specs}
        for key, route in self._routes.items():
            flows[route.slice].append(FlowSpec(topic=key.topic, direction=key.direction))
        return {name: spec.model_copy(update={"flows": tuple(flows[name])}) for name, spec in self._specs.items()}

    def _key(self, slice_: str, name: str, direction: Direction) -> FlowKey:
        return FlowKey(slice_ or next(iter(self._specs)), self._file.name, name.lstrip("/"), direction)

    # --- topics ---

    def _new_topics(self) -> Iterator[tuple[FlowKey, Route]]:
        graph = {side: dict(node.get_topic_names_and_types()) for side, node in self._sides.items()}
        known = {(key.topic, key.direction) for key in self._routes}
        for direction, entry in self._file.topics():
            source: Side = "robot" if direction == "uplink" else "edge"
            for name in self._names(entry, source, graph[source]):
                if (name.lstrip("/"), direction) in known or len(self._routes) >= _MOST_TOPICS:
                    continue
                known.add((name.lstrip("/"), direction))
                names: dict[Side, str] = {"robot": name, "edge": self._file.edge_name(name, entry.to)}
                publishers = self._who_publishes(source, names[source])
                type_name = entry.type or next(iter(graph[source].get(names[source], [])), "")
                if publishers and type_name and (kind := self._interface(type_name, names[source])):
                    key = self._key(entry.slice, name, direction)
                    yield key, Route(key.slice, self._topic(key, kind, source, names, publishers))

    def _names(self, entry: TopicEntry, source: Side, there: dict[str, list[str]]) -> list[str]:
        """The topics that an entry means, by their names on the robot's side."""
        if not entry.is_pattern:
            return [entry.topic]
        names = []
        for name in there:
            hidden = "/_" in name or name in _UNASKED or name.startswith(f"{self.get_fully_qualified_name()}/")
            own = name if source == "robot" else self._file.robot_name(name)
            other = source == "robot" and self._sides["robot"] is self._sides["edge"] and self._file.robot_name(name)
            if own and not hidden and not other and fnmatchcase(own, entry.topic):
                names.append(own)
        return names

    def _who_publishes(self, side: Side, topic: str) -> list[TopicEndpointInfo]:
        """Who publishes a topic, but for this relay."""
        if (side, topic) not in self._own:
            return list(self._sides[side].get_publishers_info_by_topic(topic))
        node = self._sides[side]
        found = node.get_publishers_info_by_topic(topic)
        return [one for one in found if (one.node_name, one.node_namespace) != (node.get_name(), node.get_namespace())]

    def _topic(
        self, key: FlowKey, kind: Any, source: Side, names: dict[Side, str], publishers: list[TopicEndpointInfo]
    ) -> Make:
        target: Side = "edge" if source == "robot" else "robot"
        qos = mirrored_qos([info.qos_profile for info in publishers], self._file.history)

        def make(flow: int, spec: SliceSpec) -> Port:
            self._own.add((target, names[target]))
            return Port(
                flow=flow, name=names[source], robot=key.robot, slice=key.slice, urllc=spec.type == "urllc",
                bound=round(spec.max_latency * 1e9),
                subscription=raw_subscription(self._sides[source], kind, names[source], qos, self._group),
                publisher=quiet_publisher(self._sides[target], kind, names[target], qos, self._group),
            )  # fmt: skip

        return make

    def _interface(self, type_name: str, name: str) -> Any:
        try:
            return find_interface(type_name)
        except LookupError:
            self._engine.notice(f"{name}: type {type_name} is not installed here; it does not cross the radio")
            return None

    # --- services ---

    def _new_call(self, entry: CallEntry) -> dict[FlowKey, Route]:
        """The two routes of a service whose server has come up; none: it has not."""
        names: dict[Side, str] = {"robot": entry.name, "edge": self._file.edge_name(entry.name, entry.to)}
        server: Side = entry.server
        clients: Side = "edge" if server == "robot" else "robot"
        if entry.name not in self._calls:
            there = dict(self._sides[server].get_service_names_and_types())
            type_name = entry.type or next(iter(there.get(names[server], [])), "")
            kind = self._interface(type_name, names[server]) if names[server] in there and type_name else None
            if kind is None:
                return {}
            client = self._sides[server].create_client(kind, names[server], callback_group=self._group)
            self._calls[entry.name] = client
        client = self._calls[entry.name]
        if isinstance(client, Call) or not client.service_is_ready():
            return {}
        service = self._sides[clients].create_service(
            client.srv_type, names[clients], lambda _, answer: answer, callback_group=self._group
        )
        call = self._calls[entry.name] = Call(service, client)
        asked: Direction = "downlink" if server == "robot" else "uplink"
        answered: Direction = "uplink" if server == "robot" else "downlink"
        routes = {}
        for kind_of_port, part, way in ((RequestPort, "request", asked), (AnswerPort, "answer", answered)):
            key = self._key(entry.slice, f"{entry.name}/{part}", way)
            routes[key] = Route(key.slice, self._call_port(kind_of_port, key, names[clients], call))
        return routes

    def _call_port(self, kind: type[RequestPort] | type[AnswerPort], key: FlowKey, name: str, call: Call) -> Make:
        def make(flow: int, spec: SliceSpec) -> Port:
            return kind(
                flow=flow, name=f"{name}/{key.topic.rpartition('/')[2]}", robot=key.robot, slice=key.slice,
                urllc=spec.type == "urllc", bound=round(spec.max_latency * 1e9), call=call,
            )  # fmt: skip

        return make

    # --- the link ---

    def _listen_to_pose(self) -> None:
        topic, node = self._file.link.pose, self._sides["robot"]
        if topic is None or self._pose is not None:
            return
        type_name = next(iter(dict(node.get_topic_names_and_types()).get(topic, [])), "")
        if type_name and (kind := self._interface(type_name, topic)):
            newest = QoSProfile(depth=1, reliability=STREAM.reliability)
            self._pose = kind, raw_subscription(node, kind, topic, newest, self._group)

    def _read_pose(self) -> None:
        self._follow_traces()
        if self._pose is None:
            return
        kind, subscription = self._pose
        with subscription.handle:
            taken = subscription.handle.take_message(kind, True)
        if taken is None:
            return
        point = deserialize_message(taken[0], kind)
        while hasattr(point, "pose"):
            point = point.pose
        point = getattr(point, "position", point)
        if not all(hasattr(point, axis) for axis in "xyz"):
            self._engine.notice(f"{self._file.link.pose}: {kind.__name__} holds no pose; give one such as Odometry")
            return
        poses = {self._file.name: (float(point.x), float(point.y), float(point.z))}
        self._pump.call(lambda: self._set_poses(poses))


def mirrored_qos(offered: list[QoSProfile], history: int) -> QoSProfile:
    """The QoS that takes in what all of these publishers send, and offers no less than they all do."""
    reliable = all(one.reliability == ReliabilityPolicy.RELIABLE for one in offered)
    latched = all(one.durability == DurabilityPolicy.TRANSIENT_LOCAL for one in offered)
    return QoSProfile(
        depth=history,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def _first_read() -> BridgeNode:
    words = remove_ros_args(sys.argv)[1:]
    if len(words) != 1:
        raise ConfigError("usage: radio FILE; FILE says what crosses (docs/guide/radio_only.md)")
    file = read_radio_file(words[0])
    if file.link.trace:
        load_trace(file.link.trace, Path(words[0]).parent)  # a mistake in it is told before anything is compiled
    compile_first()
    return BridgeNode(file, Path(words[0]).parent)


def main() -> None:
    """Entry point of the executable ``radio``."""
    run(_first_read)
