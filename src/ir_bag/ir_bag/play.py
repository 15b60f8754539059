# SPDX-License-Identifier: Apache-2.0
"""`ir bag play`: publishes the messages of a bag."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from threading import Event

from ir_bag import bag_console, topic_choice
from ir_bag.qos_profiles import Overrides, Profile
from ir_bag.reader import BagReader
from ir_bag.ros_console import bag_node
from ir_bag.ros_player import Player
from ir_common.config import ConfigError, load_yaml


def parser() -> argparse.ArgumentParser:
    """The arguments of `ir bag play`."""
    made = argparse.ArgumentParser(prog="ir bag play", description="Publish the messages of a rosbag2 bag.")
    made.add_argument("bag", type=Path, help="folder of the bag, or one file of it")
    made.add_argument("--topics", nargs="+", default=[], metavar="TOPIC", help="play these only")
    topic_choice.add_arguments(made)
    made.add_argument("-r", "--rate", type=float, default=1.0, help="times as fast as recorded; default: 1")
    made.add_argument("-l", "--loop", action="store_true", help="again and again")
    made.add_argument("--start-offset", type=float, default=0.0, metavar="S", help="leave out the first S seconds")
    made.add_argument(
        "--skip-gaps", type=float, metavar="S", help="jump over gaps of more than S seconds without a message"
    )
    made.add_argument("--playback-duration", type=float, metavar="S", help="play S seconds of the bag")
    made.add_argument(
        "--clock", type=float, nargs="?", const=40.0, metavar="HZ", help="publish /clock from the time of recording"
    )
    made.add_argument("--remap", nargs="+", default=[], metavar="OLD:=NEW", help="play a topic under another name")
    made.add_argument("--qos-profile-overrides-path", type=Path, metavar="FILE", help="YAML: QoS by topic")
    made.add_argument(
        "--wait",
        type=float,
        default=0.0,
        metavar="S",
        help="first wait until each topic has a reader, S seconds at most",
    )
    made.add_argument("-d", "--delay", type=float, default=1.0, metavar="S", help="before the start; default: 1 s")
    return made


def main() -> None:
    """Entry point of the executable ``play``."""
    bag_console.run(lambda: play(sys.argv[1:]))


def play(arguments: list[str]) -> int:
    """Plays a bag until its end or a signal; returns the exit status.

    Raises:
        ConfigError: the command line or the bag is wrong.
    """
    options = parser().parse_args(arguments)
    bag = BagReader(options.bag)
    _check(options, bag)
    overrides = _overrides(options.qos_profile_overrides_path) if options.qos_profile_overrides_path else None
    end = bag_console.told_to_end()
    with bag_node("bag_player") as node:
        for problem in bag.summary.problems:
            _say(f"{bag.path}: {problem}; what is whole is played")
        for note in bag.summary.notes:
            _say(note)
        chosen = topic_choice.from_arguments(options, options.topics, hidden=True)
        player = Player(node, bag, chosen, _say, _mapping(options.remap), overrides)
        if options.clock:
            player.publish_clock()
        for name in player.wait_for_readers(end, options.wait):
            _say(f"{name}: nobody reads it yet")
        end.wait(options.delay)
        count = _rounds(player, options, end)
        if not end.is_set():
            player.wait_until_read()
        _say(f"{count} messages of {len(player.publishers)} topics were played")
    return 0


def _rounds(player: Player, options: argparse.Namespace, end: Event) -> int:
    count = 0
    while not end.is_set():
        count += player.play(
            end, options.rate, options.start_offset, options.playback_duration, options.clock or 40.0, options.skip_gaps
        )
        if not options.loop:
            break
    return count


def _check(options: argparse.Namespace, bag: BagReader) -> None:
    numbers = {"--rate": options.rate, "--clock": options.clock, "--playback-duration": options.playback_duration}
    numbers["--skip-gaps"] = options.skip_gaps
    for name, value in numbers.items():
        if value is not None and not (0 < value < math.inf):
            raise ConfigError(f"{name} {value:g}: give a positive number")
    seconds = (bag.summary.end - bag.summary.start) * 1e-9
    if not bag.summary.messages:
        raise ConfigError(f"{bag.path}: holds no messages; give another bag")
    if not 0 <= options.start_offset <= seconds:
        raise ConfigError(f"--start-offset {options.start_offset:g}: the bag is {seconds:.3f} s long; give 0 to that")
    for name, value in {"--delay": options.delay, "--wait": options.wait}.items():
        if not 0 <= value < math.inf:
            raise ConfigError(f"{name} {value:g}: give 0 or more seconds")


def _mapping(words: list[str]) -> dict[str, str]:
    pairs = {}
    for word in words:
        old, separator, new = word.partition(":=")
        if not (separator and old and new):
            raise ConfigError(f"--remap {word}: give OLD:=NEW, such as /cart/scan:=/scan")
        pairs[topic_choice.qualified(old)] = new
    return pairs


def _overrides(path: Path) -> dict[str, Profile]:
    return {topic_choice.qualified(name): profile for name, profile in load_yaml(path, Overrides).root.items()}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
