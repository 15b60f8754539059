# SPDX-License-Identifier: Apache-2.0
"""A file is replaced as a whole, or stays as it is."""

from pathlib import Path

import pytest

from ir_common.atomic_file import replace_text, replacing


def test_a_file_is_replaced_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    replace_text(path, "old µ")
    with replacing(path) as file:
        file.write(b"ne")
        assert path.read_text(encoding="utf-8") == "old µ", "a reader has the old one meanwhile"
        file.write(b"w")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("reason", [OSError("no space left"), KeyboardInterrupt()])
def test_what_is_interrupted_leaves_the_old_file_and_nothing_else(reason: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    replace_text(path, "old")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise reason

    with pytest.raises(type(reason)):
        interrupted()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_the_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        replace_text(tmp_path / "missing" / "a.txt", "text")
