# SPDX-License-Identifier: Apache-2.0
"""REST under /api/v1: what the stack does, and its slices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import Field, ValidationError

from ir_common.config import Config
from ir_dashboard.access import Access
from ir_dashboard.recording import Recording
from ir_dashboard.stack import NotAccepted, Pictures, Slices, Unavailable
from ir_radio.model.slice_specs import NAME, FlowSpec, SliceSpec

PREFIX = "/api/v1"

Name = Annotated[str, Path(pattern=NAME, max_length=64, description="name of the slice")]


class Agreement(Config):
    """What a slice is asked to be."""

    name: str | None = Field(None, pattern=NAME, max_length=64, description="name of the slice, as in the path")
    template_name: str = Field("", pattern=r"^([a-z][a-z0-9_]*)?$", max_length=64, description="for the record")
    type: Literal["embb", "urllc"] = Field(description="slice/service type of the S-NSSAI")
    differentiator: int = Field(0, ge=0, lt=2**24, description="slice differentiator of the S-NSSAI")
    rate: float = Field(gt=0, le=1e12, description="guaranteed rate, both directions together, bit/s")
    max_latency: float = Field(gt=0, le=3600, description="latency bound, s")
    reliability: float = Field(gt=0, lt=1, description="fraction of messages within the bound")
    priority: int = Field(1, ge=0, le=255, description="0 is served first")
    lifetime: float = Field(0.0, ge=0, le=1e9, description="ROS time after which it is deleted, 0: lives on, s")
    queue_limit: int = Field(1_000_000, gt=0, lt=2**53, description="B per link and direction")
    share: float | None = Field(None, gt=0, le=1, description="fraction of the carrier held for it; null: by its rate")
    flows: Annotated[tuple[FlowSpec, ...], Field(max_length=200)] = Field((), description="the topics that it carries")
    dedicated_share: float = Field(0.0, ge=0, le=1, description="fraction of the carrier that is its own, never lent")
    max_share: float = Field(1.0, gt=0, le=1, description="fraction of the carrier that it never exceeds")
    uplink_rate: float = Field(0.0, ge=0, le=1e12, description="guaranteed rate of uplink apart, bit/s; 0 both: rate")
    downlink_rate: float = Field(0.0, ge=0, le=1e12, description="guaranteed rate of downlink apart, bit/s")


class FromTemplate(Config):
    """A slice to be made from a template."""

    template: str = Field(pattern=NAME, max_length=64, description="name of the template")
    name: str | None = Field(None, pattern=NAME, max_length=64, description="name of the slice; none: the template's")


class FromSpecification(Agreement):
    """A slice to be made as specified."""

    name: str = Field(pattern=NAME, max_length=64, description="name of the slice")  # type: ignore[assignment]


class RecordingWish(Config):
    """Whether a bag is to be made."""

    on: bool = Field(description="true: begin one; false: end it")


class Problem(Config):
    """Why a request was not done."""

    detail: str


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "the token is missing or wrong"},
    413: {"model": Problem, "description": "the body is too large"},
    422: {"model": Problem, "description": "the request is not well formed"},
}
_SERVICES: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "the slice manager refused; detail says why"},
    503: {"model": Problem, "description": "the slice manager does not answer"},
}
_MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "there is no such thing"}}

_bearer = HTTPBearer(auto_error=False, description="the token that the dashboard printed at its start")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def router(pictures: Pictures, slices: Slices, access: Access, recording: Recording) -> APIRouter:
    """The routes."""

    def reader(request: Request, credentials: Credentials) -> None:
        client = request.client.host if request.client else ""
        if not access.may_read(client, request.headers.get("host", ""), _shown(credentials)):
            raise _unauthorized("reads from another machine need the token: Authorization: Bearer TOKEN")

    def writer(credentials: Credentials) -> None:
        if not access.may_write(_shown(credentials)):
            raise _unauthorized("writes need the token that the dashboard printed: Authorization: Bearer TOKEN")

    routes = APIRouter(prefix=PREFIX, responses=_PROBLEMS)
    read, write = [Depends(reader)], [Depends(writer)]

    @routes.get("/status", dependencies=read, summary="Everything: time, carrier, slices, robots, nodes")
    def status() -> dict[str, Any]:
        return pictures.picture()

    @routes.get("/robots", dependencies=read, summary="Totals, twin, link and pose of every robot")
    def robots() -> dict[str, Any]:
        picture = pictures.picture()
        return {name: robot | {"pose": _pose(picture, name)} for name, robot in picture["robots"].items()}

    @routes.get("/robots/{robot}", dependencies=read, responses=_MISSING, summary="One robot")
    def robot(robot: str) -> dict[str, Any]:
        every = robots()
        if robot not in every:
            raise HTTPException(404, f"there is no robot '{robot}'; robots: {', '.join(every)}")
        return every[robot]  # type: ignore[no-any-return]

    @routes.get("/slices", dependencies=read, responses={503: _SERVICES[503]}, summary="Slices in force, and templates")
    async def list_slices() -> dict[str, Any]:
        return await _asked(slices.list_slices())

    @routes.get("/slices/{name}", dependencies=read, responses=_MISSING | {503: _SERVICES[503]}, summary="One slice")
    async def get_slice(name: Name) -> dict[str, Any]:
        return await find(name)

    @routes.post("/slices", status_code=201, dependencies=write, responses=_SERVICES, summary="Create a slice")
    async def create_slice(body: FromTemplate | FromSpecification) -> dict[str, Any]:
        if isinstance(body, FromTemplate):
            return await _asked(slices.create_slice(body.template, body.name or "", None))
        return await _asked(slices.create_slice("", body.name, _spec(body, body.name)))

    @routes.put(
        "/slices/{name}", dependencies=write, responses=_SERVICES | _MISSING, summary="Replace a slice's specification"
    )
    async def modify_slice(name: Name, body: Agreement) -> dict[str, Any]:
        if body.name not in (None, name):
            raise HTTPException(422, f"name: is '{body.name}' in the body and '{name}' in the path")
        spec = _spec(body, name)
        await find(name)
        return await _asked(slices.modify_slice(spec))

    @routes.delete("/slices/{name}", dependencies=write, responses=_SERVICES | _MISSING, summary="Delete a slice")
    async def delete_slice(name: Name) -> dict[str, Any]:
        await find(name)
        return await _asked(slices.delete_slice(name))

    @routes.get("/recording", dependencies=read, summary="Whether a bag is being made, and which")
    async def get_recording() -> dict[str, Any]:
        return recording.state(time.monotonic())

    @routes.put("/recording", dependencies=write, summary="Begin a bag of all topics, or end it")
    async def record(body: RecordingWish) -> dict[str, Any]:
        try:
            if body.on:
                recording.start(time.monotonic())
            else:
                await asyncio.to_thread(recording.stop)
        except OSError as error:
            raise HTTPException(503, f"no recorder: {error}") from None
        return recording.state(time.monotonic())

    async def find(name: str) -> dict[str, Any]:
        there = {one["spec"]["name"]: one for one in (await _asked(slices.list_slices()))["slices"]}
        if name not in there:
            raise HTTPException(404, f"there is no slice '{name}'; slices: {', '.join(there) or 'none'}")
        return there[name]  # type: ignore[no-any-return]

    return routes


def _shown(credentials: HTTPAuthorizationCredentials | None) -> str:
    return credentials.credentials if credentials else ""


def _unauthorized(detail: str) -> HTTPException:
    return HTTPException(401, detail, headers={"WWW-Authenticate": "Bearer"})


def _pose(picture: dict[str, Any], robot: str) -> list[float] | None:
    """x y z (m), quaternion x y z w, in the map frame."""
    pose = picture["poses"].get(robot)
    return pose[0] if pose else None


def _spec(body: Agreement, name: str) -> SliceSpec:
    try:
        return SliceSpec.model_validate(body.model_dump() | {"name": name})
    except ValidationError as error:
        raise HTTPException(422, explain(error.errors())) from None


def explain(errors: Sequence[Any]) -> str:
    """One line on what is wrong with a body, without the input itself, which may not even be JSON."""
    parts = [
        ".".join(map(str, error["loc"])) + ": " + error["msg"].removeprefix("Value error, ") for error in errors[:5]
    ]
    return "; ".join(parts)


async def _asked(answer: Any) -> dict[str, Any]:
    """Awaits the stack and turns its refusals into answers."""
    try:
        return await answer  # type: ignore[no-any-return]
    except NotAccepted as error:
        raise HTTPException(409, str(error)) from None
    except Unavailable as error:
        raise HTTPException(503, str(error)) from None
