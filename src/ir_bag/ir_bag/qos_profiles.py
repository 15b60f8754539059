# SPDX-License-Identifier: Apache-2.0
"""QoS profiles as rosbag2 writes them, without rclpy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import yaml
from pydantic import Field, RootModel, ValidationError

from ir_common.config import Config

INFINITE = {"sec": 9223372036, "nsec": 854775807}
"""How rosbag2 writes a duration without end."""
_NUMBERS = {  # numbers of rmw/types.h, as bags up to format 8 hold them
    "history": ("system_default", "keep_last", "keep_all", "unknown"),
    "reliability": ("system_default", "reliable", "best_effort", "unknown", "best_available"),
    "durability": ("system_default", "transient_local", "volatile", "unknown", "best_available"),
    "liveliness": ("system_default", "automatic", "manual_by_node", "manual_by_topic", "unknown", "best_available"),
}


class Span(Config):
    """A duration; all zero means none was set."""

    sec: int = Field(0, ge=0, description="s")
    nsec: int = Field(0, ge=0, description="ns")

    @property
    def nanoseconds(self) -> int | None:
        """ns; None: without end or not set."""
        total = self.sec * 10**9 + self.nsec
        return total if 0 < total < 2**63 - 1 else None


class Profile(Config):
    """One QoS profile, in the words of rosbag2's metadata."""

    history: str = Field("keep_last", pattern="^(system_default|keep_last|keep_all|unknown)$")
    depth: int = Field(0, ge=0, lt=2**31, description="messages; 0: not known")
    reliability: str = Field("reliable", pattern="^(system_default|reliable|best_effort|unknown|best_available)$")
    durability: str = Field("volatile", pattern="^(system_default|transient_local|volatile|unknown|best_available)$")
    deadline: Span = Field(Span(**INFINITE))
    lifespan: Span = Field(Span(**INFINITE))
    liveliness: str = Field(
        "automatic", pattern="^(system_default|automatic|manual_by_node|manual_by_topic|unknown|best_available)$"
    )
    liveliness_lease_duration: Span = Field(Span(**INFINITE))
    avoid_ros_namespace_conventions: bool = Field(False, description="topic names are passed to DDS as they are")


class Overrides(RootModel[dict[str, Profile]]):
    """A file of profiles by topic, as `ros2 bag play --qos-profile-overrides-path` takes it."""


def dump(profiles: Iterable[Profile]) -> list[dict[str, Any]]:
    """Plain values for metadata.yaml (format 9)."""
    return [profile.model_dump() for profile in profiles]


def dump_text(profiles: Iterable[Profile]) -> str:
    """YAML text, as it stands in a file of the bag."""
    plain = dump(profiles)
    return yaml.safe_dump(plain, sort_keys=False).strip() if plain else ""


def parse(profiles: str | Sequence[dict[str, Any]] | None) -> tuple[Profile, ...]:
    """Profiles of any format; what cannot be read is left out."""
    try:
        plain = yaml.safe_load(profiles) if isinstance(profiles, str) else profiles
    except (yaml.YAMLError, RecursionError):
        return ()
    found = []
    for entry in plain if isinstance(plain, list) else ():
        try:
            found.append(Profile.model_validate(_named(entry)))
        except (ValidationError, TypeError, AttributeError):
            continue
    return tuple(found)


def _named(entry: dict[str, Any]) -> dict[str, Any]:
    values = {name: value for name, value in entry.items() if name in Profile.model_fields}
    for name, words in _NUMBERS.items():
        value = values.get(name)
        if isinstance(value, int):
            values[name] = words[value] if 0 <= value < len(words) else "unknown"
    return values


def to_hear(offered: Sequence[Profile]) -> tuple[bool, bool]:
    """(reliable, transient local) of a subscription that hears all who offer these, and loses least."""
    reliable = bool(offered) and all(profile.reliability == "reliable" for profile in offered)
    latched = bool(offered) and all(profile.durability == "transient_local" for profile in offered)
    return reliable, latched


def to_offer(recorded: Sequence[Profile]) -> Profile:
    """The profile of a player: what was recorded, or, where publishers differed, what all their readers could hear.

    Deadline, lifespan and liveliness are kept only where all publishers offered the same.
    """
    if not recorded:
        return Profile()
    first = recorded[0]
    if all(profile == first for profile in recorded):
        return first
    reliable, latched = to_hear(recorded)
    return Profile(
        reliability="reliable" if reliable else "best_effort",
        durability="transient_local" if latched else "volatile",
        depth=max(profile.depth for profile in recorded),
    )
