# SPDX-License-Identifier: Apache-2.0
"""Whole Python objects over a stream socket between two processes of one program, without ever blocking."""

from __future__ import annotations

import pickle
import select
import socket
import struct
from typing import Any

_HEADER = struct.Struct("!Q")
_CHUNK = 1 << 18


class ObjectStream:
    """One end of a socket pair. Neither `send` nor `receive` waits for the other side.

    The other side must be trusted: objects are pickled.

    Args:
        end: one of ``socket.socketpair()``; the channel owns it.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._outgoing = memoryview(b"")
        self._queue: list[bytes] = []
        self._incoming = bytearray()

    @property
    def busy(self) -> bool:
        """Something that was sent has not left yet."""
        return bool(self._outgoing or self._queue)

    def send(self, item: Any) -> None:
        """Queues one object and writes as much as fits; call `flush` (or `receive`) until it is not `busy`.

        Raises:
            EOFError: the other side is gone.
        """
        data = pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL)
        self._queue.append(_HEADER.pack(len(data)) + data)
        self.flush()

    def flush(self) -> None:
        """Writes what the socket takes."""
        try:
            while self.busy:
                if not self._outgoing:
                    self._outgoing = memoryview(self._queue.pop(0))
                sent = self._socket.send(self._outgoing)
                self._outgoing = self._outgoing[sent:]
        except BlockingIOError:
            pass
        except OSError:
            raise EOFError("the other side is gone") from None

    def receive(self) -> list[Any]:
        """Reads at most 256 KiB; returns the objects that are complete, oldest first.

        Raises:
            EOFError: the other side is gone.
        """
        self.flush()
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            raise EOFError("the other side is gone")
        self._incoming += data
        items = []
        while len(self._incoming) >= _HEADER.size:
            end = _HEADER.size + _HEADER.unpack_from(self._incoming)[0]
            if len(self._incoming) < end:
                break
            items.append(pickle.loads(bytes(self._incoming[_HEADER.size : end])))
            del self._incoming[:end]
        return items

    def wait(self, timeout: float) -> None:
        """Waits until there is something to read (or, while `busy`, room to write), at most ``timeout`` seconds."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN | (select.POLLOUT if self.busy else 0))
        poller.poll(max(timeout, 0.0) * 1000)

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
