# SPDX-License-Identifier: Apache-2.0
"""The files about the project itself say what is so."""

import re
from pathlib import Path
from xml.etree import ElementTree

import yaml

ROOT = Path(__file__).resolve().parents[2]
VERSION = ElementTree.parse(ROOT / "src" / "ir_common" / "package.xml").getroot().findtext("version")


def test_version_of_changelog_and_citation() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.findall(r"^## (\S+)", changelog, re.M)[0] == VERSION
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == VERSION and citation["license"] == "Apache-2.0"
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_contributing_names_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = re.findall(r"`((?:src|tests|config|worlds|benchmarks|requirements|tools)/[^`]*)`|\]\(([^)]+)\)", text)
    for path in {a or b for a, b in named}:
        shown = path.partition("NAME")[0]
        assert (ROOT / shown).exists(), path


def test_continuous_integration_runs_what_is_there_and_says_what_never_ran() -> None:
    file = ROOT / ".github" / "workflows" / "ci.yml"
    text = file.read_text()
    assert "nothing has ever run" in "".join(text.splitlines()[:4])
    jobs = yaml.safe_load(text)["jobs"]
    assert jobs["ros"]["strategy"]["matrix"]["distro"] == ["jazzy", "kilted"]
    runs = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    for needed in (".ci/run", "colcon build", "colcon test", "docker build -f docker/Dockerfile", "sim:=gz"):
        assert needed in runs
    assert (ROOT / ".ci" / "run").exists() and (ROOT / "docker" / "Dockerfile").exists()


def test_pre_commit_lints() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert [hook["entry"] for hook in repo["hooks"]] == ["./ir lint"]
