# SPDX-License-Identifier: Apache-2.0
"""A story of `./ir demo` with real processes, as fast as they can."""

import sys
from pathlib import Path

import pytest
from stack import Stack


@pytest.mark.timeout(300)
def test_the_story_of_the_link_is_told_to_its_end_and_the_stack_ends_with_it(ros_domain: int, tmp_path: Path) -> None:
    words = ["headless:=true", "robots:=cart", "rendering:=false", "real_time_factor:=0"]
    command = [sys.executable, "-m", "ir_lab.demo.run_demo", "link"]
    stack = Stack(words, tmp_path, command)
    try:
        assert stack.process.wait(240) == 0, stack.text()
        assert stack.processes() == []
    finally:
        stack.close()
    lines = stack.text().splitlines()
    assert any(line.endswith("The link is cut") for line in lines)
    assert any("16 s without a link: 0 falls and collisions" in line for line in lines), stack.text()
