# SPDX-License-Identifier: Apache-2.0
"""The verbs of the slice commands: arguments, calls, output; the same for `ros2 slice` and `./ir slice`."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from ir_common.config import ConfigError, load_yaml, validate
from ir_common.ros_time import to_seconds
from ir_common.slice_kinds import KEYS
from ir_common.stack_namespace import VARIABLE
from ir_interfaces.msg import CellReport, FlowReport, SliceList, SliceStatus
from ir_interfaces.msg import SliceSpec as SliceSpecMessage
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_slice_messages import spec_from_message, spec_to_message
from ros2slice.ros_client import Failed, SliceClient
from ros2slice.slice_kpis import Carried, SliceKpis
from ros2slice.slice_tables import number, slices_table, traffic_table

_OPTIONS: dict[str, Any] = {
    "type": str,
    "rate": float,
    "max_latency": float,
    "reliability": float,
    "priority": int,
    "lifetime": float,
    "queue_limit": int,
    "share": float,
    "differentiator": int,
    "dedicated_share": float,
    "max_share": float,
    "uplink_rate": float,
    "downlink_rate": float,
}


@dataclass(frozen=True)
class Verb:
    """One verb.

    Attributes:
        about: what it does, in one sentence.
        add_arguments: adds its own arguments to a parser.
        run: does it, and prints; raises `Failed` or `ConfigError` where it cannot.
    """

    about: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[SliceClient, Namespace], None]


def add_arguments(verb: Verb, parser: ArgumentParser) -> None:
    """All arguments of a verb."""
    verb.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, in the form of the REST interface")
    parser.add_argument("--namespace", help=f"of the stack, where it has one (namespace:=) [${VARIABLE}]")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for the slice manager [5]")


def run(verb: Verb, arguments: Namespace) -> int:
    """Runs a verb; returns the exit status. A failure is one line on standard error."""
    try:
        with SliceClient(arguments.timeout, arguments.namespace) as client:
            verb.run(client, arguments)
    except (Failed, ConfigError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    return 0


def status(message: SliceStatus) -> dict[str, Any]:
    """A slice as plain data: `spec`, `resource_blocks`, `created` (s of ROS time)."""
    return {
        "spec": spec_from_message(message.spec).model_dump(mode="json"),
        "resource_blocks": number(message.resource_blocks),
        "created": to_seconds(message.created),
    }


def listing(answer: ListSlices.Response) -> dict[str, Any]:
    """`slices` as `status`, and `templates`: their specifications."""
    templates = [spec_from_message(one).model_dump(mode="json") for one in answer.templates]
    return {"slices": [status(one) for one in answer.slices], "templates": templates}


def carried(flow: FlowReport) -> Carried:
    """What a flow carried since the start."""
    dropped, timed = sum(drop.messages for drop in flow.books.dropped), flow.delay.count
    waited = timed * flow.delay.mean if timed else 0.0
    return Carried(flow.books.delivered_bytes, flow.books.delivered_messages, dropped, waited, timed)


def traffic(slices: SliceList, report: CellReport, kpis: SliceKpis) -> dict[str, Any]:
    """What the slices do: `time` (s) and a row for each slice; rates in bit/s, times in s, null: not known.

    `rate` and `max_latency` are what was agreed, `queued` and `dropped` messages, dropped since the start; `kpis` those
    of TS 28.554 since the report before, in its units.
    """
    agreed = {one.spec.name: one.spec for one in slices.slices}
    flows = ((one.slice, one.direction == FlowReport.UPLINK, carried(one)) for one in report.flows)
    measured = kpis.update(to_seconds(report.header.stamp), [one.slice for one in report.slices], flows)
    rows = []
    for one in report.slices:
        spec = agreed.get(one.slice)
        rows.append(
            {
                "name": one.slice,
                "type": KEYS.get(one.type, "–"),
                "resource_blocks": number(one.resource_blocks),
                "utilisation": number(one.utilisation),
                "offered_rate": number(one.offered_rate),
                "delivered_rate": number(one.delivered_rate),
                "rate": spec.rate if spec else None,
                "delay_p50": number(one.recent_delay.p50) if one.recent_delay.count else None,
                "delay_p99": number(one.recent_delay.p99) if one.recent_delay.count else None,
                "max_latency": spec.max_latency if spec else None,
                "queued": one.books.queued_messages,
                "dropped": sum(drop.messages for drop in one.books.dropped),
                "kpis": measured.get(one.slice, {}),
            }
        )
    return {"time": to_seconds(report.header.stamp), "slices": rows}


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(width=150, highlight=False)


def _list(client: SliceClient, arguments: Namespace) -> None:
    found = listing(client.call(ListSlices, "list_slices", ListSlices.Request()))
    if arguments.json:
        print(json.dumps(found, indent=2))
    elif arguments.templates:
        _console().print(slices_table([{"spec": spec} for spec in found["templates"]]))
    else:
        _console().print(slices_table(found["slices"]))


def _create(client: SliceClient, arguments: Namespace) -> None:
    given = _given(arguments)
    if arguments.template and (given or arguments.file):
        raise Failed("a template says everything itself; create from it, then modify, or leave the template out")
    if arguments.template:
        request = CreateSlice.Request(template_name=arguments.template, spec=SliceSpecMessage(name=arguments.name))
    elif arguments.file:
        spec = load_yaml(arguments.file, SliceSpec)
        update = given | ({"name": arguments.name} if arguments.name else {})
        request = CreateSlice.Request(spec=spec_to_message(_updated(spec, update)))
    else:
        if not arguments.name:
            raise Failed(
                "say which: a TEMPLATE (ros2 slice list --templates), --file FILE, or --name NAME and its figures"
            )
        values = {"name": arguments.name, **given}
        request = CreateSlice.Request(spec=spec_to_message(validate(SliceSpec, values, f"slice '{arguments.name}'")))
    _tell(client.call(CreateSlice, "create_slice", request), arguments)


def _modify(client: SliceClient, arguments: Namespace) -> None:
    given = _given(arguments)
    if not given:
        raise Failed(f"say what to change: {', '.join('--' + name.replace('_', '-') for name in (*_OPTIONS, 'flow'))}")
    listed = client.call(ListSlices, "list_slices", ListSlices.Request())
    there = {one.spec.name: one.spec for one in listed.slices}
    if arguments.name not in there:
        raise Failed(f"there is no slice '{arguments.name}'; slices: {', '.join(there) or 'none'}")
    spec = _updated(spec_from_message(there[arguments.name]), given)
    _tell(client.call(ModifySlice, "modify_slice", ModifySlice.Request(spec=spec_to_message(spec))), arguments)


def _delete(client: SliceClient, arguments: Namespace) -> None:
    _tell(client.call(DeleteSlice, "delete_slice", DeleteSlice.Request(name=arguments.name)), arguments)


def _watch(client: SliceClient, arguments: Namespace) -> None:
    left = arguments.count
    console, kpis = _console(), SliceKpis()
    with Live(console=console, auto_refresh=False) as live:

        def update(slices: SliceList, report: CellReport) -> bool:
            nonlocal left
            now = traffic(slices, report, kpis)
            if arguments.json:
                print(json.dumps(now), flush=True)
            elif console.is_terminal:
                live.update(traffic_table(now["slices"]), refresh=True)
            else:
                console.print(f"{now['time']:.1f} s", traffic_table(now["slices"]), sep="\n")
            left -= 1
            return bool(left)

        client.watch(update)


def _tell(answer: Any, arguments: Namespace) -> None:
    if arguments.json:
        changed = {"slice": status(answer.slice)} if hasattr(answer, "slice") else {}
        print(json.dumps(changed | {"message": answer.message}, indent=2))
    else:
        print(answer.message)


def _given(arguments: Namespace) -> dict[str, Any]:
    """Numbers of a slice specification that were given on the command line, by field."""
    found = {name: getattr(arguments, name) for name in _OPTIONS if getattr(arguments, name) is not None}
    if arguments.flow:
        found["flows"] = [_flow(text) for text in arguments.flow]
    return found


def _flow(text: str) -> dict[str, Any]:
    """A flow written ROBOTS:TOPIC:DIRECTION or ROBOTS:TOPIC:DIRECTION:TYPE."""
    parts = text.split(":")
    if len(parts) not in (3, 4):
        raise Failed(f"--flow {text}: write ROBOTS:TOPIC:uplink or ROBOTS:TOPIC:downlink, as in 'cart*:scan:uplink'")
    robots, topic, direction = parts[:3]
    kind = {"message_type": parts[3]} if len(parts) == 4 else {}
    return {"robots": robots.split(","), "topic": topic, "direction": direction, **kind}


def _updated(spec: SliceSpec, changes: dict[str, Any]) -> SliceSpec:
    """The slice with changes; rates of the directions make the rate, and a rate for both undoes rates apart."""
    values = spec.model_dump()
    if {"uplink_rate", "downlink_rate"} & changes.keys():
        del values["rate"]
    elif "rate" in changes:
        del values["uplink_rate"], values["downlink_rate"]
    return validate(SliceSpec, values | changes, f"slice '{changes.get('name', spec.name)}'")


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--templates", action="store_true", help="what slices can be created from")


def _figures(parser: ArgumentParser) -> None:
    for name, kind in _OPTIONS.items():
        field = SliceSpec.model_fields[name]
        choices = ("embb", "urllc") if name == "type" else None
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, choices=choices, help=field.description)
    parser.add_argument(
        "--flow", action="append", metavar="ROBOTS:TOPIC:DIRECTION[:TYPE]",
        help="a topic that it carries, as in 'cart*:scan:uplink'; again for further ones",
    )  # fmt: skip


def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("template", nargs="?", default="", help="template to make it from; its name unless --name")
    parser.add_argument("--name", default="", help="name of the slice")
    parser.add_argument("--file", type=Path, help="YAML file with its specification, as a template in slices.yaml")
    _figures(parser)


def _modify_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the slice")
    _figures(parser)


def _delete_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="name of the slice")


def _watch_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=0, help="end after so many reports of the radio, 0: on Ctrl-C [0]")


VERBS = {
    "list": Verb("List the slices in force, or the templates", _list_arguments, _list),
    "create": Verb("Create a slice from a template or a specification", _create_arguments, _create),
    "modify": Verb("Change what a slice is asked to be", _modify_arguments, _modify),
    "delete": Verb("Delete a slice", _delete_arguments, _delete),
    "watch": Verb("Show what the slices do, live", _watch_arguments, _watch),
}
