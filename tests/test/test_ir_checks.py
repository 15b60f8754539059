# SPDX-License-Identifier: Apache-2.0
"""`./ir test` and `./ir build`: programs run with a log, counted results, what was selected."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ir_project import add_package

from ir_cli import checks, console, environment
from ir_cli.errors import UserError
from ir_cli.layout import ProjectLayout

# --- programs run with a log


def test_output_goes_to_the_log_and_a_failure_shows_its_end(tmp_path):
    log, progress = tmp_path / "log" / "x.log", console.Progress("test")
    status = console.run_logged(["sh", "-c", "seq 100; exit 3"], log, os.environ, progress, lambda text: "")
    assert status == 3
    error = str(console.failure("sh", log, "Do this."))
    assert "| 100\n" in error and "| 10\n" not in error and str(log) in error and error.endswith("Do this.")


def test_an_interrupted_program_is_ended_with_its_children(tmp_path):
    pid = tmp_path / "pid"

    def interrupt(text: str) -> str:
        if pid.exists() and pid.read_text():
            raise KeyboardInterrupt
        return ""

    command = ["sh", "-c", f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; wait"]
    with pytest.raises(KeyboardInterrupt):
        console.run_logged(command, tmp_path / "x.log", os.environ, console.Progress("test"), interrupt)
    deadline = time.monotonic() + 5
    while Path("/proc", pid.read_text().strip()).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path("/proc", pid.read_text().strip()).exists()


def test_progress_of_a_build_is_read_from_its_output():
    log = "Starting >>> a\n[3/9] x\nFinished <<< a [1s]\nStarting >>> b\n[4/9] y\n"
    assert environment.build_progress(log) == "1 finished, at b, compiled 4/9"
    assert environment.build_progress("") == "0 finished, at …"


# --- in a sourced ROS installation

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("plugin", "hook", "error"),
    [
        ("launch_testing", "pytest_pycollect_makemodule(path, parent)", "PluginValidationError"),
        ("launch_ros", "pytest_launch_collect_makemodule(path, parent)", "PluginValidationError"),
        ("launch_pytest", "pytest_configure(config)", "AssertionError: used"),
    ],
)
def test_plugins_of_a_ros_installation_keep_no_package_from_its_tests(tmp_path, plugin, hook, error):
    """Those that Jazzy brings for every Python, under these names: pytest refuses two, the third turns off caplog."""
    (tmp_path / f"{plugin}_hooks.py").write_text(f"def {hook}:\n    raise AssertionError('used')\n")
    told = tmp_path / f"{plugin}-3.4.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {plugin}\nVersion: 3.4.0\n")
    (told / "entry_points.txt").write_text(f"[pytest11]\n{plugin} = {plugin}_hooks\n")
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    # in a sourced installation the real ones are there, too, and may be refused first
    refusals = (error, "PluginValidationError")
    for options, status in (([], 0), (["-o", "addopts="], 1)):
        command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *options]
        run = subprocess.run(
            [*command, "test/test_config.py"],
            cwd=ROOT / "src" / "ir_common",
            env=environ,
            capture_output=True,
            text=True,
        )
        assert (run.returncode == 0) is (status == 0), run.stdout + run.stderr
        assert any(refusal in run.stdout + run.stderr for refusal in refusals) is bool(status)


# --- results

JUNIT = """<testsuites><testsuite>
<testcase classname="t" name="good"/>
<testcase classname="t" name="bad"><failure message="short">long report</failure></testcase>
<testcase classname="t" name="broken"><error message="no setup"/></testcase>
<testcase classname="t" name="out"><skipped message="no ign"/></testcase>
<testcase name="module"><skipped message="collection skipped">('/a.py', 9, 'Skipped: no ros2')</skipped></testcase>
</testsuite></testsuites>"""


def test_results_are_counted_with_reports_and_reasons(tmp_path):
    (tmp_path / "a.xml").write_text(JUNIT)
    (tmp_path / "b.xml").write_text("<half")
    results = checks.Results()
    results.add_file(tmp_path / "a.xml")
    results.add_file(tmp_path / "b.xml")
    lines = results.report().splitlines()
    assert lines[-1] == "1 passed, 3 failed, 2 skipped"
    assert "SKIPPED t.out: no ign" in lines and "SKIPPED module: no ros2" in lines
    assert "    long report" in lines and "    no setup" in lines


def test_selection_takes_packages_and_pytest_arguments(tmp_path):
    add_package(tmp_path, "one")
    (add_package(tmp_path, "messages") / "CMakeLists.txt").touch()
    chosen = checks.Selection.parse(["one", "--", "-k", "fast"], tmp_path)
    assert [p.name for p in chosen.packages] == ["one"] and chosen.pytest == ("-k", "fast")
    assert [p.name for p in checks.Selection.parse([], tmp_path).packages] == ["one"]  # messages have no tests
    command = checks.test_command(ProjectLayout(tmp_path, "jazzy"), chosen)
    assert command[-3:] == ["--pytest-args", " -k", "fast"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["onne"], "no package onne. Did you mean one?"), (["-k"], "come after --, as in: ./ir test ir_sim -- -k")],
)
def test_selection_refuses_what_it_does_not_know(tmp_path, arguments, message):
    add_package(tmp_path, "one")
    with pytest.raises(UserError) as error:
        checks.Selection.parse(arguments, tmp_path)
    assert message in str(error.value)
