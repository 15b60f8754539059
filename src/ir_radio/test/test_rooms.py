# SPDX-License-Identifier: Apache-2.0
"""The rooms of the package import one way, and only `ros` imports ROS."""

import ast
from pathlib import Path

import pytest

import ir_radio

PACKAGE = Path(ir_radio.__file__).parent
BELOW = {
    "": set(),
    "model": {""},
    "books": {"", "model"},
    "engine": {"", "model", "books"},
    "coexistence": {"", "model", "engine"},
    "ros": {"", "model", "books", "engine"},
}
MESSAGES = ("rclpy", "ir_interfaces", "diagnostic_msgs", "nav_msgs")


def room(module):
    """Room of `ir_radio.room.module`; empty: what lies under all rooms."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else ""


def imports(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_room_imports_itself_and_those_below(file):
    here = file.parent.name if file.parent != PACKAGE else ""
    for module in imports(file):
        if module.startswith("ir_radio."):
            assert room(module) in BELOW[here] | {here}, module
        elif here != "ros":
            assert not module.startswith(MESSAGES) and not module.startswith("ir_common.ros_"), module
