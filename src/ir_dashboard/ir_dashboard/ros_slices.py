# SPDX-License-Identifier: Apache-2.0
"""The slice manager's services for the web side, as coroutines of another thread's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rclpy.node import Node

from ir_common.config import ConfigError
from ir_common.ros_time import to_seconds
from ir_dashboard.stack import NotAccepted, Unavailable
from ir_dashboard.state import number
from ir_interfaces.msg import SliceSpec as SliceSpecMessage
from ir_interfaces.msg import SliceStatus
from ir_interfaces.srv import CreateSlice, DeleteSlice, ListSlices, ModifySlice
from ir_radio.model.slice_specs import SliceSpec
from ir_radio.ros.ros_slice_messages import spec_from_message, spec_to_message

_SERVICES = {"create": CreateSlice, "modify": ModifySlice, "delete": DeleteSlice, "list": ListSlices}
_POLL = 0.05  #: s


class SliceServices:
    """Clients of /slicing/*_slice.

    Args:
        node: node to own them; its executor must spin in another thread than the callers'.
        timeout: how long an answer may take, s.
    """

    def __init__(self, node: Node, timeout: float) -> None:
        self._timeout = timeout
        self._clients = {
            name: node.create_client(kind, f"/slicing/{name}_slice{'s' if name == 'list' else ''}")
            for name, kind in _SERVICES.items()
        }

    async def list_slices(self) -> dict[str, Any]:
        """As `ir_dashboard.stack.Slices`."""
        answer = await self._call("list", ListSlices.Request())
        return {
            "slices": [_status(one) for one in answer.slices],
            "templates": [_spec(one) for one in answer.templates],
        }

    async def create_slice(self, template: str, name: str, spec: SliceSpec | None) -> dict[str, Any]:
        """As `ir_dashboard.stack.Slices`."""
        message = spec_to_message(spec) if spec else SliceSpecMessage(name=name)
        answer = await self._call("create", CreateSlice.Request(template_name=template, spec=message))
        return {"slice": _status(answer.slice), "message": answer.message}

    async def modify_slice(self, spec: SliceSpec) -> dict[str, Any]:
        """As `ir_dashboard.stack.Slices`."""
        answer = await self._call("modify", ModifySlice.Request(spec=spec_to_message(spec)))
        return {"slice": _status(answer.slice), "message": answer.message}

    async def delete_slice(self, name: str) -> dict[str, Any]:
        """As `ir_dashboard.stack.Slices`."""
        return {"message": (await self._call("delete", DeleteSlice.Request(name=name))).message}

    async def _call(self, service: str, request: Any) -> Any:
        client, loop = self._clients[service], asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        while not client.service_is_ready():  # on a busy machine it is found some seconds after the start
            if loop.time() > deadline:
                raise Unavailable(f"there is no service {client.srv_name}; is the slice manager running?")
            await asyncio.sleep(_POLL)
        done: asyncio.Future[Any] = loop.create_future()

        def finish(answer: Any) -> None:
            if not done.done():
                done.set_result(answer)

        def hand_over(future: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended while the answer was on its way
                loop.call_soon_threadsafe(finish, future.result())

        future = client.call_async(request)
        future.add_done_callback(hand_over)
        try:
            answer = await asyncio.wait_for(done, self._timeout)
        except asyncio.TimeoutError:
            client.remove_pending_request(future)
            raise Unavailable(f"{client.srv_name} did not answer within {self._timeout:g} s") from None
        if not getattr(answer, "success", True):
            raise NotAccepted(answer.message)
        return answer


def _status(status: SliceStatus) -> dict[str, Any]:
    return {
        "spec": _spec(status.spec),
        "resource_blocks": number(status.resource_blocks),
        "created": to_seconds(status.created),
    }


def _spec(message: SliceSpecMessage) -> dict[str, Any]:
    try:
        return spec_from_message(message).model_dump(mode="json")
    except ConfigError as error:
        raise Unavailable(f"the slice manager sent a slice that is none: {error}") from None
