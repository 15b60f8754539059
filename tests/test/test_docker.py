# SPDX-License-Identifier: Apache-2.0
"""The container files, read by the parsers that such files have; no container engine is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ir_twin.bringup.arguments import parse

FOLDER = Path(__file__).parents[2] / "docker"


def composed(folder: Path, **variables: str) -> dict:
    """The compose file as podman-compose understands it; an engine is asked for its version only."""
    pytest.importorskip("podman_compose")
    engine = folder / "podman"
    engine.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    engine.chmod(0o755)
    environment = {**os.environ, **variables, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "podman_compose", "-f", str(FOLDER / "compose.yaml"), "config"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def test_compose_has_the_two_sides_with_arguments_that_the_bringup_takes(tmp_path: Path) -> None:
    services = composed(tmp_path, IR_ROBOTS="cart,cart_2:cart", ROS_DOMAIN_ID="7")["services"]
    assert services.keys() == {"robot", "edge"}
    for side, service in services.items():
        verb, *words = service["command"]
        arguments = parse(words)
        assert verb == "up" and arguments.side == side and arguments.names == ["cart", "cart_2"]
        assert service["environment"]["ROS_DOMAIN_ID"] == "7"
        assert Path(service["build"]["context"]).resolve() == FOLDER.parent
        assert (FOLDER.parent / service["build"]["dockerfile"]).is_file()
    assert services["robot"]["image"] == services["edge"]["image"]


def test_compose_keeps_to_the_compose_specification() -> None:
    compose_spec = pytest.importorskip("compose_spec")
    file = yaml.safe_load((FOLDER / "compose.yaml").read_text())  # merges the anchors
    compose_spec.PyCompose.from_yaml(yaml.safe_dump(file)).validate()
    file["services"]["edge"]["network_mood"] = file["services"]["edge"].pop("network_mode")
    with pytest.raises(ValueError, match="network_mood"):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(file))


def test_dockerfile_builds_on_jazzy_with_harmonic_and_starts_the_stack() -> None:
    parser = pytest.importorskip("dockerfile_parse").DockerfileParser(path=str(FOLDER / "Dockerfile"))
    steps = [(step["instruction"], step["value"]) for step in parser.structure if step["instruction"] != "COMMENT"]
    assert steps[0] == ("FROM", "ros:jazzy-ros-base")
    known = {"FROM", "RUN", "WORKDIR", "COPY", "SHELL", "ENTRYPOINT", "CMD"}
    assert {name for name, _ in steps} == known
    (install,) = [value for name, value in steps if "apt-get install" in value]
    assert "ros-jazzy-ros-gz" in install and "--no-install-recommends" in install
    assert install.endswith("rm -rf /var/lib/apt/lists/*")  # in the same layer
    entry = dict(steps)["ENTRYPOINT"]
    assert entry == '["/ir/docker/entrypoint.sh"]' and os.access(FOLDER / "entrypoint.sh", os.X_OK)
    subprocess.run(["bash", "-n", FOLDER / "entrypoint.sh"], check=True)
    verb, *words = yaml.safe_load(dict(steps)["CMD"])
    assert verb == "up" and parse(words).headless
