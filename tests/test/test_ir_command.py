# SPDX-License-Identifier: Apache-2.0
"""The `./ir` command itself, and the programs it runs. Needs no network and makes no environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ir_project import ROOT, run_ir

from ir_cli import programs
from ir_cli.errors import UserError
from ir_cli.layout import ProjectLayout


def add_program(prefix: Path, package: str, name: str) -> Path:
    (prefix / "share" / package).mkdir(parents=True, exist_ok=True)
    (prefix / "share" / package / "package.xml").write_text("")
    program = prefix / "lib" / package / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    return program


# --- running programs


def test_executables_are_found_in_any_prefix_and_wrong_names_list_what_there_is(tmp_path):
    ours, ros = tmp_path / ".ir" / "jazzy" / "install" / "ir_sim", tmp_path / "opt"
    simulator, bridge = add_program(ours, "ir_sim", "simulator"), add_program(ros, "ros_gz_bridge", "bridge")
    environ = {"AMENT_PREFIX_PATH": f"{ours}:{ros}"}
    assert programs.find_executable("ir_sim", "simulator", environ) == simulator
    assert programs.find_executable("ros_gz_bridge", "bridge", environ) == bridge
    with pytest.raises(UserError, match="no executable simulatr. Did you mean simulator. It has: simulator"):
        programs.find_executable("ir_sim", "simulatr", environ)
    with pytest.raises(UserError, match="no package ir_sym. Did you mean ir_sim. Packages with executables: ir_sim"):
        programs.find_executable("ir_sym", "x", environ)


def test_a_program_replaces_the_process_so_that_its_status_passes_through(tmp_path):
    program = add_program(tmp_path, "a", "seven")
    code = f"from ir_cli.programs import replace_process; replace_process([{str(program)!r}], {{}})"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT / "tools")})
    assert run.returncode == 7


def test_benchmarks_are_listed_with_their_first_line(tmp_path, capsys):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "delay_load.py").write_text('"""Delay over load.\n\nMore."""\n')
    (tmp_path / "benchmarks" / "_common.py").write_text("")
    programs.list_benchmarks(tmp_path)
    assert capsys.readouterr().out.split(maxsplit=1) == ["delay-load", "Delay over load.\n"]
    with pytest.raises(UserError, match="no benchmark delay-lod. Did you mean delay-load"):
        programs.bench(ProjectLayout(tmp_path, "jazzy"), ["delay-lod"], {})


# --- the command itself


def test_help_names_every_command():
    from ir_cli.main import COMMANDS

    text = run_ir("--help").stdout
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dcotor"], "Did you mean doctor?"),
        (["bench", "nothing-like-it"], "no benchmark nothing-like-it"),
        (["test", "nothing_like_it"], "no package nothing_like_it"),
        (["doctor", "x"], "usage: ./ir doctor"),
        (["lint", "--fx"], "usage: ./ir lint [--fix]"),
    ],
)
def test_a_mistake_is_one_clear_line_and_no_traceback(arguments, message):
    run = run_ir(*arguments)
    assert run.returncode == 2
    assert message in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [("bag", "play", "x"), ("bag", "record"), ("slice", "list"), ("radio", "x")])
def test_a_log_folder_that_cannot_be_written_is_told_in_one_line(tmp_path, monkeypatch, words):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "file" / "log"))
    run = run_ir(*words)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "set ROS_LOG_DIR" in run.stderr
