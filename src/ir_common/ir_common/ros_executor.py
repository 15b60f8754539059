# SPDX-License-Identifier: Apache-2.0
"""An executor for nodes with many small messages: one wait set, kept from one wake-up to the next."""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.subscription import Subscription
from rclpy.task import Future

_LONGEST_WAIT = 0.5
"""s; then the context is looked at again, should the signal that ended it have come at a bad moment."""
_TURN = 0.1
"""s for which messages of one kind are served before what else is ready is looked at, be there more of them or not."""
_AGAIN = 0.5
"""s after which an answer is sent again to a client that has not met the service yet; each time waits 0.1 s for it."""
_ANSWERS = 20
"""How often it is sent. A client that ends takes its answers with it."""
_KINDS = ("timer", "subscription", "client", "service", "guard_condition")
"""In the order in which the stock executor serves them."""


class LeanExecutor(SingleThreadedExecutor):
    """Serves nodes as `SingleThreadedExecutor` does, in a fraction of its processor time.

    The stock executor gathers all entities of its nodes into a new wait set for every wake-up, runs every callback as a
    task of its own, and wakes itself twice for each. Here the entities are gathered when they change, and what is ready
    is taken and called at once: one message of each ready subscription in turn, in the order in which the subscriptions
    were made, until none is left or their turn is over. Callback groups that refuse an entity keep it out for good, not
    for a while.

    A service's callback may return a future: its answer is sent when that is done.

    Answers of services reach clients that ask in the moment in which they find the service: its writer may find their
    reader later, and the stock executor's answer is lost then (ros2/ros2#1253).
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = True
        self._held = ExitStack()
        self._spinning = threading.RLock()
        self._entities: dict[str, dict[int, Any]] = {}
        self._waitables: list[Any] = []
        self._wait_set: Any = None
        self._tasks: list[Any]
        self._after: list[Callable[[], None]] = []
        self._unsent: list[tuple[int, Any, Any, Any]] = []  # how often sent; service, answer, header
        self._again = 0.0
        self._takers: dict[str, Callable[[Any], bool]] = {
            "timer": self._call_timer,
            "subscription": self._call_subscription,
            "client": self._call_client,
            "service": self._call_service,
            "guard_condition": self._call_guard,
        }

    def wake(self) -> None:
        """Has the entities gathered anew; the nodes call it when one comes or goes."""
        self._changed = True
        super().wake()

    def add_node(self, node: Any) -> bool:
        """Serves a node from now on, as `SingleThreadedExecutor.add_node`."""
        self._changed = True
        return super().add_node(node)

    def remove_node(self, node: Any) -> None:
        """Serves a node no longer, as `SingleThreadedExecutor.remove_node`."""
        self._changed = True
        super().remove_node(node)

    def after_round(self, callback: Callable[[], None]) -> None:
        """Has a function called once, when one message of each subscription that is ready now has been taken.

        For callbacks that gather what is better done together.
        """
        self._after.append(callback)

    def serve_now(self, entity: Any) -> None:
        """Takes all that waits on a service or a client, for a callback that must not go on before that is done."""
        take = self._call_service if hasattr(entity.handle, "service_take_request") else self._call_client
        with entity.handle:
            while take(entity):
                pass
        self._run_tasks()

    def spin(self) -> None:
        """Serves the nodes until the executor is shut down.

        Raises:
            ExternalShutdownException: the context was shut down.
        """
        while not self._is_shutdown:
            self.spin_once(_LONGEST_WAIT)

    def spin_once(self, timeout_sec: float | None = None) -> None:
        """Waits until something is ready, and serves all that is; gives up after ``timeout_sec`` (None: never).

        Raises:
            ExternalShutdownException: the context was shut down.
        """
        with self._spinning:
            if not self.context.ok():
                raise ExternalShutdownException
            if self._changed:
                self._gather()
            if self._unsent:
                timeout_sec = _AGAIN if timeout_sec is None else min(timeout_sec, _AGAIN)
                if time.monotonic() >= self._again:
                    self._send_again()
            self._serve(self._wait(-1 if timeout_sec is None else int(timeout_sec * 1e9)))
            self._run_tasks()

    def shutdown(self, timeout_sec: float | None = None) -> bool:
        """Ends `spin` and lets go of the nodes; may be called in another thread than the one that spins."""
        self._is_shutdown = True
        super().wake()
        if not self._spinning.acquire(timeout=-1 if timeout_sec is None else timeout_sec):
            return False
        self._held.close()  # not before: the handles are waited for
        self._spinning.release()
        return super().shutdown(timeout_sec)

    def _gather(self) -> None:
        """Takes stock of all entities. Their handles are held, so that none ends while it is waited for."""
        self._changed = False
        held = self._held
        held.close()
        lists: dict[str, list[Any]] = {kind: [] for kind in _KINDS}
        self._waitables = []
        for node in self.get_nodes():
            for kind, entities in zip(
                _KINDS, (node.timers, node.subscriptions, node.clients, node.services, node.guards), strict=True
            ):
                lists[kind] += [entity for entity in entities if entity.callback_group.can_execute(entity)]
            self._waitables += [
                waitable for waitable in node.waitables if waitable.callback_group.can_execute(waitable)
            ]
        lists["guard_condition"] += [self._guard, self._sigint_gc]
        self._entities = {kind: dict(self._hold(entities)) for kind, entities in lists.items()}
        counts = {kind: len(entities) for kind, entities in self._entities.items()}
        events = 0
        for waitable in self._waitables:
            held.enter_context(waitable)
            number = waitable.get_num_entities()
            events += number.num_events
            for kind in _KINDS:
                counts[kind] += getattr(number, f"num_{kind}s")
        held.enter_context(self.context.handle)
        self._wait_set = _rclpy.WaitSet(
            counts["subscription"], counts["guard_condition"], counts["timer"], counts["client"], counts["service"],
            events, self.context.handle,
        )  # fmt: skip

    def _hold(self, entities: list[Any]) -> list[tuple[int, Any]]:
        alive = []
        for entity in entities:
            try:
                self._held.enter_context(entity.handle)
            except InvalidHandle:  # destroyed just now, by another thread
                continue
            alive.append((entity.handle.pointer, entity))
        return alive

    def _wait(self, nanoseconds: int) -> dict[str, list[Any]]:
        """Waits until something is ready; returns what, by kind."""
        wait_set, entities = self._wait_set, self._entities
        wait_set.clear_entities()
        for kind, add in (
            ("subscription", wait_set.add_subscription), ("client", wait_set.add_client),
            ("service", wait_set.add_service), ("timer", wait_set.add_timer),
            ("guard_condition", wait_set.add_guard_condition),
        ):  # fmt: skip
            for entity in entities[kind].values():
                add(entity.handle)
        for waitable in self._waitables:
            waitable.add_to_wait_set(wait_set)
        wait_set.wait(nanoseconds)
        if not self.context.ok():
            raise ExternalShutdownException
        ready = {}
        for kind in _KINDS:
            pointers = set(wait_set.get_ready_entities(kind))
            ready[kind] = [entity for pointer, entity in entities[kind].items() if pointer in pointers]
        ready["waitable"] = [waitable for waitable in self._waitables if waitable.is_ready(wait_set)]
        return ready

    def _serve(self, ready: dict[str, list[Any]]) -> None:
        """Calls what is ready, until nothing is, its turn is over, entities have changed or the context was shut down.

        Where messages come faster than they are handled, there is always more: services and whoever spins would wait
        for ever, and a node that is told to end would not get to it.
        """
        for waitable in ready.pop("waitable"):
            self._run(waitable.execute, waitable.take_data())
        for kind in _KINDS:
            waiting, take, until = ready[kind], self._takers[kind], time.monotonic() + _TURN
            while waiting and not self._changed and not self._is_shutdown and self.context.ok():
                waiting = [entity for entity in waiting if not self._changed and take(entity)]
                while self._after:
                    self._after.pop(0)()
                if time.monotonic() > until:
                    break

    # Each of these takes one thing and returns whether there may be more of it.

    def _call_subscription(self, subscription: Any) -> bool:
        taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
        if taken is None:
            return False
        alone = subscription._callback_type is Subscription.CallbackType.MessageOnly
        self._run(subscription.callback, *(taken[:1] if alone else taken))
        return True

    def _call_timer(self, timer: Any) -> bool:
        if timer.handle.is_timer_ready():  # not cancelled meanwhile
            timer.handle.call_timer()
            self._run(timer.callback)
        return False

    def _call_client(self, client: Any) -> bool:
        header, response = client.handle.take_response(client.srv_type.Response)
        if header is None:
            return False
        try:
            future = client.get_pending_request(header.request_id.sequence_number)
        except KeyError:  # no longer wanted
            return True
        future._set_executor(self)
        future.set_result(response)
        return True

    def _call_service(self, service: Any) -> bool:
        request, header = service.handle.service_take_request(service.srv_type.Request)
        if header is None:
            return False
        answer = service.callback(request, service.srv_type.Response())
        if isinstance(answer, Future):
            answer.add_done_callback(lambda done: self._answer(1, service, done.result(), header))
        else:
            self._answer(1, service, answer, header)
        return True

    def _answer(self, count: int, service: Any, answer: Any, header: Any) -> None:
        with warnings.catch_warnings(record=True) as warned:  # that is how rclpy says that the client is not met yet
            warnings.simplefilter("always")
            service.send_response(answer, header)
        told = [one.message for one in warned if "send response" in str(one.message)]  # other threads may warn, too
        if not told:
            return
        if count < _ANSWERS:
            self._unsent.append((count + 1, service, answer, header))
            self._again = time.monotonic() + _AGAIN
        else:
            warnings.warn(f"{service.srv_name}: {told[0]}", RuntimeWarning, stacklevel=2)

    def _send_again(self) -> None:
        unsent, self._unsent = self._unsent, []
        for count, service, answer, header in unsent:
            with suppress(InvalidHandle):  # the service is gone
                self._answer(count, service, answer, header)

    def _call_guard(self, guard: Any) -> bool:
        if guard.callback is not None:
            self._run(guard.callback)
        return False

    def _run(self, callback: Callable[..., Any], *arguments: Any) -> None:
        result = callback(*arguments)
        if inspect.iscoroutine(result):
            self.create_task(result)

    def _run_tasks(self) -> None:
        """Runs what futures and coroutines left to do."""
        while self._tasks:
            with self._tasks_lock:
                tasks, self._tasks = self._tasks, []
            for task, _, _ in tasks:
                task()
                if task.done() and task.exception() is not None:
                    raise task.exception()
            unfinished = [item for item in tasks if not item[0].done()]
            with self._tasks_lock:
                self._tasks = unfinished + self._tasks
            if unfinished:
                return
