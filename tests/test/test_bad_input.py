# SPDX-License-Identifier: Apache-2.0
"""A user's mistake ends the start with one clear line that names file and place, and nothing is left running."""

from pathlib import Path

import numpy as np
import pytest
from ament_index_python.packages import get_package_share_directory
from stack import Stack

from ir_common.config import EXIT_CONFIG

SHARE = Path(get_package_share_directory("ir_twin"))


def refusal(folder: Path, *arguments: str, **variables: str) -> str:
    """The one line that a start with these arguments ends with."""
    stack = Stack(["headless:=true", *arguments], folder, variables=variables)
    try:
        status = stack.process.wait(60)
        assert stack.processes() == []
    finally:
        stack.close()
    assert status == EXIT_CONFIG, stack.text()
    lines = [line for line in stack.text().splitlines() if line]
    assert len(lines) == 1, stack.text()
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("robots:=cart,unicorn", ["unicorn", "cart", "hopper", "spider"]),
        ("robot:=cart", ["unknown argument 'robot:='", "robots:="]),
        ("world:=atlantis", ["world 'atlantis'", "robot_field"]),
        ("duration:=-1", ["duration", "greater than or equal to 0"]),
        ("duration:=soon", ["duration", "soon"]),
        ("twin:=maybe", ["twin", "enforce"]),
        ("cart", ["'cart'", "name:=value"]),
        ("report:=/nowhere/at/all/run.json", ["report", "folder does not exist"]),
        ("policies:=unicorn=x.npz", ["unicorn"]),
        ("slices:=/nowhere/slices.yaml", ["slices", "not there"]),
    ],
)
def test_wrong_arguments(ros_domain: int, tmp_path: Path, argument: str, words: list[str]) -> None:
    line = refusal(tmp_path, argument)
    for word in words:
        assert word in line, line


def test_wrong_places(ros_domain: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert f"report:={tmp_path}: is a folder" in refusal(tmp_path, f"report:={tmp_path}")
    assert "is no ordinary file" in refusal(tmp_path, "report:=/dev/full")
    assert "ROS_DOMAIN_ID=abc" in refusal(tmp_path, ROS_DOMAIN_ID="abc")
    assert "set ROS_LOG_DIR" in refusal(tmp_path, ROS_LOG_DIR=f"{tmp_path}/file/log")
    assert "ros-jazzy-ros-gz" in refusal(tmp_path, "sim:=gz", "dashboard:=off", PATH="/usr/bin:/bin")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  rate: ", "  rtae: ", ["rtae", "rate"]),
        ("type: embb", "type: mmtc", ["type", "mmtc"]),
        ("  rate: ", "  rate: -", ["rate", "greater than 0"]),
        ("    rate: 45.0e+6", "    share: 1.5\n    rate: 45.0e+6", ["share", "1.5"]),
        ("templates:", "templates: [", ["not valid YAML"]),
    ],
    ids=["unknown key", "unknown type", "negative rate", "share over 1", "malformed"],
)
def test_wrong_slices(ros_domain: int, tmp_path: Path, old: str, new: str, words: list[str]) -> None:
    text = (SHARE / "config" / "slices.yaml").read_text()
    assert old in text
    path = tmp_path / "slices.yaml"
    path.write_text(text.replace(old, new, 1))
    line = refusal(tmp_path, f"slices:={path}")
    assert f"{path}:" in line
    for word in words:
        assert word in line, line


def test_sdf_element_that_is_not_supported_is_named_with_its_line(ros_domain: int, tmp_path: Path) -> None:
    source = SHARE / "worlds" / "robot_field.sdf"
    text = source.read_text().replace("</world>", "<mas>3</mas>\n</world>")
    path = source.resolve().with_name("broken_test_world.sdf")
    path.write_text(text)
    try:
        line = refusal(tmp_path, f"world:={path}")
    finally:
        path.unlink()
    number = next(i for i, content in enumerate(text.splitlines(), 1) if "<mas>" in content)
    assert f"{path}:{number}" in line and "mas" in line


def test_policy_of_the_wrong_shape(ros_domain: int, tmp_path: Path) -> None:
    path = tmp_path / "policy.npz"
    np.savez(path, w0=np.zeros((3, 3)))
    line = refusal(tmp_path, f"policies:=hopper={path}")
    assert str(path) in line
