# SPDX-License-Identifier: Apache-2.0
"""A short-lived node that asks the slice manager and listens to the radio."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor

from ir_common.ros_node import LATCHED, STREAM, LeanNode
from ir_interfaces.msg import CellReport, SliceList

_WAKE = 0.1
"""So often a wait looks whether it was interrupted, s."""


class Failed(Exception):
    """A request was refused or not answered; the text says why, in one line."""


class SliceClient:
    """The slice manager's services and topics, from outside any node; a context manager.

    Args:
        timeout: how long to wait for the manager, and for its answer, s.
        namespace: of the stack; None: what the environment says.
    """

    def __init__(self, timeout: float, namespace: str | None = None) -> None:
        self._timeout = timeout
        self._context = Context()
        rclpy.init(args=[], context=self._context)
        self._node = LeanNode(
            f"slice_cli_{os.getpid()}",
            context=self._context,
            stack=namespace,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def __enter__(self) -> SliceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown(timeout_sec=0.5)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def call(self, kind: type[Any], name: str, request: Any) -> Any:
        """The answer of the service /slicing/`name`.

        Raises:
            Failed: there is no such service, it does not answer, or it refuses.
        """
        client = self._node.create_client(kind, f"/slicing/{name}")
        domain = os.environ.get("ROS_DOMAIN_ID", "0")
        missing = f"no slice manager in ROS_DOMAIN_ID={domain} ({client.srv_name}); is the stack up? (./ir up)"
        self._wait(client.service_is_ready, missing)
        future = client.call_async(request)
        self._wait(future.done, f"{client.srv_name} did not answer within {self._timeout:g} s")
        answer = future.result()
        if not getattr(answer, "success", True):
            raise Failed(answer.message)
        return answer

    def watch(self, update: Callable[[SliceList, CellReport], bool]) -> None:
        """Hands the newest slices and each radio report to `update`, until that returns False.

        Raises:
            Failed: nothing comes.
        """
        newest: list[SliceList] = []
        reports: list[CellReport] = []
        self._node.create_subscription(SliceList, "/slicing/slices", newest.append, LATCHED)
        topic = self._node.create_subscription(CellReport, "/radio/report", reports.append, STREAM).topic_name
        silence = f"no report on {topic} within {self._timeout:g} s; is the stack up with its radio? (./ir up)"
        while True:
            self._wait(lambda: reports and newest, silence)
            del newest[:-1]
            if not update(newest[0], reports.pop()):
                return
            reports.clear()

    def _wait(self, condition: Callable[[], Any], otherwise: str) -> None:
        deadline = time.monotonic() + self._timeout
        while not condition():
            if time.monotonic() > deadline:
                raise Failed(otherwise)
            self._executor.spin_once(timeout_sec=_WAKE)
