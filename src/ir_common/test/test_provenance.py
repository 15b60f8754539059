# SPDX-License-Identifier: Apache-2.0
"""The commit of a result."""

import subprocess
from pathlib import Path

from ir_common.provenance import commit_of


def test_commit_of_a_clean_and_of_a_changed_tree(tmp_path: Path) -> None:
    assert commit_of(tmp_path) == "unknown"
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    (tmp_path / "file").write_text("one")
    for words in (["init", "-q"], ["add", "file"], [*who, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    clean = commit_of(tmp_path / "file")
    assert len(clean) >= 7 and set(clean) <= set("0123456789abcdef")
    (tmp_path / "file").write_text("two")
    assert commit_of(tmp_path) == clean + "+"
