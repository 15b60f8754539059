# SPDX-License-Identifier: Apache-2.0
"""`ir bag record`: records topics into a bag until it is told to end."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import datetime
from pathlib import Path

from ir_bag import bag_console, topic_choice
from ir_bag.ros_console import bag_node
from ir_bag.ros_recorder import PERIOD, Recorder
from ir_bag.writer import STORAGES, BagWriter
from ir_common.config import ConfigError


def parser() -> argparse.ArgumentParser:
    """The arguments of `ir bag record`."""
    made = argparse.ArgumentParser(prog="ir bag record", description="Record topics into a rosbag2 bag.")
    made.add_argument("names", nargs="*", metavar="TOPIC", help="topics to record")
    made.add_argument("-a", "--all", action="store_true", help="all topics, those to come included")
    topic_choice.add_arguments(made)
    made.add_argument("--include-hidden-topics", action="store_true", help="with --all or --regex: hidden ones, too")
    made.add_argument("-o", "--output", type=Path, help="folder of the bag; default: rosbag2_ and the time")
    made.add_argument("-s", "--storage", choices=sorted(STORAGES), default="mcap", help="default: mcap")
    made.add_argument("--compression", choices=["none", "lz4", "zstd"], default="none", help="of MCAP chunks")
    made.add_argument("--flush-period", type=float, default=1.0, metavar="S", help="what a kill may cost; default: 1 s")
    made.add_argument("--duration", type=float, metavar="S", help="end after so many seconds")
    return made


def main() -> None:
    """Entry point of the executable ``record``."""
    bag_console.run(lambda: record(sys.argv[1:]))


def record(arguments: list[str]) -> int:
    """Records until a signal or the end of `--duration`; returns the exit status.

    Raises:
        ConfigError: the command line is wrong.
        DiskFull: the disk is full; what was written is in the bag.
    """
    options = parser().parse_args(arguments)
    if not (options.all or options.names or options.regex):
        raise ConfigError("nothing to record: name topics, give a pattern (-e), or take all (-a)")
    if options.all and (options.names or options.regex):
        raise ConfigError("-a takes all topics already: leave out the names and -e, or leave out -a")
    if options.flush_period <= 0 or (options.duration is not None and options.duration <= 0):
        raise ConfigError("--flush-period and --duration are seconds, and positive")
    chosen = topic_choice.from_arguments(options, options.names, options.include_hidden_topics)
    end = bag_console.told_to_end()
    folder = options.output or Path(f"rosbag2_{datetime.now():%Y_%m_%d-%H_%M_%S}")
    with bag_node("bag_recorder") as node:
        with BagWriter(folder, options.storage, options.compression) as bag:
            recorder = Recorder(node, bag, chosen, _say, options.flush_period)
            _say(f"recording into {folder}; Ctrl-C ends it")
            last = time.monotonic() + options.duration if options.duration else float("inf")
            while not end.is_set() and time.monotonic() < last:
                recorder.step()
                end.wait(PERIOD)
            recorder.take()
        _say(f"{bag.messages} messages of {len(bag.topics)} topics are in {folder}")
        if recorder.lost:
            worst = ", ".join(f"{name} {count}" for name, count in recorder.lost.most_common(5))
            _say(f"published, but not received: {recorder.lost.total()} messages ({worst})")
        for name in sorted(chosen.names - set(bag.topics)):
            _say(f"{name} was not there: nothing recorded")
    return 0


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
