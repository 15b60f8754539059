# SPDX-License-Identifier: Apache-2.0
"""A program's node, whose end the middleware cannot hold up."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

LET_GO_WITHIN = 5.0
"""s that the middleware has for its end."""


@contextmanager
def bag_node(name: str) -> Iterator[Node]:
    """A node that nobody spins. What the program has to write and to say must be done inside.

    Fast DDS may wait for itself for ever where readers end just as other participants leave. As nothing depends on its
    end any more, the process then ends without it: status 0, or 1 after an exception.
    """
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node, status = Node(name, enable_rosout=False, start_parameter_services=False), 1
    try:
        yield node
        status = 0
    finally:
        patience = threading.Timer(LET_GO_WITHIN, _leave, (status,))
        patience.daemon = True
        patience.start()
        node.destroy_node()
        rclpy.try_shutdown()
        patience.cancel()


def _leave(status: int) -> None:
    print(f"the middleware did not end within {LET_GO_WITHIN:g} s: left without it", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)
