# SPDX-License-Identifier: Apache-2.0
"""All names of a stack lie below its namespace, in text and in a real ROS graph."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Empty
from std_srvs.srv import Trigger

from ir_common import stack_namespace
from ir_common.config import ConfigError
from ir_common.ros_node import ANNOUNCEMENTS, NODE_STATUS_TOPIC, LeanNode, StackNode, announce
from ir_common.stack_namespace import GLOBAL, OWN, below, normalised, told
from ir_common.testing import RosHarness
from ir_interfaces.msg import NodeStatus

PARTS = st.from_regex(r"[a-z][a-z0-9]{0,6}", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("namespace", "name", "full"),
    [
        ("/lab1", "/radio/report", "/lab1/radio/report"),
        ("/lab1", "/lab1/radio/report", "/lab1/radio/report"),
        ("/lab1", "/lab10/odom", "/lab1/lab10/odom"),
        ("/lab1", "/lab1", "/lab1/lab1"),
        ("/lab1", "/clock", "/lab1/clock"),
        ("/lab1", "/rosout", "/rosout"),
        ("/lab1", "/parameter_events", "/parameter_events"),
        ("/lab1", "cart/odom", "cart/odom"),
        ("/lab1", "~/journal", "~/journal"),
        ("/lab1", "/", "/lab1"),
        ("/site/lab1", "/tf", "/site/lab1/tf"),
        ("", "/radio/report", "/radio/report"),
        ("", "/", "/"),
    ],
)
def test_names_below_a_namespace(namespace: str, name: str, full: str) -> None:
    assert below(namespace, name) == full


@given(NAMES, NAMES)
def test_a_name_goes_below_once_and_no_two_become_one(namespace: str, name: str) -> None:
    full = below(namespace, name)
    assert below(namespace, full) == full
    assert name in GLOBAL or full.startswith(f"{namespace}/")
    assert full in (name, namespace + name)


@given(NAMES.filter(lambda name: name.split("/")[1] not in OWN))
def test_slashes_at_the_ends_do_not_matter(name: str) -> None:
    assert {normalised(text) for text in (name, name[1:], f"{name}/", f" {name} ")} == {name}
    assert told({stack_namespace.VARIABLE: name}) == name


@pytest.mark.parametrize("text", ["1lab", "lab 1", "lab/", "a//b", "lab__1", "läb", "_lab", "~", "edge", "/radio/x"])
def test_what_is_no_namespace_is_refused(text: str) -> None:
    if text == "lab/":
        assert normalised(text) == "/lab"
        return
    with pytest.raises(ConfigError, match="such as lab1"):
        normalised(text)
    with pytest.raises(ConfigError, match="environment variable IR_NAMESPACE"):
        told({stack_namespace.VARIABLE: text})


def test_no_namespace() -> None:
    assert normalised("") == normalised("/") == told({}) == told({stack_namespace.VARIABLE: ""}) == ""


def test_everything_of_a_node_is_below_the_namespace_in_the_graph(
    ros: RosHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(stack_namespace.VARIABLE, "lab1")
    node = ros.add(LeanNode("manager", namespace="/slicing"))
    publisher = node.create_publisher(Empty, "/radio/report", 10)
    own = node.create_publisher(Empty, "~/events", 10)
    assert (publisher.topic_name, own.topic_name) == ("/lab1/radio/report", "/lab1/slicing/manager/events")
    assert node.create_subscription(Empty, "/edge/odom", print, 10).topic_name == "/lab1/edge/odom"
    assert node.create_subscription(Empty, "/rosout_of_mine", print, 10).topic_name == "/lab1/rosout_of_mine"
    assert node.create_client(Trigger, "/simulator/reset").srv_name == "/lab1/simulator/reset"
    assert node.create_service(Trigger, "/simulator/reset", print).srv_name == "/lab1/simulator/reset"
    assert node.resolve_topic_name("/tf") == "/lab1/tf" and node.resolve_service_name("/go") == "/lab1/go"
    watch = ros.node("watch")  # a stranger's node: nothing is put before its names

    def there() -> bool:
        return watch.count_publishers("/lab1/radio/report") == watch.count_subscribers("/lab1/edge/odom") == 1

    ros.until(there, what="the topics in the graph")
    for name in ("/radio/report", "/lab1/radio/report", publisher.topic_name):  # as the stack says it, and as it is
        assert node.count_publishers(name) == len(node.get_publishers_info_by_topic(name)) == 1
    assert node.count_subscribers("/edge/odom") == len(node.get_subscriptions_info_by_topic("/edge/odom")) == 1
    assert node.count_services("/simulator/reset") == node.count_clients("/simulator/reset") == 1
    topics = {name for name, _ in watch.get_topic_names_and_types()}
    assert {name for name in topics if not name.startswith("/lab1/")} <= GLOBAL
    ros.call(watch, GetParameters, "/lab1/slicing/manager/get_parameters", GetParameters.Request())
    keep, heard = announce(node), []
    watch.create_subscription(NodeStatus, f"/lab1{NODE_STATUS_TOPIC}", heard.append, ANNOUNCEMENTS)
    ros.until(lambda: heard, what="the announcement")
    assert heard[0].name == "/lab1/slicing/manager"
    del keep


def test_simulated_time_is_that_of_the_own_stack(ros: RosHarness) -> None:
    simulated = [Parameter("use_sim_time", value=True)]
    nodes = {space: ros.add(StackNode("one", stack=space, parameter_overrides=simulated)) for space in ("a", "b", "")}
    world = ros.node("world")
    clocks = {space: world.create_publisher(Clock, f"{space and '/'}{space}/clock", 10) for space in nodes}
    ros.until(lambda: all(one.get_subscription_count() == 1 for one in clocks.values()), what="three clocks")
    for seconds, clock in enumerate(clocks.values(), 5):
        message = Clock()
        message.clock.sec = seconds
        clock.publish(message)
    ros.until(lambda: all(node.get_clock().now().nanoseconds for node in nodes.values()), what="time")
    assert [node.get_clock().now().nanoseconds for node in nodes.values()] == [5 * 10**9, 6 * 10**9, 7 * 10**9]


def test_a_stack_that_is_told_overrules_the_environment(ros: RosHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stack_namespace.VARIABLE, "lab1")
    assert ros.add(StackNode("one", stack="lab2")).get_fully_qualified_name() == "/lab2/one"
    assert ros.add(StackNode("one", stack="")).get_fully_qualified_name() == "/one"
    assert ros.add(StackNode("one", cli_args=["--ros-args", "-r", "__ns:=/lab1/x"])).get_namespace() == "/lab1/x"


def test_a_wrong_variable_is_told(ros: RosHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(stack_namespace.VARIABLE, "1")
    with pytest.raises(ConfigError, match="IR_NAMESPACE: '1' is no namespace"):
        StackNode("one")
