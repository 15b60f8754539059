# SPDX-License-Identifier: Apache-2.0
"""What `./ir doctor` finds."""

import os

from ir_project import THIS_PYTHON, run_ir

from ir_cli import doctor, preflight
from ir_cli.layout import ProjectLayout

# --- findings


def test_what_is_missing_is_named_with_its_mend():
    assert preflight.check_python((3, 9), wheels=True).level == "missing"
    assert preflight.check_python((3, 15), wheels=True).level == "missing"
    assert preflight.check_python((3, 15), wheels=False).level == "ok"
    assert preflight.check_platform("Linux", "aarch64", ("glibc", "2.36"), wheels=True).level == "missing"
    assert preflight.check_platform("Linux", "x86_64", ("glibc", "2.28"), wheels=True).level == "ok"
    assert preflight.check_venv(lambda name: None if name == "ensurepip" else name).debian == ("python3-venv",)
    assert preflight.check_disk(1 << 30, installed=False).level == "missing"
    assert preflight.check_disk(1 << 30, installed=True).level == "ok"


def test_headers_and_compiler_are_looked_for(tmp_path):
    assert preflight.check_headers(tmp_path).debian == (f"python{THIS_PYTHON}-dev",)
    (tmp_path / "Python.h").touch()
    assert preflight.check_headers(tmp_path).level == "ok"
    assert "no C++ compiler" in preflight.check_compiler({"cc": "/usr/bin/cc"}.get, {}).detail
    assert preflight.check_compiler({"cc": "/bin/cc", "my++": "/bin/my++"}.get, {"CXX": "my++ -pipe"}).level == "ok"


def test_optional_things_are_notes_and_never_stop(tmp_path):
    assert preflight.check_rendering(lambda name: None).level == "note"
    assert preflight.check_program(lambda name: None, "ign", "checks", ("x",)).level == "note"
    assert preflight.check_shm(tmp_path / "none").level == "warning"
    assert preflight.check_gazebo(lambda name: None, ProjectLayout(tmp_path, "jazzy")).level == "note"
    (tmp_path / "file").touch()
    finding = preflight.check_logs({"ROS_LOG_DIR": str(tmp_path / "file" / "log")})
    assert finding.level == "warning" and "ROS_LOG_DIR" in finding.mend
    assert preflight.check_logs({"HOME": str(tmp_path)}).detail == str(tmp_path / ".ros" / "log")
    (tmp_path / "meminfo").write_text("MemTotal: 1048576 kB\n")
    assert preflight.check_memory(tmp_path / "meminfo").level == "warning"


def test_real_time_scheduling_is_tried_and_given_back():
    def refuse(*_):
        raise PermissionError

    tried = []
    assert preflight.check_realtime(refuse).level == "note"
    assert preflight.check_realtime(lambda *given: tried.append(given[1])).level == "ok"
    assert tried == [os.SCHED_RR, os.sched_getscheduler(0)]


def test_the_conclusion_names_what_is_required_only():
    note, missing = (preflight.Finding(level, level, "d", debian=(level,)) for level in ("note", "missing"))
    assert doctor.conclusion([note]) == "Nothing that is required is missing."
    assert doctor.conclusion([note, missing]).startswith("Missing: missing.")


def test_doctor_tells_a_half_made_environment_from_none(tmp_path):
    for name in ("build", "stack", "dev", "constraints", "jazzy"):
        (tmp_path / "requirements").mkdir(exist_ok=True)
        (tmp_path / "requirements" / f"{name}.txt").touch()
    place = ProjectLayout(tmp_path, "jazzy")
    assert "not made yet" in doctor.check_environment(place).detail
    place.venv.mkdir(parents=True)
    assert "half-made" in doctor.check_environment(place).detail


def test_doctor_passes_where_the_tests_run():
    run = run_ir("doctor")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Nothing that is required is missing." in run.stdout
