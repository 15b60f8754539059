# SPDX-License-Identifier: Apache-2.0
"""The monitor shows warnings of its own stack, though all stacks of a domain share /rosout."""

import pytest
from rcl_interfaces.msg import Log

from ir_common.ros_node import RELIABLE, StackNode
from ir_common.stack_namespace import VARIABLE
from ir_common.testing import RosHarness
from ir_twin.monitor_node import MonitorNode


@pytest.mark.parametrize(("namespace", "shown"), [("a", {"near"}), ("", {"near", "far"})])
def test_warnings_are_those_of_the_own_stack(
    ros: RosHarness,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    namespace: str,
    shown: set[str],
) -> None:
    monkeypatch.setenv(VARIABLE, namespace)
    monitor = ros.add(MonitorNode())
    nodes = {name: ros.add(StackNode(name, stack=stack)) for name, stack in (("far", "ab"), ("near", "a"))}
    heard: list[str] = []
    ros.node("witness").create_subscription(Log, "/rosout", lambda log: heard.append(log.name), RELIABLE)
    ros.until(lambda: monitor.count_publishers("/rosout") == 4, what="all publishers of /rosout")

    def said() -> bool:
        nodes["far"].get_logger().warning("here is far")
        nodes["near"].get_logger().warning("here is near")
        return min(heard.count("ab.far"), heard.count("a.near")) >= 5  # a few, so that the monitor has some, too

    ros.until(said, what="both on /rosout")
    capsys.readouterr()
    monitor.close()
    reported = monitor._totals.as_dict(1.0, {})["warnings"]
    assert {warning.split("here is ")[1] for warning in reported if "here is" in warning} == shown
    table = capsys.readouterr().out
    assert {name for name in nodes if f"here is {name}" in table} == shown
