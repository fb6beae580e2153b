"""The shorter way of a request to its endpoint answers as the framework's."""

from collections.abc import AsyncIterator
from itertools import product
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from runtime.errors import Unauthenticated, WrongState
from runtime.http import app as apps
from runtime.http import quick
from runtime.http.app import Body, RetryOnConflict, create_app


class Wish(Body):
    """What is wished for."""

    count: Annotated[int, Field(ge=1)]
    other: Annotated[UUID | None, Field(strict=False)] = None


class Seen(BaseModel):
    """What has come to the endpoint."""

    thing_id: UUID
    who: str
    wish: Wish | None
    path: str = ""


async def _who(request: Request) -> str:
    if (name := request.headers.get("authorization")) is None:
        raise Unauthenticated("Who is it?")
    return name


Who = Annotated[str, Depends(_who)]


def routes() -> APIRouter:
    """Endpoints of each kind that has a shorter way."""
    router = APIRouter(route_class=RetryOnConflict)

    @router.post("/shop/{thing_id}", status_code=201, response_model=Seen)
    async def wish(thing_id: UUID, who: Who, http: Request, wish: Wish | None = None) -> Seen | Response:
        if wish and wish.count == 7:
            raise WrongState("Seven is enough.")
        if wish and wish.count == 8:
            return Response("eight", 202)
        return Seen(thing_id=thing_id, who=who, wish=wish, path=http.url.path)

    @router.put("/shop/{thing_id}")
    async def need(thing_id: UUID, wish: Wish) -> Seen:
        return Seen(thing_id=thing_id, who="", wish=wish)

    @router.patch("/shop/{thing_id}", response_model_exclude_none=True)
    async def shaped(thing_id: UUID, who: Who) -> Seen:
        return Seen(thing_id=thing_id, who=who, wish=None)

    @router.delete("/shop/{thing_id}")
    async def neither(thing_id: UUID, who: Who) -> Seen:
        return Seen(thing_id=thing_id, who=who, wish=None)

    return router


async def nothing_is_needed() -> dict[str, bool]:
    """It is always ready."""
    return {}


ID = "3199a578-46ec-47a0-87dd-1b80035b2082"
PATHS = (f"/shop/{ID}", f"/shop/{ID.upper()}", "/shop/x", "/shop/%00")
BODIES: tuple[bytes, ...] = (
    b"",
    b"{}",
    b"null",
    b'{"count": 1}',
    b'{"count": 7}',
    b'{"count": 8}',
    b'{"count": 0}',
    b'{"count": "1"}',
)
BODIES += b'{"count": 1, "count": 2}', b'{"count": 1, "other": "%s"}' % ID.encode(), b'{"count": 1, "more": 1}'
BODIES += (
    b"{",
    b"[]",
    b'{"count": NaN}',
    b'{"count": 1e400}',
    b"\xff",
    b'"\\ud800"',
    b" ",
    b'{"count": 1}\n',
    b"1" * 5000,
)
TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "APPLICATION/JSON",
    "application/x+json",
    "text/plain",
    "",
)
REQUESTS = [
    *product(("POST", "PUT"), PATHS[:1], BODIES, TYPES, ("Siti", "")),
    *product(("POST", "PUT", "DELETE", "PATCH"), PATHS, BODIES[:5], TYPES[:1], ("Siti", "")),
]


@pytest.fixture
async def ways(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[list[httpx.AsyncClient], list[str]]]:
    """The same service with the shorter ways and without; and the methods for which the first went the framework's."""
    slow: list[str] = []

    def watched(route: Any, framework: quick.Handler) -> quick.Handler:
        async def noted(request: Request) -> Response:
            slow.append(request.method)
            return await framework(request)

        return quick.shortened(route, noted)

    clients = []
    for shortened in (watched, lambda _, framework: framework):
        monkeypatch.setattr(apps, "shortened", shortened)
        app = create_app("shop", "", nothing_is_needed)
        app.include_router(routes())
        clients.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost"))
        await clients[-1].get("/shop/x")  # the framework makes its routes at the first request
    yield clients, slow
    for client in clients:
        await client.aclose()


async def test_both_ways_answer_alike(ways: tuple[list[httpx.AsyncClient], list[str]]) -> None:
    """Status, body and headers are the same, whatever a client sends; the valid requests went the shorter way."""
    clients, slow = ways
    for method, path, body, kind, name in REQUESTS:
        headers = {key: value for key, value in (("Content-Type", kind), ("Authorization", name)) if value}
        took = len(slow)
        answers = [await client.request(method, path, content=body, headers=headers) for client in clients]
        short, long = ((one.status_code, one.content, {**one.headers, "x-correlation-id": ""}) for one in answers)
        assert short == long, (method, path, body, kind, name)
        if (
            method != "PATCH"
            and short[0] in (200, 201, 202, 409)
            and kind in ("application/json", "")
            and body not in (b"null", b" ")
        ):
            assert len(slow) == took, (method, path, body, kind)
