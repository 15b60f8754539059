# SPDX-License-Identifier: Apache-2.0
"""A look at the ROS graph from a program that is no node of the stack."""

from __future__ import annotations

import rclpy
from rclpy.context import Context


class GraphView:
    """Sees the nodes of a ROS graph, between ``with`` and its end; in a context of its own, so that any program may."""

    def __enter__(self) -> GraphView:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("_ir_look", context=self._context, enable_rosout=False)
        return self

    def nodes(self) -> set[str]:
        """Full names of the nodes seen so far."""
        return {f"{space.rstrip('/')}/{name}" for name, space in self._node.get_node_names_and_namespaces()}

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()
