# SPDX-License-Identifier: Apache-2.0
"""The commands by which the guide runs Nav2."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]


def commands() -> list[list[str]]:
    """Word by word: those that start its nodes, and last the one that gives a goal."""
    guide = (ROOT / "docs" / "guide" / "nav2.md").read_text(encoding="utf-8")
    block = re.search(r"\n## Nav2\n.*?```\n(.*?)```", guide, re.DOTALL)
    assert block is not None, "the guide has no commands for Nav2"
    common, *lines = block[1].strip().splitlines()
    words = shlex.split(common.removeprefix("COMMON="))[0]
    return [shlex.split(line.replace("$COMMON", words)) for line in lines]
