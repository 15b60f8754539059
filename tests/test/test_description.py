# SPDX-License-Identifier: Apache-2.0
"""The description of the stack fits the nodes that it starts."""

import re
import socket
from pathlib import Path

import pytest
import yaml
from ament_index_python.packages import get_package_prefix

from ir_common.config import ConfigError
from ir_sim.sdf import compose
from ir_twin.bringup.arguments import ARGUMENTS_OF, BringupArguments, arguments_of, choices_of, default_of, parse, share
from ir_twin.bringup.description import StackDescription, describe
from ir_twin.bringup.parameter_file import node_configs

CONFIGS = node_configs()


def described(folder: Path, *words: str, part: str = "") -> StackDescription:
    return describe(parse(words, part), folder, part)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("radio:=off",),
        ("sim:=gz",),
        ("robots:=cart,cart_2:cart", "twin:=off"),
        ("slicing:=learned",),
        ("learn:=hopper",),
    ],
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


def test_robots_of_a_task_have_one_agent(tmp_path: Path) -> None:
    words = ("robots:=cart,hopper,hopper_2:hopper", "learn:=hopper,hopper_2,cart", "learn_with:=gan", "seed:=7")
    agents = [spec for spec in described(tmp_path, *words).nodes if spec.executable == "agent"]
    assert {spec.full_name: spec.parameters["robots"] for spec in agents} == {
        "/edge/hopper_hop/agent": ["hopper", "hopper_2:hopper"],
        "/edge/cart_navigation/agent": ["cart"],
    }
    for spec in agents:
        assert spec.parameters.items() >= {"algorithm": "gan", "learn_from": "shipped", "seed": 7}.items()
        assert spec.parameters["folder"] == str(tmp_path / "agents")
    (kept,) = [s for s in described(tmp_path, "learn:=cart", f"learn_folder:={tmp_path}/mine").nodes if s.nice == 10
               and s.executable == "agent"]  # fmt: skip
    assert kept.parameters["folder"] == str(tmp_path / "mine")


def test_one_seed_governs_simulator_radio_policies_and_twin(tmp_path: Path) -> None:
    nodes = described(tmp_path, "seed:=7").nodes
    seeded = {spec.executable: spec.parameters["seed"] for spec in nodes if "seed" in spec.parameters}
    assert seeded == dict.fromkeys(("simulator", "relay", "controller", "twin"), 7)


def test_the_twin_gets_its_settings_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("preset: ensemble\nrule: risk\nrisk_limit: 0.2\ncheckpoints: learnt\n")
    for words, expected in (
        ((f"twin_settings:={tmp_path}/mine.yaml",), {"risk_limit": 0.2, "checkpoints": f"{tmp_path}/learnt"}),
        (("twin_settings:=risk",), {"rule": "risk", "preset": "ensemble"}),
        ((), {"rule": "risk_to_go", "replace_with": "noise_free", "practised": "stack"}),
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
    topics = {row["ros_topic_name"] for row in yaml.safe_load((tmp_path / "gz_topics.yaml").read_text())}
    assert {"/clock", "/cart/odom", "/cart_2/odom", "/cart_2/cmd_vel"} <= topics and "/hopper/odom" not in topics
    assert "cart does not act: its task waits for /cart/scan" in "\n".join(stack.notes)
    assert "-r" not in gz.arguments, "it stands until all are there"
    simulator = next(spec for spec in stack.nodes if spec.executable == "gz_simulator")
    assert simulator.parameters["readers"] == ["/gz_adapter", "/robots"], "who makes readings of readings comes first"
    others = {spec.full_name for spec in stack.nodes if spec.ours and spec is not simulator}
    assert simulator.full_name == "/simulator" and set(simulator.parameters["wait_for"]) == others
    bridge = next(spec for spec in stack.nodes if spec.executable == "parameter_bridge")
    names = {word.split("@")[0].removeprefix("/world/robot_field/") for word in bridge.arguments}
    assert names == {"control", "create", "remove"}


def test_rays_stand_in_for_lidars_that_cannot_be_rendered(tmp_path: Path) -> None:
    words = ("sim:=gz", "robots:=cart,spider", "lidar:=raycast")
    stack = described(tmp_path, *words, "rendering:=false")
    assert any(spec.executable == "raycast_lidar" for spec in stack.nodes)
    assert not any("does not act" in note or "/cart/scan" in note for note in stack.notes)
    topics = {row["ros_topic_name"] for row in yaml.safe_load((tmp_path / "gz_topics.yaml").read_text())}
    assert "/cart/scan" not in topics, "one publisher"
    stack = described(tmp_path, *words)
    assert 'type="camera"' in (tmp_path / "world.sdf").read_text()
    assert not any("needs rendering" in note for note in stack.notes)


def test_everything_of_a_stack_is_below_its_namespace(tmp_path: Path) -> None:
    plain, inside = described(tmp_path).nodes, described(tmp_path, "namespace:=lab1").nodes
    assert [spec.full_name for spec in inside] == [f"/lab1{spec.full_name}" for spec in plain]
    assert {spec.environment["IR_NAMESPACE"] for spec in inside} == {"/lab1"}
    assert {spec.environment["IR_NAMESPACE"] for spec in plain} == {""}  # whatever the user's environment says


def test_the_bridge_of_gazebo_has_its_names_below_the_namespace(tmp_path: Path) -> None:
    nodes = described(tmp_path, "sim:=gz", "robots:=cart", "namespace:=lab1").nodes
    bridge = next(spec for spec in nodes if spec.executable == "parameter_bridge")
    names = {row["ros_topic_name"] for row in yaml.safe_load((tmp_path / "gz_topics.yaml").read_text())}
    names |= {f"/world/robot_field/{service}" for service in ("control", "create", "remove")}
    assert {"/clock", "/cart/odom"} <= names
    assert bridge.remaps == {name: f"/lab1{name}" for name in names}
    rest = described(tmp_path, "sim:=gz", "robots:=cart").nodes
    assert not any(spec.remaps for spec in rest)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1", "namespace: '1' is no namespace: give letters"),
        ("a b", "'a b' is no namespace"),
        ("slicing", "names of the stack itself begin with 'slicing'"),
        ("cart/x", "namespace:=cart: is the name of a robot"),
    ],
)
def test_a_namespace_that_is_none_is_told(given: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse([f"namespace:={given}", "robots:=cart"])


def test_no_file_that_a_run_makes_has_the_name_of_a_node(tmp_path: Path) -> None:
    stack = described(tmp_path, "sim:=gz", "headless:=true")
    made = {path.name for path in tmp_path.iterdir()}
    assert {"world.sdf", "gz_topics.yaml"} <= made
    assert not made & {f"{spec.label}{suffix}" for spec in stack.nodes for suffix in (".yaml", ".log")}


@pytest.mark.parametrize("part", ARGUMENTS_OF)
def test_a_part_is_that_of_the_whole(tmp_path: Path, part: str) -> None:
    words = ["robots:=cart", "seed:=7"]
    whole = [spec for spec in described(tmp_path, *words, "sync:=off").nodes if spec.part == part]
    assert described(tmp_path, *words, part=part).nodes == whole != []
    with pytest.raises(ConfigError, match="unknown argument 'duration:='"):
        parse(["duration:=3"], part)


def test_parts_are_all_of_the_whole_but_what_is_for_the_whole(tmp_path: Path) -> None:
    parts = {spec.part for spec in described(tmp_path).nodes}
    assert parts - set(ARGUMENTS_OF) == {"control", "dashboard", "monitor"}


def test_a_radio_carries_topics_of_robots_that_are_in_no_world(tmp_path: Path) -> None:
    nodes = described(tmp_path, "robots:=husky,spot", "use_sim_time:=false", part="radio").nodes
    relay = next(spec for spec in nodes if spec.executable == "relay")
    assert relay.parameters["robots"] == ["husky", "spot"] and relay.parameters["use_sim_time"] is False


def test_real_robots_have_the_time_of_the_host(tmp_path: Path) -> None:
    nodes = described(tmp_path, "side:=edge", "use_sim_time:=false").nodes
    assert {spec.parameters["use_sim_time"] for spec in nodes if "use_sim_time" in spec.parameters} == {False}
    with pytest.raises(ConfigError, match=r"use_sim_time:=false: the simulator makes the time"):
        described(tmp_path, "use_sim_time:=false")


def test_defaults_written_out_are_the_defaults(tmp_path: Path) -> None:
    written = [f"{name}:={default}" for name, field in arguments_of().items() if (default := default_of(field))]
    assert parse(written) == parse([])
    for name, field in arguments_of().items():
        assert not choices_of(field) or default_of(field) in choices_of(field), name
    assert set(arguments_of()) == set(BringupArguments.model_fields)


def test_parameters_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        "/radio: {ros__parameters: {report_rate: 0.5}}\n"
        "'/edge/*/controller': {ros__parameters: {qos_overrides: {/edge/cart/state: {subscription: {depth: 3}}}}}\n"
    )
    nodes = {s.full_name: s for s in described(tmp_path, f"params_file:={file}", "log_level:=debug").nodes}
    plain = {s.full_name: s for s in described(tmp_path).nodes}
    assert nodes["/radio"].parameters == plain["/radio"].parameters | {"report_rate": 0.5}
    assert nodes["/edge/cart/controller"].parameters["qos_overrides"]["/edge/cart/state"]["subscription"] == {
        "depth": 3
    }
    assert nodes["/edge/twin"].parameters == plain["/edge/twin"].parameters
    assert {spec.log_level for spec in nodes.values()} == {"debug"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/radoi: {ros__parameters: {}}", "there is no node '/radoi'; did you mean '/radio'"),
        (
            "/radio: {ros__parameters: {report_rte: 1}}",
            "/radio: unknown key 'report_rte'; did you mean 'report_rate'",
        ),
        ("/radio: {ros__parameters: {report_rate: -1}}", "/radio: report_rate: input should be greater than 0"),
        ("/radio: {ros__parameters: {seed: 4}}", "/radio: seed: is set by the bringup's arguments"),
        ("/radio: {parameters: {}}", "mine.yaml:1: unknown key '/radio.parameters'"),
        ("/radio: [", "mine.yaml:2: is not valid YAML"),
    ],
    ids=["node", "parameter", "range", "argument's", "no ros__parameters", "malformed"],
)
def test_a_wrong_parameter_file_is_told_before_anything_starts(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text + "\n")
    with pytest.raises(ConfigError, match=re.escape(message)):
        described(tmp_path, f"params_file:={tmp_path}/mine.yaml")


PLAIN = """<sdf version="1.9"><world name="plain">
<model name="ground"><static>true</static><link name="l"><collision name="c">
<geometry><plane><normal>0 0 1</normal><size>50 50</size></plane></geometry></collision></link></model>{}
</world></sdf>"""
GOAL = '<model name="goal_cart_1"><static>true</static><pose>3 0 0 0 0 0</pose><link name="l"/></model>'


def test_a_world_without_robots_or_goals_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GZ_SIM_RESOURCE_PATH", str(share() / "worlds" / "models"))
    world = tmp_path / "plain.sdf"
    world.write_text(PLAIN.format(""))
    with pytest.raises(ConfigError, match=r"world:=plain: has no robots; .*models of the stack: cart, hopper, spider"):
        parse([f"world:={world}"])
    with pytest.raises(ConfigError, match=r"has no goals for 'rover'.* goal_rover_1"):
        parse([f"world:={world}", "robots:=rover:cart"])
    with pytest.raises(ConfigError, match=r"unknown robot 'cart'; plain.sdf has no robots; .* such as cart:cart"):
        parse([f"world:={world}", "robots:=cart"])
    assert parse([f"world:={world}", "robots:=hopper:hopper"]).names == ["hopper"]  # hops on the spot
    world.write_text(PLAIN.format(GOAL))
    assert parse([f"world:={world}", "robots:=cart:cart"]).robots == ("cart:cart",)  # as its nodes must be told


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_the_page_listens_where_it_is_told_and_its_address_is_told(tmp_path: Path, host: str, shown: str) -> None:
    stack = described(tmp_path, f"host:={host}")
    (page,) = [spec for spec in stack.nodes if spec.executable == "dashboard"]
    assert page.parameters["host"] == host
    assert f"http://{shown}:{page.parameters['port']}/#token={page.parameters['token']}" in stack.notes[0]
    assert [note.partition(":")[0] for note in stack.notes[:3]] == ["live page", "look at", "try"]


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
        (["world:=robot_feild"], "one of: robot_field"),
        (["policies:=hopper"], "robot=file"),
        (["external:=dog"], "no robot 'dog'"),
        (["bridge:=nowhere.yaml"], "bridge file 'nowhere.yaml' is not there"),
        (["learn:=dog"], "no robot 'dog'"),
        (["learn:=cart", "external:=cart"], "has no controller of ours"),
        (["learn:=cart", "policies:=cart=scripted"], "learn_from:=FILE"),
        (["learn:=cart", "learn_with:=paper"], "learn_from:=nothing"),
        (["host:=203.0.113.9"], "cannot listen there"),
        (["exploration:=-0.1"], "^argument: exploration: input should be greater than or equal to 0 .*-0.1[^\n]*$"),
        (["tiwn:=off"], "did you mean 'twin:='"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        described(tmp_path, *words)


def test_simulator_on_board_part_and_radio_go_in_step_where_all_are_known(tmp_path: Path) -> None:
    for words, simulator, others in (
        ((), "radio", True), (("radio:=off",), "direct", True), (("sync:=off",), None, False),
    ):  # fmt: skip
        stack = described(tmp_path, *words, "sync_patience:=2.5")
        by_name = {spec.executable: spec.parameters for spec in stack.nodes}
        given = by_name["simulator"]
        assert given.get("sync") == simulator and by_name["robots"]["sync"] is others
        if simulator:
            names = {spec.full_name for spec in stack.nodes} - {"/simulator"}
            assert set(given["wait_for"]) == names and given["sync_patience"] == 2.5
        if "relay" in by_name:
            assert (by_name["relay"]["sync"], by_name["relay"]["sync_patience"]) == (others, 2.5)
    stack = described(tmp_path, "side:=edge")
    assert any(note.startswith("sync: ") and "does not know the other side" in note for note in stack.notes)
    assert not any(spec.parameters.get("sync") for spec in stack.nodes)


def test_gazebo_is_stepped_when_it_is_asked_for(tmp_path: Path) -> None:
    for words, simulator in (((), "off"), (("sync:=on",), "radio"), (("sync:=on", "radio:=off"), "direct")):
        stack = described(tmp_path, "sim:=gz", *words)
        by_name = {spec.executable: spec.parameters for spec in stack.nodes}
        assert by_name["gz_simulator"]["sync"] == simulator
        assert {by_name[name]["sync"] for name in ("robots", "relay") if name in by_name} == {simulator != "off"}
        assert not any(note.startswith("sync: ") for note in stack.notes)
