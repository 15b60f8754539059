# SPDX-License-Identifier: Apache-2.0
"""The description of the stack fits the nodes that it starts."""

import re
import socket
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_prefix

from ir_common.config import Config, ConfigError
from ir_dashboard.dashboard_config import DashboardConfig
from ir_drl.controller_node import ControllerConfig
from ir_radio.ros.relay_node import RelayConfig
from ir_sim.gz_adapter_node import AdapterConfig
from ir_sim.robot_state_node import RobotStateConfig
from ir_sim.robots_node import RobotsConfig
from ir_sim.sdf import compose
from ir_sim.simulator_node import SimulatorConfig
from ir_slicing.live.slice_agent_config import SliceAgentsConfig
from ir_slicing.manager.manager_config import ManagerConfig
from ir_twin.bringup.arguments import parse
from ir_twin.bringup.description import StackDescription, describe
from ir_twin.monitor_node import MonitorConfig
from ir_twin.twin_config import TwinConfig

CONFIGS: dict[tuple[str, str], type[Config]] = {
    ("ir_dashboard", "dashboard"): DashboardConfig,
    ("ir_drl", "controller"): ControllerConfig,
    ("ir_radio", "relay"): RelayConfig,
    ("ir_sim", "gz_adapter"): AdapterConfig,
    ("ir_sim", "robot_state"): RobotStateConfig,
    ("ir_sim", "robots"): RobotsConfig,
    ("ir_sim", "simulator"): SimulatorConfig,
    ("ir_slicing", "manager"): ManagerConfig,
    ("ir_slicing", "slice_agents"): SliceAgentsConfig,
    ("ir_twin", "monitor"): MonitorConfig,
    ("ir_twin", "twin"): TwinConfig,
}


def described(folder: Path, *words: str) -> StackDescription:
    return describe(parse(words), folder)


@pytest.mark.parametrize(
    "words",
    [(), ("radio:=off",), ("sim:=gz",), ("robots:=cart,cart_2:cart", "twin:=off"), ("slicing:=learned",)],
    ids=lambda w: " ".join(w),
)
def test_every_parameter_is_one_that_its_node_declares_and_takes(tmp_path: Path, words: tuple[str, ...]) -> None:
    for spec in described(tmp_path, *words).nodes:
        if not spec.package.startswith("ir_"):
            continue
        assert (Path(get_package_prefix(spec.package)) / "lib" / spec.package / spec.executable).exists()
        config = CONFIGS[spec.package, spec.executable]
        given = {name: value for name, value in spec.parameters.items() if name != "use_sim_time"}
        assert given.keys() <= config.model_fields.keys(), spec.full_name
        config.model_validate(given)


def test_names_are_unique_and_namespaces_follow_the_radio(tmp_path: Path) -> None:
    names = [spec.full_name for spec in described(tmp_path).nodes]
    assert len(set(names)) == len(names)
    assert {"/edge/cart/controller", "/edge/twin", "/radio", "/slicing/manager", "/robots", "/simulator"} <= set(names)
    without = {spec.full_name for spec in described(tmp_path, "radio:=off").nodes}
    assert {"/cart/controller", "/twin"} <= without
    assert not {"/radio", "/slicing/manager"} & without


def test_an_external_robot_gets_no_controller_of_ours(tmp_path: Path) -> None:
    names = {spec.full_name for spec in described(tmp_path, "external:=cart").nodes}
    assert "/edge/cart/controller" not in names and "/edge/spider/controller" in names


def test_every_controller_gets_the_exploration(tmp_path: Path) -> None:
    nodes = described(tmp_path, "exploration:=0.3").nodes
    assert [s.parameters["exploration"] for s in nodes if s.executable == "controller"] == [0.3] * 3


def test_one_seed_governs_simulator_radio_policies_and_twin(tmp_path: Path) -> None:
    nodes = described(tmp_path, "seed:=7").nodes
    seeded = {spec.executable: spec.parameters["seed"] for spec in nodes if "seed" in spec.parameters}
    assert seeded == dict.fromkeys(("simulator", "relay", "controller", "twin"), 7)


def test_the_twin_gets_its_settings_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("preset: ensemble\nrule: risk\nrisk_limit: 0.2\ncheckpoints: learnt\n")
    for words, expected in (
        ((f"twin_settings:={tmp_path}/mine.yaml",), {"risk_limit": 0.2, "checkpoints": f"{tmp_path}/learnt"}),
        (("twin_settings:=risk",), {"rule": "risk", "preset": "ensemble"}),
    ):
        stack = described(tmp_path, "twin:=shadow", "seed:=7", *words)
        parameters = next(spec.parameters for spec in stack.nodes if spec.executable == "twin")
        assert parameters.items() >= {**expected, "mode": "shadow", "seed": 7}.items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rule: risk\n", "give preset ensemble"),
        ("rul: risk\n", "mine.yaml:1: unknown key 'rul'; did you mean 'rule'"),
        ("mode: off\n", "mode: has an argument of its own; give twin:="),
    ],
    ids=["rule without network", "unknown key", "argument's"],
)
def test_wrong_settings_of_the_twin_are_told(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse([f"twin_settings:={tmp_path}/mine.yaml"])


def test_two_sides_make_the_whole(tmp_path: Path) -> None:
    def names(*words: str) -> set[str]:
        return {spec.full_name for spec in described(tmp_path, *words).nodes}

    robot, edge = names("side:=robot"), names("side:=edge")
    assert not robot & edge  # also where both run in one ROS graph
    assert robot | edge == names() - {"/monitor"} | {"/monitor_robot", "/monitor_edge"}


def test_gazebo_gets_a_world_and_a_bridge_for_the_chosen_robots(tmp_path: Path) -> None:
    stack = described(tmp_path, "sim:=gz", "robots:=cart,cart_2:cart", "headless:=true", "rendering:=false")
    gz = next(spec for spec in stack.nodes if spec.executable == "gz")
    assert gz.arguments[0] == "sim" and "-s" in gz.arguments and gz.arguments[-1] == str(tmp_path / "world.sdf")
    assert list(compose(tmp_path / "world.sdf").robots) == ["cart", "cart_2"]
    topics = {row["ros_topic_name"] for row in yaml.safe_load((tmp_path / "bridge.yaml").read_text())}
    assert {"/clock", "/cart/odom", "/cart_2/odom", "/cart_2/cmd_vel"} <= topics and "/hopper/odom" not in topics
    assert any("/cart/scan" in note for note in stack.notes)


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_the_page_listens_where_it_is_told_and_its_address_is_told(tmp_path: Path, host: str, shown: str) -> None:
    stack = described(tmp_path, f"host:={host}")
    (page,) = [spec for spec in stack.nodes if spec.executable == "dashboard"]
    assert page.parameters["host"] == host
    assert f"http://{shown}:{page.parameters['port']}/#token={page.parameters['token']}" in stack.notes[0]


def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        (page,) = [s for s in described(tmp_path, f"port:={taken}").nodes if s.executable == "dashboard"]
    assert page.parameters["port"] != taken


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["robots:=cart,cart"], "twice"),
        (["sim:=gz", "real_time_factor:=2"], "real_time_factor"),
        (["world:=robot_feild"], "one of: robot_field"),
        (["policies:=hopper"], "robot=file"),
        (["external:=dog"], "no robot 'dog'"),
        (["bridge:=nowhere.yaml"], "bridge file 'nowhere.yaml' is not there"),
        (["host:=203.0.113.9"], "cannot listen there"),
        (["exploration:=-0.1"], "^argument: exploration: input should be greater than or equal to 0 .*-0.1[^\n]*$"),
        (["tiwn:=off"], "did you mean 'twin:='"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(tmp_path, *words)
