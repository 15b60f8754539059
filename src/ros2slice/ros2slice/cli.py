# SPDX-License-Identifier: Apache-2.0
"""`./ir slice VERB …`: the verbs without ros2cli."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from ros2slice.ros_verbs import VERBS, add_arguments, run


def parser() -> argparse.ArgumentParser:
    """Parser of the whole command line."""
    whole = argparse.ArgumentParser(prog="./ir slice", description="Network slices of the running stack.")
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        add_arguments(verb, verbs.add_parser(name, help=verb.about, description=verb.about + "."))
    return whole


def main(words: Sequence[str] | None = None) -> None:
    """Entry point of the executable ``slice``."""
    arguments = parser().parse_args(words)
    sys.exit(run(VERBS[arguments.verb], arguments))
