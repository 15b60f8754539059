# SPDX-License-Identifier: Apache-2.0
"""Tells the nodes that hold a simulator's readings that its world begins anew, before the new one makes any.

The stamps of readings do not tell it: soon after a reset they are those of before another one. A node that is told
throws away what it holds and what waits for it, and answers then; until all have answered, the world stands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rclpy.client import Client
from rclpy.node import Node
from std_srvs.srv import Trigger

from ir_common.ros_poll import answered

_NAME = "begin_anew"  #: of the service, below the node's
_PATIENCE = 5.0
"""s of wall time that a node has to answer; it is busy with a reading at most."""


def on_begin_anew(node: Node, handle: Callable[[], None]) -> None:
    """Has ``handle`` called, in a node that holds readings, when the world begins anew."""

    def told(request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        handle()
        response.success = True
        return response

    node.create_service(Trigger, f"~/{_NAME}", told)


class Readers:
    """The nodes that are told.

    Args:
        node: tells.
        names: full names of the nodes, as without a namespace of the stack; who makes readings of readings stands
            before those who take them.
    """

    def __init__(self, node: Node, names: Iterable[str]) -> None:
        self._node = node
        self._clients: list[Client] = [node.create_client(Trigger, f"{name}/{_NAME}") for name in names]

    def begin_anew(self) -> None:
        """Tells all that are there, one after the other, and waits until each has answered."""
        for client in self._clients:
            if client.service_is_ready() and answered(self._node, client, Trigger.Request(), _PATIENCE) is None:
                log = self._node.get_logger()
                log.warning(f"{client.srv_name} does not answer; readings of before may count there")
