# SPDX-License-Identifier: Apache-2.0
"""The lean executor serves every kind of entity, follows their coming and going, and ends when it is told to."""

import os
import signal
import threading
import time
import warnings

import pytest
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.signals import SignalHandlerOptions, uninstall_signal_handlers
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from ir_common import ros_executor
from ir_common.ros_executor import LeanExecutor
from ir_common.ros_node import LATCHED
from ir_common.testing import RosHarness
from ir_interfaces.msg import DropCount

STEADY = Clock(clock_type=ClockType.STEADY_TIME)


@pytest.fixture
def spinning(ros: RosHarness):
    """An executor that spins in a thread of its own, with the harness' nodes elsewhere."""
    executor = LeanExecutor()
    thread = threading.Thread(target=executor.spin)
    yield executor, thread
    executor.shutdown()
    thread.join(5)
    assert not thread.is_alive()


def test_messages_are_served_in_turn_and_in_order(ros: RosHarness) -> None:
    node, got = ros.node(), []
    subscriptions = [
        node.create_subscription(DropCount, t, lambda m, t=t: got.append((t, m.messages)), 50) for t in "ab"
    ]
    publishers = [ros.node("p" + topic).create_publisher(DropCount, topic, 50) for topic in "ab"]
    ros.until(lambda: all(p.get_subscription_count() == 1 for p in publishers), what="the match")
    for number in range(20):
        for publisher in publishers:
            publisher.publish(DropCount(messages=number))
    ros.until(lambda: len(got) == 40)
    for topic in "ab":
        assert [number for t, number in got if t == topic] == list(range(20))
    assert len(subscriptions) == 2


def test_what_waits_for_the_round_sees_a_message_of_each_subscription(ros: RosHarness) -> None:
    node, round_, rounds = ros.node(), [], []

    def end() -> None:
        rounds.append(sorted(round_))
        round_.clear()

    def take(topic: str, message: DropCount) -> None:
        if not round_:
            ros.executor.after_round(end)
        round_.append((message.messages, topic))

    for topic in "abc":
        node.create_subscription(DropCount, topic, lambda m, t=topic: take(t, m), 50)
    publishers = [ros.node("p" + topic).create_publisher(DropCount, topic, 50) for topic in "abc"]
    ros.until(lambda: all(p.get_subscription_count() == 1 for p in publishers), what="the match")
    for number in range(4):
        for publisher in publishers:
            publisher.publish(DropCount(messages=number))
    ros.until(lambda: sum(map(len, rounds)) == 12)
    assert max(map(len, rounds)) == 3 and all(len({topic for _, topic in one}) == len(one) for one in rounds)


def test_a_message_with_its_information(ros: RosHarness) -> None:
    node, got = ros.node(), []

    def take(message, info) -> None:
        got.append((message.messages, sorted(info)))

    node.create_subscription(DropCount, "x", take, 5)
    publisher = node.create_publisher(DropCount, "x", 5)
    ros.until(lambda: publisher.get_subscription_count() == 1)
    publisher.publish(DropCount(messages=7))
    ros.until(lambda: got)
    assert got[0][0] == 7 and "source_timestamp" in got[0][1]


def test_services_clients_and_what_follows_an_answer(ros: RosHarness) -> None:
    node, done = ros.node(), []
    node.create_service(SetBool, "invert", lambda request, response: _answer(response, not request.data))
    client = node.create_client(SetBool, "invert")
    ros.until(client.service_is_ready)
    futures = [client.call_async(SetBool.Request(data=flag)) for flag in (True, False)]
    for future in futures:
        future.add_done_callback(lambda future: done.append(future.result().success))
    ros.until(lambda: len(done) == 2)
    assert sorted(done) == [False, True]


def _answer(response, success: bool):
    response.success = success
    return response


def test_an_answer_waits_for_a_client_that_is_met_late(ros: RosHarness, monkeypatch) -> None:
    node = ros.node()
    service = node.create_service(Trigger, "x", lambda request, response: _answer(response, True))
    client, send, sent = node.create_client(Trigger, "x"), service.send_response, []

    def not_yet(answer, header) -> None:
        sent.append(answer)
        if len(sent) < 3:
            warnings.warn("failed to send response (timeout)", RuntimeWarning, stacklevel=1)
        else:
            send(answer, header)

    monkeypatch.setattr(ros_executor, "_AGAIN", 0.01)
    monkeypatch.setattr(service, "send_response", not_yet)
    ros.until(client.service_is_ready)
    future = client.call_async(Trigger.Request())
    ros.until(future.done)
    assert future.result().success and len(sent) == 3


def test_a_client_that_no_answer_can_reach_is_given_up_and_others_are_served(ros: RosHarness, monkeypatch) -> None:
    monkeypatch.setattr(ros_executor, "_AGAIN", 0.01)
    monkeypatch.setattr(ros_executor, "_ANSWERS", 3)
    node, asked = ros.node(), []
    node.create_service(Trigger, "x", lambda request, response: asked.append(1) or _answer(response, True))
    deaf = node.create_client(Trigger, "x", qos_profile=LATCHED)  # services keep no answers for late ones
    client = node.create_client(Trigger, "x")
    ros.until(client.service_is_ready)
    unheard = deaf.call_async(Trigger.Request())
    ros.until(lambda: asked)
    future = client.call_async(Trigger.Request())
    with pytest.warns(RuntimeWarning, match="x: failed to send response"):
        ros.until(lambda: future.done() and not ros.executor._unsent)
    assert future.result().success and not unheard.done() and len(asked) == 2


def test_an_error_after_an_answer_is_not_swallowed(ros: RosHarness) -> None:
    node = ros.node()
    node.create_service(Trigger, "x", lambda request, response: response)
    client = node.create_client(Trigger, "x")
    ros.until(client.service_is_ready)

    def fail(_future) -> None:
        raise RuntimeError("seen")

    client.call_async(Trigger.Request()).add_done_callback(fail)
    with pytest.raises(RuntimeError, match="seen"):
        ros.until(lambda: False, timeout=5)


def test_entities_may_come_and_go_in_callbacks(ros: RosHarness) -> None:
    node, got = ros.node(), []
    publisher = node.create_publisher(DropCount, "x", 5)
    state = {}

    def take(message) -> None:
        got.append(message.messages)
        node.destroy_subscription(state.pop("subscription"))

    def begin() -> None:
        node.destroy_timer(state.pop("timer"))
        state["subscription"] = node.create_subscription(DropCount, "x", take, 5)

    state["timer"] = node.create_timer(0.01, begin, clock=STEADY)
    ros.until(lambda: publisher.get_subscription_count() == 1, what="the subscription")
    for number in range(3):
        publisher.publish(DropCount(messages=number))
    ros.until(lambda: got and not state)
    assert got == [0]  # the others found nobody there


def test_a_coroutine_and_a_guard_are_run(ros: RosHarness) -> None:
    node, seen = ros.node(), []

    async def later() -> None:
        seen.append("coroutine")

    timer = node.create_timer(0.01, later, clock=STEADY)
    guard = node.create_guard_condition(lambda: seen.append("guard"))
    guard.trigger()
    ros.until(lambda: {"coroutine", "guard"} <= set(seen))
    node.destroy_timer(timer)


def test_another_thread_may_add_work_and_end_it(spinning, ros: RosHarness) -> None:
    executor, thread = spinning
    node, seen = rclpy.create_node("threaded"), threading.Event()
    executor.add_node(node)
    thread.start()
    node.create_timer(0.01, seen.set, clock=STEADY)  # wakes the executor, which waits
    assert seen.wait(5)


def test_the_end_of_the_context_ends_the_spinning(ros_domain: int) -> None:
    rclpy.init()
    executor, node, ended = LeanExecutor(), rclpy.create_node("ends"), threading.Event()
    executor.add_node(node)

    def spin() -> None:
        with pytest.raises(ExternalShutdownException):
            executor.spin()
        ended.set()

    thread = threading.Thread(target=spin)
    thread.start()
    rclpy.shutdown()
    assert ended.wait(5)
    thread.join(5)


def test_messages_that_wait_do_not_keep_a_context_that_a_signal_ended(ros_domain: int) -> None:
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    rclpy.init(signal_handler_options=SignalHandlerOptions.SIGTERM)
    executor, node, heard = LeanExecutor(), rclpy.create_node("floods"), []

    def hear(message: DropCount) -> None:
        heard.append(message.messages)
        os.kill(os.getpid(), signal.SIGTERM)
        while node.context.ok():  # a thread of rclpy ends it
            assert time.monotonic() < deadline
            threading.Event().wait(0.01)

    subscription = node.create_subscription(DropCount, "a", hear, 50)
    publisher = node.create_publisher(DropCount, "a", 50)
    deadline = time.monotonic() + 10
    while publisher.get_subscription_count() == 0:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    for number in range(20):
        publisher.publish(DropCount(messages=number))
    executor.add_node(node)
    with pytest.raises(ExternalShutdownException):
        executor.spin()
    uninstall_signal_handlers()
    signal.signal(signal.SIGTERM, before)
    assert heard == [0] and subscription is not None
    executor.shutdown()
    node.destroy_node()  # else it stays in the graph that later tests look at, until Python's collector finds it
    rclpy.try_shutdown()


def test_messages_that_come_faster_than_they_are_handled_leave_a_turn_to_others(ros: RosHarness) -> None:
    executor, node, heard = LeanExecutor(), ros.node("flooded"), []
    publisher, ended = node.create_publisher(DropCount, "a", 5), threading.Event()
    deadline = time.monotonic() + 20

    def hear(message: DropCount) -> None:
        assert time.monotonic() < deadline, "nobody else has a turn"
        heard.append(message.messages)
        threading.Event().wait(0.005)

    def flood() -> None:
        while not ended.wait(0.0005):
            publisher.publish(DropCount())

    node.create_subscription(DropCount, "a", hear, 5)
    service = node.create_service(Trigger, "other", lambda request, response: response)
    client = node.create_client(Trigger, "other")
    executor.add_node(node)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        while not heard or not client.service_is_ready():
            executor.spin_once(1.0)
        future = client.call_async(Trigger.Request())
        while not future.done():
            executor.spin_once(1.0)
    finally:
        ended.set()
        thread.join()
    executor.shutdown()
    assert service is not None


def test_a_node_that_comes_later_is_served(ros: RosHarness) -> None:
    """Its entities were made before the executor knew it, so that nothing but its coming tells of them."""
    executor, seen = LeanExecutor(), threading.Event()
    first, late = rclpy.create_node("first"), rclpy.create_node("late")
    executor.add_node(first)
    executor.spin_once(0.0)
    late.create_timer(0.01, seen.set, clock=STEADY)
    executor.add_node(late)
    for _ in range(500):
        executor.spin_once(0.01)
        if seen.is_set():
            break
    assert seen.is_set()
    executor.shutdown()
    for node in (first, late):
        node.destroy_node()


def test_a_service_may_answer_later(ros: RosHarness) -> None:
    """Its callback gives a future; what else comes meanwhile is served."""
    server, client = ros.node("server"), ros.node("client")
    promised: list[Future] = []

    def later(_request: object, _response: object) -> Future:
        promised.append(Future())
        return promised[-1]

    server.create_service(SetBool, "later", later)
    other = server.create_service(SetBool, "other", lambda _, response: response)
    asking = client.create_client(SetBool, "later")
    ros.until(asking.service_is_ready)
    answer = asking.call_async(SetBool.Request())
    ros.until(lambda: promised)
    ros.call(client, SetBool, other.srv_name, SetBool.Request())
    assert not answer.done()
    promised[0].set_result(SetBool.Response(success=True, message="now"))
    ros.until(answer.done)
    assert answer.result().message == "now"
