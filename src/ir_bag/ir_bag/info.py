# SPDX-License-Identifier: Apache-2.0
"""`ir bag info`: what is in a bag; mends one that was cut off."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ir_bag import bag_console, qos_profiles
from ir_bag.contents import Summary, Topic
from ir_bag.reader import BagReader, repair


def parser() -> argparse.ArgumentParser:
    """The arguments of `ir bag info`."""
    made = argparse.ArgumentParser(prog="ir bag info", description="Say what is in a rosbag2 bag.")
    made.add_argument("bag", type=Path, help="folder of the bag, or one file of it")
    made.add_argument("--json", action="store_true", help="as JSON")
    made.add_argument("--repair", action="store_true", help="first mend a bag that was cut off, in place")
    return made


def main() -> None:
    """Entry point of the executable ``info``."""
    bag_console.run(lambda: info(sys.argv[1:]))


def info(arguments: list[str]) -> int:
    """Prints what is in a bag, mended first where that was asked for; returns the exit status.

    Raises:
        ConfigError: there is no bag, or none that can be read.
    """
    options = parser().parse_args(arguments)
    if options.repair:
        for line in repair(options.bag) or [f"{options.bag}: nothing to mend"]:
            print(line, file=sys.stderr)
    bag = BagReader(options.bag)
    if options.json:
        print(json.dumps(as_dict(options.bag, bag.summary), indent=2))
    else:
        _show(options.bag, bag.summary)
    return 0


def as_dict(path: Path, summary: Summary) -> dict[str, Any]:
    """A bag's summary ready for JSON; times in ns, size in B."""
    return {
        "path": str(path),
        "storage": summary.storage,
        "ros_distro": summary.distro,
        "compression": summary.compression,
        "files": summary.files,
        "size": summary.size,
        "start": summary.start,
        "end": summary.end,
        "duration": summary.end - summary.start,
        "messages": summary.messages,
        "problems": summary.problems,
        "notes": summary.notes,
        "topics": [
            {
                "name": topic.name,
                "type": topic.type,
                "messages": summary.counts.get(topic.name, 0),
                "type_hash": topic.type_hash,
                "serialization_format": topic.serialization_format,
                "definition": bool(topic.definition),
                "offered_qos_profiles": qos_profiles.dump(topic.qos),
            }
            for topic in sorted(summary.topics.values(), key=lambda topic: topic.name)
        ],
    }


def _show(path: Path, summary: Summary) -> None:
    seconds = (summary.end - summary.start) * 1e-9
    out = Console(soft_wrap=True, highlight=False, markup=False)
    out.print(f"bag        {path}")
    packed = f", compressed: {summary.compression}" if summary.compression else ""
    out.print(f"storage    {summary.storage}, {bag_console.size(summary.size)}{packed}")
    out.print(f"recorded   with ROS 2 {summary.distro or '(not told)'}")
    if summary.messages:
        out.print(f"start      {datetime.fromtimestamp(summary.start * 1e-9):%Y-%m-%d %H:%M:%S.%f}")
    out.print(f"duration   {seconds:.3f} s")
    out.print(f"messages   {summary.messages}")
    for problem in summary.problems:
        out.print(f"problem    {problem}; `ir bag info --repair {path}` mends it")
    for note in summary.notes:
        out.print(f"note       {note}")
    table = Table(box=None, pad_edge=False)
    for name in ("topic", "type", "QoS"):
        table.add_column(name, overflow="fold")
    for name in ("messages", "Hz"):
        table.add_column(name, justify="right")
    for topic in sorted(summary.topics.values(), key=lambda topic: topic.name):
        count = summary.counts.get(topic.name, 0)
        rate = f"{count / seconds:.1f}" if seconds > 0 else ""
        table.add_row(topic.name, topic.type, _offered(topic), str(count), rate)
    if not sys.stdout.isatty():
        out.width = 160
    out.print(table)


def _offered(topic: Topic) -> str:
    words = {p.reliability + (", transient local" if p.durability == "transient_local" else "") for p in topic.qos}
    return "; ".join(sorted(words)).replace("_", " ")


if __name__ == "__main__":
    main()
