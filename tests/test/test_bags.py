# SPDX-License-Identifier: Apache-2.0
"""A recorded run is computed again: every report, verdict and allocation, and its own report, to the last count."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from stack import Stack


def bag(program: str, *arguments: object) -> subprocess.Popen:
    command = [sys.executable, "-X", "faulthandler", "-m", f"ir_bag.{program}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen, timeout: float) -> str:
    """What it said until its end; a process that does not end says where it is."""
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)
        pytest.fail(f"{process.args} has not ended within {timeout} s:\n{process.communicate()[0]}")


@pytest.fixture(scope="module")
def run(ros_domain: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of the whole stack with a recorder beside it: its bag, and its report in run.json."""
    folder = tmp_path_factory.mktemp("recorded")
    recorder = bag("record", "-a", "-x", ".*/camera/.*", "-o", folder / "bag")
    assert recorder.stdout is not None
    assert "recording into" in recorder.stdout.readline()  # it is there before the stack is
    words = ["headless:=true", "dashboard:=off", "rendering:=false", "twin:=enforce", "seed:=3", "duration:=6"]
    stack = Stack([*words, f"report:={folder / 'run.json'}"], folder)
    try:
        assert stack.process.wait(90) == 0, stack.text()
    finally:
        stack.close()
        recorder.send_signal(signal.SIGINT)
        said = ended(recorder, 30)
    assert recorder.returncode == 0, said
    return folder


def replay(*arguments: object) -> tuple[int, str]:
    process = bag("replay", *arguments)
    said = ended(process, 60)
    return process.returncode, said


def test_replay_gives_the_runs_report_to_the_last_count(run: Path) -> None:
    status, said = replay(run / "bag", "--report", run / "again.json", "--against", run / "run.json")
    assert status == 0 and "as in the run, to the last count" in said, said
    again = json.loads((run / "again.json").read_text())
    assert again["equal"] and again["against"] == []
    compared = again["compared"]
    assert all(check["different"] == 0 for check in compared.values()), said
    assert all(check["missing"] == 0 for check in compared.values()), said  # since the recorder has had the topic
    for topic in (
        "/radio/report",
        "/slicing/allocation",
        *(f"/edge/{r}/verdict" for r in ("cart", "spider", "hopper")),
    ):
        assert compared[topic]["equal"] >= (1 if "allocation" in topic else 10), said
    assert set(again["slices"]) >= {"spider", "cart", "control"}
    assert again["slices"]["control"]["delivered"]["messages"] > 100


@pytest.mark.parametrize("option", ["--report", "--against"])
def test_a_report_that_cannot_be_written_or_read_is_told_in_a_line(run: Path, option: str) -> None:
    status, said = replay(run / "bag", option, run / "nowhere" / "again.json")
    lines = [line for line in said.splitlines() if line.startswith("error:")]
    assert status == 78 and len(lines) == 1 and "nowhere/again.json: cannot be" in lines[0], said
    assert "Traceback" not in said


def test_a_report_of_another_run_is_told_apart(run: Path) -> None:
    other = json.loads((run / "run.json").read_text())
    other["slices"]["control"]["delivered"]["messages"] += 1
    other["robots"]["hopper"]["verdicts"]["proposals"] += 1
    (run / "other.json").write_text(json.dumps(other))
    status, said = replay(run / "bag", "--against", run / "other.json")
    assert status == 1 and "slices: none of" in said and "hopper: verdicts are" in said
