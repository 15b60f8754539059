# SPDX-License-Identifier: Apache-2.0
"""The table of worlds that run: outcomes, reasons, and the document that it is written into."""

import pytest
from conftest import FLOOR

from ir_sim.check_worlds import check_folders, main, summary

WORLD = '<sdf version="{}"><world name="w">{}</world></sdf>'
FUEL = "<include><uri>https://fuel.gazebosim.org/1.0/a/models/b</uri></include>"


@pytest.fixture
def folder(tmp_path):
    there = tmp_path / "worlds"
    there.mkdir()
    (there / "good.sdf").write_text(WORLD.format("1.9", FLOOR))
    (there / "bad.world").write_text(WORLD.format("1.9", "\n<model/>"))
    (there / "gone.sdf").write_text(WORLD.format("1.9", FUEL))
    (there / "broken.sdf").write_text("<sdf>")
    (there / "part.urdf").write_text("<robot name='x'><link name='a'/></robot>")
    (there / "stiff.urdf").write_text(
        "<robot name='x'><link name='a'/><link name='b'/><joint name='j' type='fixed'><parent link='a'/>"
        "<child link='b'/></joint></robot>"
    )
    (there / "crate.sdf").write_text('<sdf version="1.9"><model name="m"><link name="l"/></model></sdf>')
    (there / "notes.txt").write_text("no world")
    return there


def test_each_file_has_an_outcome_and_a_reason(folder):
    results = {one.file: one for one in check_folders([folder])}
    assert {name: one.outcome for name, one in results.items()} == {
        "good.sdf": "runs", "bad.world": "refused", "gone.sdf": "incomplete", "broken.sdf": "refused",
        "stiff.urdf": "refused", "crate.sdf": "runs",
    }  # fmt: skip
    assert results["bad.world"].said.startswith("bad.world:2: <model>: ")
    assert results["stiff.urdf"].said.startswith("stiff.urdf:1: <model>: takes no commands")
    assert (results["crate.sdf"].kind, results["crate.sdf"].said) == ("model", "takes no commands")
    assert "Of the 5 that are complete on this machine 40 % run." in summary(list(results.values()))


def test_a_section_of_the_document_is_written_anew(folder, tmp_path):
    doc = tmp_path / "worlds.md"
    doc.write_text("# Worlds\n\nText.\n\n## One\n\nold\n\n## Two\n\nstays\n")
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            main([str(folder), "--doc", str(doc), "--label", "One"])
        assert ended.value.code == 0
    text = doc.read_text()
    assert text.startswith("# Worlds\n\nText.\n\n## One\n\n6 files:") and "old" not in text
    assert text.endswith("\n## Two\n\nstays\n") and text.count("good.sdf") == 1
    with pytest.raises(SystemExit) as ended:
        main([str(folder / "nowhere")])
    assert ended.value.code == 78
