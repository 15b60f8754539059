# SPDX-License-Identifier: Apache-2.0
"""The stories that `./ir demo` tells: what happens when, what is said then, and which two numbers come of it.

A story is told by a stage, which does what turns ask and keeps tallies; nothing here knows where that is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

FLOOD = {"topic": "flood", "message_type": "std_msgs/msg/UInt8MultiArray", "direction": "uplink"}
"""The flow, of every robot, in which a story's flood of video comes."""
FLOOD_RATE = 40e6
"""bit/s, about twice what `NARROW` carries."""
NARROW = {"bandwidth": 3.6e6, "resource_blocks": 20}
"""Carrier of the story of slices: small, so that little processor time overloads it."""
GUARANTEED = 0.09
"""Part of the guaranteed rates of config/slices.yaml that fits into it: the part of its blocks."""
ONE = "everything"
"""Name of the slice that carries all flows."""
STOPPING = 2.0
"""s within which a robot without a link has to be at rest; what it moves after them is drift."""


class Stage(Protocol):
    """What a story can have done, and where it is told."""

    def drive(self, seated: bool) -> None:
        """Seats a clumsy driver, or has him let go."""

    def keep(self, kept: bool) -> None:
        """Has the driver kept from walls by the page's guard and the twin, or by nobody."""

    def flood(self, rate: float) -> None:
        """A robot sends so much video on top, bit/s."""

    def slice(self, names: Sequence[str]) -> None:
        """Has slices of these templates, and no others."""

    def cut(self, away: bool) -> None:
        """Takes the links of all robots away, or gives them back."""


@dataclass(frozen=True)
class Tally:
    """What has been counted since the start of the stack, or in a part of a story.

    Attributes:
        seconds: of simulated time.
        falls, collisions: of all robots.
        commands: states and commands that crossed the radio.
        delay: sum of their delays, s.
        vetoed: commands that the twin replaced.
        way: by robot, how far it is from where it was, [2] m.
        episodes: by robot; with each one it was put back to its start.
    """

    seconds: float = 0.0
    falls: int = 0
    collisions: int = 0
    commands: int = 0
    delay: float = 0.0
    vetoed: int = 0
    way: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    episodes: Mapping[str, int] = field(default_factory=dict)

    def since(self, before: Tally) -> Tally:
        """The part of it that came after another one."""
        start = before.way
        way = {
            name: (x - start.get(name, (0.0, 0.0))[0], y - start.get(name, (0.0, 0.0))[1])
            for name, (x, y) in self.way.items()
        }
        episodes = {name: count - before.episodes.get(name, 0) for name, count in self.episodes.items()}
        counts = ("seconds", "falls", "collisions", "commands", "delay", "vetoed")
        return Tally(
            **{name: getattr(self, name) - getattr(before, name) for name in counts}, way=way, episodes=episodes
        )

    @property
    def mean_delay(self) -> float:
        """Of states and commands, s; infinite where none crossed."""
        return self.delay / self.commands if self.commands else math.inf

    @property
    def drift(self) -> tuple[float, str]:
        """How far the robot that moved most is from where it was, m, and its name; not one that was put back."""
        stayed = [(math.hypot(*way), robot) for robot, way in self.way.items() if not self.episodes.get(robot)]
        return max(stayed, default=(0.0, ""))


Parts = Sequence[tuple[str, Tally]]
"""What was counted in the parts of a story, with their names, in their order."""


@dataclass(frozen=True)
class Closing:
    """How a story ends.

    Attributes:
        numbers: the two that it was about, with their names.
        text: that says them.
        made: whether they show what the story is told for.
    """

    numbers: dict[str, float]
    text: str
    made: bool


@dataclass(frozen=True)
class Turn:
    """One turn of a story.

    Attributes:
        at: s after its beginning.
        caption: what is said.
        do: what is done then.
        part: of the story that begins here, and is counted under this name; empty: not counted.
    """

    at: float
    caption: str
    do: tuple[Callable[[Stage], None], ...] = ()
    part: str = ""


@dataclass(frozen=True)
class Story:
    """One story.

    Attributes:
        about: one line for those who choose one.
        words: arguments of the bringup, ``name:=value``.
        turns: in their order; the last one is the end.
        close: makes the end of what was counted in the parts.
        slices: makes the slices file from that of the stack, as plain data; none: it is as it is.
    """

    about: str
    words: tuple[str, ...]
    turns: tuple[Turn, ...]
    close: Callable[[Parts], Closing]
    slices: Callable[[dict[str, Any]], dict[str, Any]] | None = None


def total(parts: Parts, name: str, what: str) -> float:
    """Sum of a count over the parts of that name."""
    return sum(getattr(tally, what) for part, tally in parts if part == name)


# --- the twin ---


def _close_twin(parts: Parts) -> Closing:
    free, kept = total(parts, "free", "collisions"), total(parts, "kept", "collisions")
    seconds, vetoed = total(parts, "kept", "seconds"), total(parts, "kept", "vetoed")
    text = f"Collisions: {free:g} in {total(parts, 'free', 'seconds'):.0f} s with nobody to keep him from walls, "
    text += f"{kept:g} in {seconds:.0f} s kept by the guard and the twin, which vetoed {vetoed:g} commands"
    return Closing({"collisions, free": free, "collisions, kept": kept}, text, kept < free)


TWIN = Story(
    "a clumsy driver, with and without what keeps him from walls",
    # external: nobody else drives it, so it stands at its start until the driver sits down
    ("robots:=cart", "external:=cart", "twin:=shadow", "twin_settings:=risk"),
    (
        Turn(0.0, "A clumsy driver takes the cart: he sees late, his hand shakes, and he looks at nothing but the goal",
             (lambda stage: stage.keep(False), lambda stage: stage.drive(True)), "free"),
        Turn(10.0, "Nobody keeps him from walls, nor slows him where he sees late: twin and guard look on", (), "free"),
        Turn(26.0, "The same hand, now kept: the guard follows where commands on their way will lead, "
             "and the twin tries each of them first", (lambda stage: stage.keep(True),), "kept"),
        Turn(52.0, "Hands off", (lambda stage: stage.drive(False),)),
        Turn(54.0, ""),
    ),
    _close_twin,
)  # fmt: skip


# --- slices ---


def _close_slices(parts: Parts) -> Closing:
    one, sliced = (
        total(parts, name, "delay") / max(1, total(parts, name, "commands")) for name in ("one slice", "sliced")
    )
    text = f"In the flood a state or command took {1e3 * one:.1f} ms over the radio in one slice with the video, "
    text += f"{1e3 * sliced:.1f} ms in a slice of its own"
    return Closing({"delay in one slice, s": one, "delay sliced, s": sliced}, text, 0.0 < sliced < one)


def one_and_many(slices: dict[str, Any]) -> dict[str, Any]:
    """A slices file on a small carrier, with one more template for everything, which alone is there at the start."""
    templates = [one | {"rate": GUARANTEED * one["rate"]} for one in slices["templates"]]
    for one in templates:
        if one["name"] == "video":
            one["flows"] = [*one["flows"], {"robots": ["*"], **FLOOD}]
    (video,) = (one for one in templates if one["name"] == "video")
    flows = [flow for one in templates for flow in one["flows"]]
    everything = video | {"name": ONE, "rate": sum(one["rate"] for one in templates), "flows": flows}
    return slices | {"carrier": slices["carrier"] | NARROW, "templates": [*templates, everything], "slices": [ONE]}


SLICES = Story(
    "a flood of video, everything in one slice and control in its own",
    ("twin:=off", "rendering:=false"),
    (
        Turn(0.0, "Three robots are driven over one radio. Everything is in one slice: video, sensors, control",
             (), "calm"),
        Turn(8.0, "A robot floods the radio with video: control waits in line behind it",
             (lambda stage: stage.flood(FLOOD_RATE),)),
        Turn(10.0, "In one slice control waits behind the video, and robots whose commands stay away act on their own",
             (), "one slice"),
        Turn(28.0, "Now the carrier is sliced: video, sensors and control each get what was agreed; the flood goes on",
             (lambda stage: stage.slice(("video", "spider", "cart", "control")),)),
        Turn(32.0, "The flood is still there. It fills its own slice, and touches no other", (), "sliced"),
        Turn(50.0, "The flood ends", (lambda stage: stage.flood(0.0),)),
        Turn(52.0, ""),
    ),
    _close_slices,
    one_and_many,
)  # fmt: skip


# --- the link ---


def _close_link(parts: Parts) -> Closing:
    away = [(name, tally) for name, tally in parts if name in ("stopping", "alone", "back")]
    failures = sum(tally.falls + tally.collisions for _, tally in away)
    drift, robot = max((tally.drift for name, tally in away if name == "alone"), default=(math.inf, ""))
    seconds = sum(tally.seconds for name, tally in away if name != "back")
    text = f"{seconds:.0f} s without a link: {failures} falls and collisions; once they stood, the robot that moved "
    text += f"most ({robot}) moved {drift:.2f} m"
    return Closing({"falls and collisions": failures, "drift, m": drift}, text, failures == 0 and drift <= 0.1)


def _away(at: float, lasts: float, said: str) -> tuple[Turn, ...]:
    """Turns of a link that is cut for a while."""
    return (
        Turn(at, said, (lambda stage: stage.cut(True),), "stopping"),
        Turn(at + STOPPING, "No command comes. What is on board stops each robot, and holds its balance", (), "alone"),
        Turn(at + lasts, "The link is back: the edge drives again", (lambda stage: stage.cut(False),), "back"),
        Turn(at + lasts + 2.0, "Driven from the edge again"),
    )


LINK = Story(
    "a link that is cut, and robots that stay safe on board",
    ("twin:=off",),
    (
        Turn(0.0, "Three robots are driven over a radio: every step of the hopper is a command from the edge"),
        *_away(9.5, 5.0, "The link is cut"),
        *_away(26.0, 5.0, "Cut again"),
        *_away(43.0, 6.0, "And once more, for longer"),
        Turn(53.0, ""),
    ),
    _close_link,
)

STORIES = {"twin": TWIN, "slices": SLICES, "link": LINK}


class Telling:
    """Goes through a story as time passes.

    Args:
        story: to tell.
        stage: that does what it asks.
        say: takes each caption.
        tally: gives the counts up to now.
    """

    def __init__(self, story: Story, stage: Stage, say: Callable[[str], None], tally: Callable[[], Tally]) -> None:
        self._story, self._stage, self._say, self._tally = story, stage, say, tally
        self._left = list(story.turns)
        self._part, self._began = "", Tally()
        self._parts: list[tuple[str, Tally]] = []

    def advance(self, now: float) -> Closing | None:
        """Does what is due at a time, s after the beginning; returns the end once that is come."""
        while self._left and self._left[0].at <= now:
            turn = self._left.pop(0)
            self._count(turn.part)
            for do in turn.do:
                do(self._stage)
            if turn.caption:
                self._say(turn.caption)
        if self._left:
            return None
        closing = self._story.close(self._parts)
        self._say(("" if closing.made else "Not this time: ") + closing.text)
        return closing

    def _count(self, part: str) -> None:
        """Closes a part of the story, and begins the next."""
        counts = self._tally()
        if self._part:
            self._parts.append((self._part, counts.since(self._began)))
        self._part, self._began = part, counts
