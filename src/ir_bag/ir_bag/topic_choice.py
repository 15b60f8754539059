# SPDX-License-Identifier: Apache-2.0
"""The choice of topics by name and pattern, for recording and playing."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ir_common.config import ConfigError


@dataclass(frozen=True)
class TopicChoice:
    """Topics by name or pattern; all, where neither is given.

    Attributes:
        names: fully qualified.
        regex, exclude_regex: matched with the whole name.
        excluded: names that are left out, whatever else is said.
        hidden: topics with a part that begins with _ are chosen, too.
    """

    names: frozenset[str] = frozenset()
    regex: re.Pattern[str] | None = None
    exclude_regex: re.Pattern[str] | None = None
    excluded: frozenset[str] = frozenset()
    hidden: bool = False

    def takes(self, topic: str) -> bool:
        """Whether a topic is chosen."""
        if topic in self.excluded or (self.exclude_regex and self.exclude_regex.fullmatch(topic)):
            return False
        if topic in self.names:
            return True
        if not self.hidden and any(part.startswith("_") for part in topic.split("/")):
            return False
        if self.regex:
            return bool(self.regex.fullmatch(topic))
        return not self.names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that `from_arguments` reads."""
    parser.add_argument("-e", "--regex", metavar="PATTERN", help="topics whose whole name matches, besides those named")
    parser.add_argument("-x", "--exclude-regex", metavar="PATTERN", help="leave out topics whose whole name matches")
    parser.add_argument("--exclude-topics", nargs="+", default=[], metavar="TOPIC", help="leave out these topics")


def from_arguments(options: argparse.Namespace, names: Iterable[str], hidden: bool = False) -> TopicChoice:
    """The choice that a command line makes.

    Raises:
        ConfigError: a pattern is wrong.
    """
    return TopicChoice(
        frozenset(map(qualified, names)),
        _compiled("--regex", options.regex),
        _compiled("--exclude-regex", options.exclude_regex),
        frozenset(map(qualified, options.exclude_topics)),
        hidden,
    )


def qualified(name: str) -> str:
    """A topic's name from the root on, as the topics of a bag are named."""
    return name if name.startswith("/") else f"/{name}"


def _compiled(option: str, pattern: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern) if pattern is not None else None
    except re.error as error:
        raise ConfigError(f"{option} '{pattern}': is no regular expression ({error}); mend it") from None
