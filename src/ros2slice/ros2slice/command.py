# SPDX-License-Identifier: Apache-2.0
"""The command `slice` of ros2cli; imported by it alone."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ros2cli.command import CommandExtension, add_subparsers_on_demand


class SliceCommand(CommandExtension):
    """Network slices: list, create, modify, delete, watch"""

    def add_arguments(self, parser: ArgumentParser, cli_name: str, *, argv: list[str] | None = None) -> None:
        """Adds the verbs."""
        self._parser = parser
        add_subparsers_on_demand(parser, cli_name, "_verb", "ros2slice.verb", required=False, argv=argv)

    def main(self, *, parser: ArgumentParser, args: Namespace) -> int:
        """Runs the verb; without one: help."""
        verb = getattr(args, "_verb", None)
        if verb is None:
            self._parser.print_help()
            return 0
        return int(verb.main(args=args))
