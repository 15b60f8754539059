# SPDX-License-Identifier: Apache-2.0
"""The command ./ir experiment, whole: it runs what is missing, compares, and says what is wrong in a line."""

import csv
import json
import subprocess
import sys

import pytest

from ir_common.config import EXIT_CONFIG

FILE = """
arguments: {duration: 1, rendering: false, robots: hopper}
variants:
  - {name: calm, arguments: {twin: off}}
  - {name: exploring, arguments: {twin: off, exploration: 0.5}}
seeds: [1, 2]
show: [robots.hopper.reward, robots.hopper.wings]
"""


def experiment(folder, *words, text=FILE):
    (folder / "hop.yaml").write_text(text)
    command = [sys.executable, "-m", "ir_lab.experiment.run_experiment", "hop.yaml", "--jobs", "2", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110)


def test_variants_are_run_compared_and_not_run_again(tmp_path):
    first = experiment(tmp_path)
    assert first.returncode == 0, first.stderr
    assert "4 runs, 0 of them finished before" in first.stdout
    assert "no report has: robots.hopper.wings" in first.stdout
    out = tmp_path / "experiments" / "hop"
    result = json.loads((out / "result.json").read_text())
    rows = {(row["number"], row["variant"]): row for row in result["table"]}
    calm, other = (rows["robots.hopper.reward", name] for name in ("calm", "exploring"))
    assert calm["seeds"] == other["seeds"] == 2 and calm["difference"] is None
    assert other["difference"] == pytest.approx(other["mean"] - calm["mean"])
    with (out / "result.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(result["table"])
    again = experiment(tmp_path)
    assert "4 runs, 4 of them finished before" in again.stdout
    assert json.loads((out / "result.json").read_text()) == result


@pytest.mark.parametrize(
    ("words", "text", "said"),
    [
        (["--seeds", "0"], FILE, "--seeds 0: seeds: give a number from 1 up"),
        (["--jobs", "0"], FILE, "--jobs 0: must be at least 1"),
        ([], FILE.replace("robots: hopper", "robots: duck"), "variant calm: "),
        ([], FILE.replace("variants", "variant"), "did you mean 'variants'"),
        (["--ray", "nowhere:1"], FILE, "--ray"),
    ],
)
def test_what_is_wrong_is_one_line_and_status_78(tmp_path, words, text, said):
    made = experiment(tmp_path, *words, text=text)
    assert made.returncode == EXIT_CONFIG
    assert said in made.stderr and made.stderr.count("\n") == 1
