# SPDX-License-Identifier: Apache-2.0
"""The whole stack in simulated time: it repeats to the bit, its counters balance, and what happens at times shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ir_bag.reader import BagReader
from ir_bag.recomputation import Recomputation, installed_engines
from ir_bag.ros_statements import journal_segments, recorded_statements
from ir_common.config import EXIT_CONFIG, ConfigError
from ir_lab.model_time.faults import Fault
from ir_lab.model_time.ros_model_run import ModelRun
from ir_lab.model_time.simulate_arguments import parse
from ir_twin.bringup.arguments import share

QUIET = ("rendering:=false", "duration:=4")


def run(*words, faults=()):
    return ModelRun(parse([*QUIET, *words], faults)).to_end()


def slices_file(folder: Path, **carrier) -> Path:
    """The stack's slices on another carrier."""
    content = yaml.safe_load((share() / "config" / "slices.yaml").read_text())
    content["carrier"] |= carrier
    file = folder / "slices.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_the_same_arguments_give_the_same_report_and_another_seed_another():
    one, again, other = run("twin:=enforce"), run("twin:=enforce"), run("twin:=enforce", "seed:=2")
    assert one == again
    assert one["robots"] != other["robots"]


def test_another_process_in_another_environment_gives_the_same_report(tmp_path):
    words = [*QUIET, "twin:=enforce", f"report:={tmp_path / 'report.json'}"]
    environment = {**os.environ, "PYTHONHASHSEED": "17", "OMP_NUM_THREADS": "2"}
    made = subprocess.run(
        [sys.executable, "-m", "ir_lab.simulate", *words], env=environment, capture_output=True, text=True, timeout=110
    )
    assert made.returncode == 0, made.stderr
    there = json.loads((tmp_path / "report.json").read_text())
    here = json.loads(json.dumps(ModelRun(parse(words)).to_end()))
    assert there == here
    assert "times real time" in made.stdout


def test_every_byte_is_accounted_for_and_every_state_is_answered():
    report = run("twin:=enforce")
    assert all(part["balanced"] for part in report["slices"].values())
    assert report["slices"]["control"]["dropped"] == {}
    for name, rate in (("cart", 10), ("spider", 25), ("hopper", 125)):
        robot = report["robots"][name]
        assert 4 * rate - 8 <= robot["steps"] <= 4 * rate, "control begins with the first odometry, after 0.05 s"
        ended = robot["episodes"] - 1  # the end of an episode and the begin of the next are answered, too
        assert robot["verdicts"]["proposals"] == pytest.approx(robot["steps"] + ended + 1, abs=2)
    assert report["host"]["models_numbers"] is True and report["wall_seconds"] is None


def test_delays_are_those_of_the_carrier(tmp_path):
    """Scheduling that takes 3 ms: every message of the control slice takes that and a mini-slot or two."""
    report = run("twin:=off", f"slices:={slices_file(tmp_path, scheduling_latency=3e-3)}")
    delay = report["slices"]["control"]["delay_seconds"]
    assert 3.0e-3 <= delay["p50"] <= 3.6e-3
    assert delay["max"] < 5e-3


def test_the_hopper_bears_late_commands(tmp_path):
    """Its policy remembers what is on its way: a delay of three control steps changes what it does, and it stays up."""
    quick, late = (
        run(
            "twin:=off", "robots:=hopper", "duration:=8", f"slices:={slices_file(tmp_path, scheduling_latency=latency)}"
        )
        for latency in (0.0, 9e-3)
    )
    assert quick["robots"]["hopper"]["falls"] == late["robots"]["hopper"]["falls"] == 0
    assert quick["robots"]["hopper"]["reward"] != late["robots"]["hopper"]["reward"]


def test_computing_takes_time_in_the_model():
    instant, slow = (run("twin:=off", "robots:=hopper", f"compute:={seconds}") for seconds in (0.0, 0.02))
    assert slow["robots"]["hopper"]["reward"] != instant["robots"]["hopper"]["reward"], "its commands came later"
    assert slow["robots"]["hopper"]["verdicts"]["latency_seconds"]["p50"] == pytest.approx(0.02, rel=0.03)


def test_a_link_that_is_cut_carries_nothing_and_comes_back():
    cut = Fault(kind="link_cut", at=1.0, duration=1.5, robot="cart")
    whole, parted = run("twin:=off"), run("twin:=off", faults=[cut])
    robot, before = parted["robots"]["cart"], whole["robots"]["cart"]
    assert robot["stops"] == 1, "its watchdog stopped it once"
    assert robot["verdicts"]["proposals"] == pytest.approx(before["verdicts"]["proposals"] - 15, abs=3)
    assert robot["distance_metres"] < before["distance_metres"]
    assert parted["robots"]["spider"]["steps"] == whole["robots"]["spider"]["steps"]
    assert all(part["balanced"] for part in parted["slices"].values())


def test_a_load_comes_on_top():
    load = Fault(
        kind="load", at=1.0, duration=2.0, robot="spider", slice="video", direction="uplink", rate=8e6, size=10_000
    )
    video = run("twin:=off", faults=[load])["slices"]["video"]
    assert video["offered"]["messages"] == 200 and video["offered"]["bytes"] == 2_000_000
    assert video["balanced"]


def test_without_the_radio_commands_arrive_at_once():
    report = run("twin:=off", "radio:=off")
    assert report["slices"] == {}
    assert report["robots"]["hopper"]["steps"] > 450


def test_agents_of_slices_ask_and_are_listened_to():
    report = run("twin:=off", "slicing:=learned")
    assert report["federation"] is not None
    assert report["allocation_changes"] > 2


def test_a_bag_of_the_run_is_computed_again_to_the_last_count(tmp_path):
    run("twin:=enforce", "exploration:=0.2", f"bag:={tmp_path / 'bag'}")
    bag = BagReader(tmp_path / "bag")
    again = Recomputation(installed_engines())
    for segment in journal_segments(bag):
        again.read(segment)
    checks = again.compare(recorded_statements(bag))
    assert checks.keys() >= {"/radio/report", "/slicing/allocation", "/edge/hopper/verdict"}
    for check in checks.values():
        assert check.equal > 0 and not (check.different or check.missing or check.beyond)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["sim:=gz"], "the embedded simulator only"),
        (["external:=cart"], "by the wall clock"),
        (["namespace:=lab1"], "namespace:=/lab1: a run in the model's time is in no ROS graph"),
        (["side:=edge"], "is one process"),
        (["compute:=-1"], "compute"),
        (["durtion:=1"], "did you mean 'duration:='"),
        (["bag:=/"], "is there already"),
    ],
)
def test_what_the_models_time_does_not_have_is_told_in_a_line(words, text, capsys):
    with pytest.raises(ConfigError, match=text) as error:
        parse(words)
    assert "\n" not in str(error.value)


def test_a_fault_of_an_unknown_robot_is_told():
    with pytest.raises(ConfigError, match="no robot 'duck'"):
        parse([], [Fault(kind="link_cut", at=1, duration=1, robot="duck")])


def test_the_command_says_what_is_wrong_with_status_78():
    made = subprocess.run(
        [sys.executable, "-m", "ir_lab.simulate", "sim:=gz"], capture_output=True, text=True, timeout=60
    )
    assert made.returncode == EXIT_CONFIG
    assert made.stderr.startswith("error: sim:=gz") and made.stderr.count("\n") == 1
