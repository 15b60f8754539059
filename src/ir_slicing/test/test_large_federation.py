# SPDX-License-Identifier: Apache-2.0
"""Federated runs of many slices: in this process, and the same under Flower where it is installed."""

import ast
import contextlib
import importlib.util
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ir_slicing.learning.federation.large_federation import (
    FederationHistory,
    FederationRun,
    line,
    make_server,
    run_in_process,
    site_round,
)

APP = Path(__file__).resolve().parents[3] / "config" / "flower"
RUN = FederationRun(slices=3, rounds=2, steps=12, devices=4, seed=3)


def test_rounds_move_the_weights_and_repeat():
    first, history = run_in_process(RUN)
    assert history.updates == [3, 3] and all(np.isfinite(history.reward))
    assert 0 < history.bytes_up[0] < 3 * 4 * len(first.weights) / 8, "compressed"
    assert np.abs(first.weights - make_server(RUN).weights).max() > 0.0
    again, _ = run_in_process(RUN)
    assert np.array_equal(first.weights, again.weights)


def test_what_a_message_could_not_hold_goes_on_with_the_next():
    whole = make_server(RUN).whole().to_bytes()
    _, rest, _ = site_round(RUN, 0, whole, None)
    assert np.abs(rest).max() > 0.0
    data, _, _ = site_round(RUN, 0, whole, rest)
    assert data != site_round(RUN, 0, whole, None)[0]


def test_weights_of_other_networks_are_refused():
    with pytest.raises(ValueError, match="another architecture"):
        site_round(RUN, 0, make_server(RUN).whole().to_bytes()[:-4], None)


def test_flowers_check_finds_the_components():
    """Flower parses the module without importing it, and finds names that are assigned alone."""
    components = re.findall(r'^(?:server|client)app = "(.+)"', (APP / "pyproject.toml").read_text(), re.MULTILINE)
    assert len(components) == 2
    for reference in components:
        module, _, name = reference.partition(":")
        source = Path(importlib.util.find_spec(module.rpartition(".")[0]).origin).with_name(
            f"{module.split('.')[-1]}.py"
        )
        alone = [node.targets[0].id for node in ast.parse(source.read_text()).body
                 if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]  # fmt: skip
        assert name in alone, f"{reference}: {alone}"


@pytest.mark.timeout(400)
def test_a_superlink_and_two_supernodes_do_the_same(tmp_path):
    """On loopback, with the guide's commands: as many updates and bytes, and the same rewards as in one process."""
    pytest.importorskip("flwr", reason="flwr is not installed (requirements/federation.txt)")
    run = RUN.model_copy(update={"slices": 2})
    mine = run_in_process(run)[1]
    link, *nodes = free_ports(3)
    (tmp_path / "config.toml").write_text(f'[superlink.mine]\naddress = "127.0.0.1:{link}"\ninsecure = true\n')
    environment = {**os.environ, "FLWR_HOME": str(tmp_path), "FLWR_TELEMETRY_ENABLED": "0"}
    binaries = Path(sys.executable).parent

    def start(command, *arguments):
        with (tmp_path / "log").open("a") as log:
            return subprocess.Popen([binaries / command, *arguments], env=environment, stdout=log, stderr=log)

    settings = " ".join(f"{name}={getattr(run, name)}" for name in ("slices", "rounds", "steps", "devices", "seed"))
    started = [
        start("flower-superlink", "--insecure", "--port", str(link), "--disable-runtime-dependency-installation"),
        *(start("flower-supernode", "--insecure", "--superlink", f"127.0.0.1:{link}", "--port", str(port),
                "--node-config", f"partition-id={index}") for index, port in enumerate(nodes)),
    ]  # fmt: skip
    try:
        wait_for_port(link, 120.0)
        command = [binaries / "flwr", "run", str(APP), "mine", "--run-config", settings, "--stream"]
        told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300).stdout
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(60)
    for number in range(run.rounds):
        history = FederationHistory(*([one[number]] for one in (mine.reward, mine.updates, mine.bytes_up)))
        assert f"round {number}: {line(history)}; refused: none" in told, told + (tmp_path / "log").read_text()


def free_ports(count):
    """Ports of loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def wait_for_port(port, seconds):
    """Returns once somebody listens."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        threading.Event().wait(0.2)
    pytest.fail(f"nobody listens on port {port} after {seconds:g} s")
