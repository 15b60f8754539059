# SPDX-License-Identifier: Apache-2.0
"""Who may read and write."""

import pytest

from ir_dashboard.access import Access, is_loopback

ACCESS = Access("secret")


def test_only_the_token_writes():
    assert ACCESS.may_write("secret")
    assert not any(map(ACCESS.may_write, ["", "Secret", "secret ", "sécret", "\udc80"]))


@pytest.mark.parametrize(
    ("client", "host", "token", "may"),
    [
        ("127.0.0.1", "127.0.0.1:8080", "", True),
        ("127.0.0.1", "localhost:9000", "", True),
        ("::1", "[::1]:8080", "", True),
        ("127.0.0.1", "evil.example:8080", "", False),  # DNS rebinding
        ("127.0.0.1", "", "", False),
        ("192.168.0.7", "192.168.0.2:8080", "", False),
        ("192.168.0.7", "192.168.0.2:8080", "secret", True),
        ("192.168.0.7", "localhost", "", False),
        ("", "localhost", "", False),
    ],
)
def test_reading(client, host, token, may):
    assert ACCESS.may_read(client, host, token) is may


def test_origin_must_be_ours_where_there_is_one():
    assert ACCESS.same_origin("", "127.0.0.1:8080")
    assert ACCESS.same_origin("http://127.0.0.1:8080", "127.0.0.1:8080")
    assert not ACCESS.same_origin("http://evil.example", "127.0.0.1:8080")
    assert not ACCESS.same_origin("null", "127.0.0.1:8080")


def test_loopback():
    assert is_loopback("127.3.2.1") and is_loopback("::ffff:127.0.0.1") and is_loopback("::1")
    assert not is_loopback("10.0.0.1") and not is_loopback("example.org")
