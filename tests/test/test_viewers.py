# SPDX-License-Identifier: Apache-2.0
"""The configurations of RViz and Foxglove name topics, types and fields that the stack has."""

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ir_common.config import load_yaml
from ir_radio.model.slice_specs import SlicesFile

CONFIG = Path(__file__).parents[2] / "config"
ROBOTS = ("cart", "spider", "hopper")
PLUGIN_TYPES = {"RobotModel": "std_msgs/msg/String", "LaserScan": "sensor_msgs/msg/LaserScan",
                "Image": "sensor_msgs/msg/CompressedImage", "Odometry": "nav_msgs/msg/Odometry"}  # fmt: skip


@pytest.fixture(scope="module")
def topics() -> dict[str, str]:
    """Type of every topic that the configurations may name."""
    rows = yaml.safe_load((CONFIG / "bridge.yaml").read_text())
    found = {row["ros_topic_name"]: row["ros_type_name"] for row in rows}
    for template in load_yaml(CONFIG / "slices.yaml", SlicesFile).templates:
        for flow in template.flows:
            for robot in filter(flow.carries, ROBOTS):
                found[f"/edge/{robot}/{flow.topic}"] = flow.message_type
    for robot in ROBOTS:
        found[f"/{robot}/robot_description"] = "std_msgs/msg/String"
        found[f"/edge/{robot}/verdict"] = "ir_interfaces/msg/Verdict"
    found |= {"/world_description": "std_msgs/msg/String", "/radio/report": "ir_interfaces/msg/CellReport"}
    found |= {"/diagnostics": "diagnostic_msgs/msg/DiagnosticArray"}
    return found | {"/edge/cart/cmd_vel_proposed": "geometry_msgs/msg/Twist"}


def message_class(name: str) -> Any:
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def test_rviz_shows_topics_of_the_stack_in_its_frame(topics: dict[str, str]) -> None:
    manager = yaml.safe_load((CONFIG / "rviz" / "stack.rviz").read_text())["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "map"
    shown = set()
    for display in manager["Displays"]:
        topic = display.get("Description Topic", display.get("Topic"))
        if topic is not None:
            assert topics[topic["Value"]] == PLUGIN_TYPES[display["Class"].split("/")[1]], display["Name"]
            shown.add(topic["Value"])
            latched = "description" in topic["Value"]
            assert (topic["Durability Policy"] == "Transient Local") is latched
    assert {f"/{robot}/robot_description" for robot in ROBOTS} | {"/world_description"} <= shown


def texts(value: Any) -> Iterator[str]:
    """All texts in a JSON document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from texts(one)


def panels_of(layout: Any) -> set[str]:
    return {layout} if isinstance(layout, str) else panels_of(layout["first"]) | panels_of(layout["second"])


def test_foxglove_layout_places_every_panel_and_its_paths_lead_to_fields(topics: dict[str, str]) -> None:
    document = json.loads((CONFIG / "foxglove" / "stack.json").read_text())
    assert panels_of(document["layout"]) == document["configById"].keys()
    paths = [text for text in texts(document["configById"]) if text.startswith("/")]
    assert len(paths) > 20
    for path in paths:
        topic, *fields = path.split(".")
        assert topic in topics, path
        kind = message_class(topics[topic])
        for part in fields:
            name = re.match(r"\w+", part)[0]  # type: ignore[index]
            declared = kind.get_fields_and_field_types()[name]
            inner = re.match(r"(?:sequence<)?(\w+/\w+)", declared)
            if inner:
                kind = message_class(inner[1].replace("/", "/msg/"))
    slices = set(re.findall(r'slice=="(\w+)"', " ".join(paths)))
    assert slices == {slice.name for slice in load_yaml(CONFIG / "slices.yaml", SlicesFile).initial_slices()}
