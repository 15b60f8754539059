# SPDX-License-Identifier: Apache-2.0
"""What is wrong on this machine is told in one line before anything starts."""

import os
import stat
from pathlib import Path

import pytest

from ir_common.config import ConfigError
from ir_common.testing import RosHarness
from ir_twin.bringup import start_checks
from ir_twin.bringup.arguments import parse


@pytest.mark.parametrize("text", ["abc", "233", "-1", "1.5", "0x1"])
def test_a_domain_that_is_none_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=f"ROS_DOMAIN_ID={text}: must be a whole number from 0 to 232"):
        start_checks.domain({"ROS_DOMAIN_ID": text})


def test_domains() -> None:
    assert [start_checks.domain({"ROS_DOMAIN_ID": text}) for text in ("", "0", " 7", "232")] == [0, 0, 7, 232]
    assert start_checks.domain({}) == 0


def test_logs_that_cannot_be_written_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()  # root may write to any folder, and into no file as if it were one
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "file" / "log"))
    with pytest.raises(
        ConfigError, match=r"logs cannot be written to .*/file/log \(Not a directory\); set ROS_LOG_DIR"
    ):
        start_checks.run_directory()
    monkeypatch.delenv("ROS_LOG_DIR")
    monkeypatch.delenv("ROS_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match="set ROS_LOG_DIR"):
        start_checks.run_directory()


def test_every_run_has_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "log"))
    made = [start_checks.run_directory() for _ in range(3)]  # by one process, as of several launch files
    assert len(set(made)) == 3 and all(path.is_dir() and not list(path.iterdir()) for path in made)


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path, words in (
        (tmp_path / "out", "is a folder"),
        (tmp_path / "none" / "r.json", "the folder does not exist"),
        (tmp_path / "pipe", "is no ordinary file"),
        (Path("/dev/null"), "is no ordinary file"),
        (Path("/dev/full"), "is no ordinary file"),
    ):
        with pytest.raises(ConfigError, match=rf"report:={path}: {words}"):
            parse([f"report:={path}"])
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)

    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ConfigError, match=r"cannot be written there \(No space left on device\)"):
        start_checks.report(tmp_path / "r.json")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "pipe"]


def test_a_good_report_leaves_no_trace_before_the_end(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    start_checks.report(old)
    start_checks.report(tmp_path / "new.json")
    assert [p.name for p in tmp_path.iterdir()] == ["old.json"] and old.read_text() == "{}"


def test_a_stack_on_this_machine_is_seen_by_its_claim(ros_domain: int) -> None:
    environ = {"ROS_DOMAIN_ID": str(ros_domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with start_checks.alone(["radio", "sim"], [], environ):
        with (
            pytest.raises(ConfigError, match=f"another stack runs in ROS domain {ros_domain} on this machine"),
            start_checks.alone(["sim", "monitor"], [], environ),
        ):
            pass
        with start_checks.alone(["twin", "monitor"], [], environ):  # the other side, or another part
            pass
    with start_checks.alone(["sim"], [], environ):
        pass


def test_stacks_of_different_namespaces_do_not_see_each_other(ros_domain: int) -> None:
    environ = {"ROS_DOMAIN_ID": str(ros_domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    with (
        start_checks.alone(["radio"], [], environ, "/a"),
        start_checks.alone(["radio"], [], environ, "/b"),
        start_checks.alone(["radio"], [], environ),
        pytest.raises(ConfigError, match=f"ROS domain {ros_domain} below /a on this machine; .* namespace:="),
        start_checks.alone(["radio"], [], environ, "/a"),
    ):
        pass


def test_a_stack_elsewhere_is_seen_by_its_nodes(ros: RosHarness, ros_domain: int) -> None:
    ros.node("radio")
    environ = {"ROS_DOMAIN_ID": str(ros_domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}
    with (
        pytest.raises(ConfigError, match=f"node /radio runs in ROS domain {ros_domain} already, on another machine"),
        start_checks.alone(["radio"], ["/radio", "/slicing/manager"], environ),
    ):
        pass
    with start_checks.alone(["radio"], ["/other"], environ):
        pass
