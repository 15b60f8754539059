# SPDX-License-Identifier: Apache-2.0
"""REST on stand-ins: who may, what is refused and how, and that no input makes it fail."""

import pytest
import schemathesis
from doubles import SPEC, TOKEN, Web
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def web():
    return Web()


@pytest.fixture
def client(web):
    with TestClient(web.app, base_url="http://127.0.0.1", client=("127.0.0.1", 1)) as client:
        yield client


@pytest.mark.parametrize("path", ["status", "robots", "robots/cart", "slices", "slices/video", "openapi.json"])
def test_reads_are_open_on_this_machine(client, path):
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text


def test_reads_from_elsewhere_need_the_token(web):
    with TestClient(web.app, base_url="http://127.0.0.1", client=("10.0.0.9", 1)) as client:
        assert client.get("/api/v1/status").status_code == 401
        assert client.get("/api/v1/status", headers=BEARER).status_code == 200


def test_reads_under_a_foreign_name_are_refused(web):
    with TestClient(web.app, base_url="http://evil.example", client=("127.0.0.1", 1)) as client:
        assert client.get("/api/v1/status").status_code == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic c2VjcmV0"}])
@pytest.mark.parametrize(("method", "path"), [("POST", "slices"), ("PUT", "slices/video"), ("DELETE", "slices/video")])
def test_writes_need_the_token_and_change_nothing_without(web, client, method, path, headers):
    before = dict(web.slices.specs)
    answer = client.request(method, f"/api/v1/{path}", json={"name": "extra", **SPEC}, headers=headers)
    assert answer.status_code == 401 and "token" in answer.json()["detail"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert web.slices.specs == before


def test_create_from_template_and_specification_modify_delete(web, client):
    client.headers.update(BEARER)
    assert client.post("/api/v1/slices", json={"template": "video", "name": "video_2"}).status_code == 201
    assert client.post("/api/v1/slices", json={"name": "extra", **SPEC}).json()["slice"]["spec"]["rate"] == 1e6
    assert set(web.slices.specs) == {"video", "video_2", "extra"}
    assert client.put("/api/v1/slices/extra", json=SPEC | {"rate": 2e6}).status_code == 200
    assert web.slices.specs["extra"].rate == 2e6
    assert client.delete("/api/v1/slices/extra").status_code == 200
    assert client.get("/api/v1/slices/extra").status_code == 404


def test_what_is_listed_can_be_put_back(client):
    client.headers.update(BEARER)
    body = client.get("/api/v1/slices/video").json()["spec"]
    assert client.put("/api/v1/slices/video", json=body).status_code == 200
    assert client.put("/api/v1/slices/video", json=body | {"name": "other"}).status_code == 422


def test_refusals_of_the_manager_are_409_and_its_absence_503(web, client):
    client.headers.update(BEARER)
    assert client.post("/api/v1/slices", json={"template": "vidio"}).status_code == 409
    answer = client.put("/api/v1/slices/video", json=SPEC | {"rate": 1e9})
    assert answer.status_code == 409 and "does not fit" in answer.json()["detail"]
    web.slices.there = False
    assert client.get("/api/v1/slices").status_code == 503
    assert client.post("/api/v1/slices", json={"template": "video"}).status_code == 503


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"template": "Video"}', b'{"template": 3}', b"[" * 100_000,
        b'{"name": "x", "type": "embb", "rate": 1e400, "max_latency": 0.1, "reliability": 0.9}',
        b'{"name": "x", "type": "embb", "rate": NaN, "max_latency": 0.1, "reliability": 0.9}',
        b'{"name": "x", "type": "embb", "rate": -1, "max_latency": 0.1, "reliability": 0.9}',
        b'{"name": "x", "type": "embb", "rate": 1, "max_latency": 0.1, "reliability": 0.9, "colour": "red"}',
        b'{"name": "x", "type": "embb", "rate": 1, "max_latency": 0.1, "reliability": 0.9, "queue_limit": 1e30}',
        b'{"name": "x\\ud800", "type": "embb", "rate": 1, "max_latency": 0.1, "reliability": 0.9}',
    ],
)  # fmt: skip
def test_malformed_bodies_are_422_in_words(client, body):
    answer = client.post("/api/v1/slices", content=body, headers=BEARER | {"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["detail"]


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_is_refused_before_it_is_read(client, chunked):
    sent = 0

    def endless():
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b"[" * 100_000

    content = endless() if chunked else b"".join(endless())
    answer = client.post("/api/v1/slices", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413 and "larger than" in answer.json()["detail"]


def test_a_slice_that_contradicts_itself_is_refused(client):
    flow = {"topic": "odom", "direction": "uplink"}
    answer = client.put("/api/v1/slices/video", json=SPEC | {"flows": [flow, flow]}, headers=BEARER)
    assert answer.status_code == 422 and "odom (uplink) twice" in answer.json()["detail"]


def test_the_page_comes_with_a_policy_that_allows_nothing_from_elsewhere(client):
    answer = client.get("/")
    assert answer.status_code == 200 and "default-src 'self'" in answer.headers["Content-Security-Policy"]
    for word in ("http://", "https://", "//cdn"):
        assert word not in answer.text
    for name in ("main.js", "gl.js", "style.css", "icon.svg"):
        assert client.get(f"/{name}").status_code == 200


SCHEMA = schemathesis.openapi.from_asgi("/api/v1/openapi.json", Web().app)


@SCHEMA.parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_request_makes_it_fail(case):
    answer = case.call(headers=BEARER)
    assert answer.status_code < 500, answer.text
