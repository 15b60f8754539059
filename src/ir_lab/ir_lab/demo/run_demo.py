# SPDX-License-Identifier: Apache-2.0
"""``./ir demo``: brings the stack up as a story needs it, and has it told."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from ir_common.config import EXIT_CONFIG, ConfigError
from ir_lab.demo.stories import STORIES, Story
from ir_twin.bringup import start_checks
from ir_twin.bringup.arguments import BringupArguments, parse
from ir_twin.bringup.description import StackDescription, describe
from ir_twin.bringup.spec import NodeSpec
from ir_twin.bringup.up import run_stack

FIXED = ("duration", "external", "side", "dashboard", "radio")
"""Arguments of the bringup that a story does not leave open."""


def main() -> None:
    """Reads the story's name and ``name:=value`` arguments, tells it and exits with the stack's status."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return
    try:
        sys.exit(run_story(words[0], words[1:]))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_CONFIG)


def usage() -> str:
    """The help text."""
    lines = [
        "usage: ./ir demo STORY [name:=value …]", "",
        "Tells a story of a minute on the live page and in the terminal; the two numbers at its end are measured.",
        "It begins when the page is open; with headless:=true at once.", "",
        *(f"  {name:<8}{story.about}" for name, story in STORIES.items()), "",
        f"Arguments are those of ./ir up, but {', '.join(FIXED)}.",
    ]  # fmt: skip
    return "\n".join(lines)


def run_story(name: str, words: Sequence[str]) -> int:
    """Tells a story with the user's ``name:=value`` words; returns the exit status of the stack.

    Raises:
        ConfigError: there is no such story, or an argument is wrong, or not left open by it.
    """
    if name not in STORIES:
        near = difflib.get_close_matches(name, STORIES, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"no story '{name}'; {hint}There are: {', '.join(STORIES)}")
    for word in words:
        if word.partition(":=")[0] in FIXED:
            raise ConfigError(f"{word}: the story decides this itself; leave it out")
    directory = start_checks.run_directory()
    arguments = story_arguments(STORIES[name], words, directory)
    return run_stack(arguments, told(name, arguments, describe(arguments, directory)), directory)


def story_arguments(story: Story, words: Sequence[str], directory: Path) -> BringupArguments:
    """The bringup's arguments of a story: its own, and over them those of the user.

    Args:
        story: to be told.
        words: of the user, ``name:=value``.
        directory: for the slices file that the story makes.

    Raises:
        ConfigError: as `ir_twin.bringup.arguments.parse`.
    """
    given = {word.partition(":=")[0] for word in words}
    own = [word for word in story.words if word.partition(":=")[0] not in given]
    arguments = parse([*own, *words])
    if story.slices is None:
        return arguments
    if "slices" in given:
        raise ConfigError("slices:=: the story makes its own; leave it out")
    file = directory / "slices.yaml"
    file.write_text(yaml.safe_dump(story.slices(yaml.safe_load(arguments.slices.read_text()))))
    return parse([*own, *words, f"slices:={file}"])


def told(name: str, arguments: BringupArguments, stack: StackDescription) -> StackDescription:
    """The stack with a storyteller, who has the terminal in the monitor's place."""
    (page,) = (spec.parameters for spec in stack.nodes if spec.executable == "dashboard")
    (monitor,) = (spec for spec in stack.nodes if spec.executable == "monitor")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(page["host"], page["host"])
    parameters = {
        "use_sim_time": True, "story": name, "robots": list(arguments.robots), "world": str(arguments.world),
        "edge_namespace": page["edge_namespace"], "seed": arguments.seed,
        "page": "" if arguments.headless else f"http://{f'[{host}]' if ':' in host else host}:{page['port']}",
    }  # fmt: skip
    teller = NodeSpec(
        "ir_lab", "storyteller", "storyteller", namespace=monitor.namespace, parameters=parameters,
        environment=monitor.environment, nice=monitor.nice, required=True,
    )  # fmt: skip
    nodes = [teller, *(replace(spec, required=False) if spec is monitor else spec for spec in stack.nodes)]
    begins = "the story begins" + (" at once" if arguments.headless else " when the live page is open")
    return StackDescription(nodes, [*(note for note in stack.notes if note.startswith("live page")), begins])


if __name__ == "__main__":
    main()
