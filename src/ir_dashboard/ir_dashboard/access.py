# SPDX-License-Identifier: Apache-2.0
"""Who may read and who may write."""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Access:
    """The rules: reads are open to this machine; writes, and reads from elsewhere, need the token.

    A page of another site that the user's browser shows could ask this server too, as if from this machine. So what
    comes over loopback must address it by a local name (against DNS rebinding), and a socket must come from its page.

    Args:
        token: what a writer must show.
    """

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def may_write(self, token: str) -> bool:
        """Is this the token?"""
        return hmac.compare_digest(token.encode(errors="replace"), self._token)

    def may_read(self, client: str, host: str, token: str) -> bool:
        """May a client at this address, which addresses the server by the Host header `host`, read?"""
        return (is_loopback(client) and (_name(host) in _LOCAL_NAMES)) or self.may_write(token)

    @staticmethod
    def same_origin(origin: str, host: str) -> bool:
        """Does a socket's Origin header, empty for programs that are no browser, agree with its Host header?"""
        return not origin or urlsplit(origin).netloc == host


def is_loopback(address: str) -> bool:
    """Is this an address of this machine only?"""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address == "localhost"
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
