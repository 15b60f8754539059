# SPDX-License-Identifier: Apache-2.0
"""The verbs as plug-ins of ros2cli; imported by it alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ros2cli.plugin_system import PLUGIN_SYSTEM_VERSION, satisfies_version

from ros2slice.ros_verbs import VERBS, add_arguments, run


class VerbExtension:
    """Extension point for verbs of `ros2 slice`: NAME is the entry point's; add_arguments and main as elsewhere."""

    NAME = ""
    EXTENSION_POINT_VERSION = "0.1"

    def __init__(self) -> None:
        satisfies_version(PLUGIN_SYSTEM_VERSION, "^0.1")

    def add_arguments(self, parser: ArgumentParser, cli_name: str) -> None:
        """Adds the verb's arguments."""
        add_arguments(VERBS[self.NAME], parser)

    def main(self, *, args: Namespace) -> int:
        """Does it; the exit status."""
        return run(VERBS[self.NAME], args)


class ListVerb(VerbExtension):
    """List the slices in force, or the templates"""

    NAME = "list"


class CreateVerb(VerbExtension):
    """Create a slice from a template or a specification"""

    NAME = "create"


class ModifyVerb(VerbExtension):
    """Change what a slice is asked to be"""

    NAME = "modify"


class DeleteVerb(VerbExtension):
    """Delete a slice"""

    NAME = "delete"


class WatchVerb(VerbExtension):
    """Show what the slices do, live"""

    NAME = "watch"
