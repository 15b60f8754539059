# SPDX-License-Identifier: Apache-2.0
"""The launch files, run with stand-ins for the launcher (`launch_doubles`); test_launch.py runs the real one."""

import os
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import launch_doubles as doubles
import pytest
import yaml
from ament_index_python.packages import get_package_share_directory

from ir_common.config import EXIT_CONFIG
from ir_twin.bringup import start_checks
from ir_twin.bringup.arguments import ARGUMENTS_OF, arguments_of, parse, share
from ir_twin.bringup.description import describe
from ir_twin.bringup.restart_counts import FILE, read_counts
from ir_twin.bringup.spec import MAX_RESTARTS

Launch = Callable[..., list[Any]]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, ros_domain: int, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    doubles.install(monkeypatch)
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path))
    loaded: list[Any] = []

    def generate(name: str) -> Any:
        scope = runpy.run_path(str(share() / "launch" / f"{name}.launch.py"))
        loaded.append(scope["launch_description"])
        return scope["generate_launch_description"]()

    yield generate
    for function in loaded:
        function.__globals__["_CLAIMS"].close()


def processes(actions: list[Any]) -> dict[str, doubles.ExecuteProcess]:
    return {a.process_name: a for a in actions if isinstance(a, doubles.ExecuteProcess)}


@pytest.mark.parametrize("name", ["bringup", *ARGUMENTS_OF])
def test_every_default_and_choice_is_declared(load: Callable[[str], Any], name: str) -> None:
    declared = {e.name: e for e in load(name) if isinstance(e, doubles.DeclareLaunchArgument)}
    fields = arguments_of("" if name == "bringup" else name)
    assert list(declared) == list(fields)
    assert all(one.description == fields[one.name].description for one in declared.values())
    assert declared["use_sim_time"].default_value == "true" and declared["use_sim_time"].choices == ["true", "false"]
    if name == "bringup":
        assert declared["sim"].choices == ["mujoco", "gz"] and declared["sim"].default_value == "mujoco"
        assert declared["twin"].default_value == "enforce" and declared["port"].default_value == "8080"
        assert declared["world"].default_value == "robot_field" and declared["report"].default_value == ""


def test_the_same_processes_as_those_of_the_description_named_after_their_nodes(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    actions = doubles.run(load("bringup"), dashboard="off", robots="cart", log_level="warn")
    found = processes(actions)
    stack = describe(parse(["dashboard:=off", "robots:=cart", "log_level:=warn"]), tmp_path)
    assert list(found) == [spec.label for spec in reversed(stack.nodes)]
    assert {"radio", "simulator", "edge_twin", "edge_cart_controller", "monitor"} <= found.keys()
    for spec in stack.nodes:
        kwargs = found[spec.label].kwargs
        assert (kwargs["package"], kwargs["executable"]) == (spec.package, spec.executable)
        assert (kwargs["name"], kwargs["namespace"]) == (spec.name, spec.namespace)
        assert kwargs["ros_arguments"] == ["--log-level", "warn"]
        (file,) = kwargs["parameters"]
        (parameters,) = yaml.safe_load(Path(file).read_text()).values()
        assert parameters["ros__parameters"].keys() == spec.parameters.keys(), "launch_ros refuses some values itself"
        assert kwargs["additional_env"]["IR_PROCESS"] == f"{spec.nice} {spec.realtime} {os.getpid()}"
        assert "prefix" not in kwargs
    assert any(isinstance(a, doubles.LogInfo) and a.msg.startswith("logs: ") for a in actions)


@pytest.mark.parametrize("part", ARGUMENTS_OF)
def test_a_part_is_launched_alone(load: Callable[[str], Any], tmp_path: Path, part: str) -> None:
    found = processes(doubles.run(load(part), robots="cart"))
    stack = describe(parse(["robots:=cart"], part), tmp_path, part)
    assert set(found) == {spec.label for spec in stack.nodes}


def test_parts_can_be_included_together(load: Callable[[str], Any]) -> None:
    found = processes([a for part in ARGUMENTS_OF for a in doubles.run(load(part), robots="cart")])
    assert {"simulator", "radio", "slicing_manager", "edge_twin"} <= set(found)


def test_stacks_of_different_namespaces_are_launched_side_by_side(
    load: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        space: processes(doubles.run(load("bringup"), dashboard="off", robots="cart", namespace=space))
        for space in ("lab1", "/site/lab2", "")
    }
    for space, prefix in (("lab1", "lab1_"), ("/site/lab2", "site_lab2_"), ("", "")):
        assert {f"{prefix}radio", f"{prefix}edge_cart_controller", f"{prefix}slicing_manager"} <= found[space].keys()
    controller = found["lab1"]["lab1_edge_cart_controller"].kwargs
    assert controller["namespace"] == "/lab1/edge/cart" and controller["additional_env"]["IR_NAMESPACE"] == "/lab1"
    line = refusal(capsys, load("radio"), robots="cart", namespace="/lab1")
    assert "below /lab1 on this machine" in line
    assert refusal(capsys, load("radio"), robots="cart", namespace="1").endswith("such as lab1 (given: '1')")


def refusal(capsys: pytest.CaptureFixture[str], description: Any, **given: str) -> str:
    with pytest.raises(SystemExit) as ended:
        doubles.run(description, **given)
    assert ended.value.code == EXIT_CONFIG
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_mistake_is_one_line_and_status_78(load: Callable[[str], Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert "unicorn" in refusal(capsys, load("bringup"), robots="unicorn")


def test_gazebo_that_is_not_installed_is_told_before_the_start(
    load: Callable[[str], Any],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = refusal(capsys, load("bringup"), sim="gz", dashboard="off")
    assert line.startswith("error: ") and "ros-jazzy-ros-gz" in line


def test_another_stack_is_told_before_the_start(
    load: Callable[[str], Any], capsys: pytest.CaptureFixture[str], ros_domain: int
) -> None:
    with start_checks.alone(["radio"], [], os.environ):
        line = refusal(capsys, load("bringup"), dashboard="off", robots="cart")
    assert line.startswith(f"error: another stack runs in ROS domain {ros_domain}")


def handlers(actions: list[Any]) -> dict[str, Callable[[int], list[Any]]]:
    def handler(one: doubles.OnProcessExit) -> Callable[[int], list[Any]]:
        return lambda status: one.on_exit(SimpleNamespace(returncode=status), doubles.LaunchContext())

    found = [a.event_handler for a in actions if isinstance(a, doubles.RegisterEventHandler)]
    return {one.target_action.process_name: handler(one) for one in found}


def test_a_node_that_dies_too_often_ends_the_launch_with_the_reason(load: Callable[[str], Any], tmp_path: Path) -> None:
    ended = handlers(doubles.run(load("bringup"), dashboard="off", robots="cart"))
    for _ in range(MAX_RESTARTS):
        assert ended["radio"](1) == []
    with pytest.raises(RuntimeError, match=rf"/radio ended with status 1 after {MAX_RESTARTS} restarts"):
        ended["radio"](1)  # the launcher then ends everything, and itself with status 1
    (counts,) = tmp_path.glob(f"ir-*/{FILE}")
    assert read_counts(counts) == {"/radio": MAX_RESTARTS}, "as by the other launcher"
    with pytest.raises(RuntimeError, match="/edge/twin: wrong configuration"):
        ended["edge_twin"](EXIT_CONFIG)
    (event,) = ended["monitor"](0)
    assert event.event.reason == "/monitor is done"


def test_the_radio_of_any_system_takes_a_file_and_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    doubles.install(monkeypatch)
    file = Path(get_package_share_directory("ir_radio")) / "launch" / "radio.launch.py"
    config, sim_time, node = runpy.run_path(str(file))["generate_launch_description"]()
    assert config.name == "config" and config.default_value is None and config.description
    assert sim_time.name == "use_sim_time" and sim_time.default_value == "false"
    assert (node.kwargs["package"], node.kwargs["executable"]) == ("ir_radio", "radio")
    assert node.kwargs["arguments"] == [doubles.LaunchConfiguration("config")]
    assert isinstance(node.kwargs["on_exit"], doubles.Shutdown)
