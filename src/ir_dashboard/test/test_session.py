# SPDX-License-Identifier: Apache-2.0
"""The page's socket on stand-ins: pictures, driving, dead-man, take-over, nonsense."""

import time

import pytest
from doubles import TOKEN, Web
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

DEAD_MAN = 0.15


@pytest.fixture
def web():
    return Web(DEAD_MAN)


@pytest.fixture
def client(web):
    with TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        yield client


def hello(socket, token=TOKEN):
    socket.send_json({"token": token})
    return socket.receive_json()


def heard(socket, key):
    """The next message with a key."""
    for _ in range(50):
        message = socket.receive_json()
        if key in message:
            return message[key]
    pytest.fail(f"no {key}")


def test_first_message_has_everything_then_pictures_come(web, client):
    with client.websocket_connect("ws://127.0.0.1/live") as socket:
        first = hello(socket)
        assert {"you", "writes", "order", "rows", "slices", "robots", "nodes", "poses"} <= set(first) and first[
            "writes"
        ]
        web.hub.publish('{"time":1.5}', {1: b"\x01jpeg"})
        assert heard(socket, "time") == 1.5
        assert socket.receive_bytes() == b"\x01jpeg"
        socket.send_json({"ping": 7})
        assert heard(socket, "pong") == 7


def test_driving_and_the_dead_man(web, client):
    with client.websocket_connect("ws://127.0.0.1/live") as socket:
        you = hello(socket)["you"]
        socket.send_json({"take": "cart"})
        socket.send_json({"cmd": ["cart", 1, 0.0]})
        web.port.until(lambda: any(v[0] > 0.99 for _, v in web.port.sent))
        moved = time.monotonic()
        web.port.until(lambda: web.port.sent[-1] == ("cart", (0.0, 0.0)))
        assert time.monotonic() - moved < DEAD_MAN + 0.15
        assert web.desk.seats["cart"].driver == you  # silent, but still there
        socket.send_json({"release": "cart"})
        web.port.until(lambda: web.port.holds == [("cart", True), ("cart", False)])


def test_closing_stops_at_once_and_holds(web, client):
    with client.websocket_connect("ws://127.0.0.1/live") as socket:
        hello(socket)
        socket.send_json({"take": "cart"})
        socket.send_json({"cmd": ["cart", 1, 0]})
        web.port.until(lambda: any(v[0] > 0.99 for _, v in web.port.sent))
    web.port.until(lambda: web.port.sent[-1] == ("cart", (0.0, 0.0)) and not web.desk.seats["cart"].driver)
    assert web.desk.seats["cart"].held and web.port.holds == [("cart", True)]


def test_two_drivers(web, client):
    with (
        client.websocket_connect("ws://127.0.0.1/live") as ann,
        client.websocket_connect("ws://127.0.0.1/live") as bob,
    ):
        hello(ann)
        bob_is = hello(bob)["you"]
        ann.send_json({"take": "cart"})
        web.port.until(lambda: web.desk.seats["cart"].driver)
        bob.send_json({"take": "cart"})
        assert "has a driver" in heard(bob, "error")
        bob.send_json({"cmd": ["cart", 1, 0]})
        assert "do not drive" in heard(bob, "error")
        bob.send_json({"take": "cart", "over": True})
        web.port.until(lambda: web.desk.seats["cart"].driver == bob_is)
        ann.send_json({"cmd": ["cart", 1, 0]})
        assert "do not drive" in heard(ann, "error")
        assert all(velocity == (0.0, 0.0) for _, velocity in web.port.sent)


def test_without_the_token_one_may_look_but_not_drive(web, client):
    with client.websocket_connect("ws://127.0.0.1/live") as socket:
        assert hello(socket, "")["writes"] is False
        socket.send_json({"take": "cart"})
        assert "token" in heard(socket, "error")
        assert not web.port.sent and not web.port.holds


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "[]", "1", '{"take": 3}', '{"take": "hopper"}', '{"cmd": []}', '{"cmd": ["cart", "a", 0]}',
        '{"cmd": ["cart", NaN, 0]}',
        '{"cmd": ["cart", 1e999, 0]}', '{"release": []}', '{"release": "nobody"}', '{"over": true}', '{"ping": "x"}',
        '{"seen": -5}', '{"seen": 1e99}', "[" * 50_000,
    ],
)  # fmt: skip
def test_nonsense_is_answered_or_ignored_and_the_socket_lives_on(web, client, text):
    with client.websocket_connect("ws://127.0.0.1/live") as socket:
        hello(socket)
        socket.send_json({"take": "cart"})
        socket.send_text(text)
        socket.send_json({"ping": 1})
        assert heard(socket, "pong") == 1
        assert all(velocity == (0.0, 0.0) for _, velocity in web.port.sent)


def test_a_page_of_another_site_is_turned_away(client):
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://127.0.0.1/live", headers={"Origin": "http://evil.example"}) as socket,
    ):
        hello(socket)


def test_another_machine_needs_the_token_even_to_look(web):
    with TestClient(web.app, base_url="http://127.0.0.1", client=("10.0.0.9", 1)) as client:
        with client.websocket_connect("ws://127.0.0.1/live") as socket:
            socket.send_json({"token": ""})
            with pytest.raises(WebSocketDisconnect):
                socket.receive_json()
        with client.websocket_connect("ws://127.0.0.1/live") as socket:
            assert hello(socket)["writes"]
