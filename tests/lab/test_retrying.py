"""The client of the laboratory, which retries."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from lab.faults import system
from lab.faults.system import RetryingTransport
from lab.serving import one_origin

FAILURES = 150
"""More than a client has connections."""


async def test_repeated_failures_use_up_no_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is answered 503 for a long time is answered at last: each try gives its connection back."""
    monkeypatch.setattr(system, "RETRY", 0)
    asked = 0

    async def answer(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return PlainTextResponse("", 503 if asked <= FAILURES else 200)

    transport = RetryingTransport(httpx.AsyncHTTPTransport())
    async with (
        asyncio.timeout(20),
        one_origin(Starlette(routes=[Route("/", answer)])) as origin,
        httpx.AsyncClient(transport=transport) as http,
    ):
        assert (await http.get(origin)).status_code == 200
    assert transport.again == FAILURES


@pytest.mark.parametrize(("stale", "answered"), [(True, 200), (False, 404)])
async def test_what_a_former_primary_does_not_know_is_asked_again(stale: bool, answered: int) -> None:
    """Only where a primary may be replaced, a 404 is asked again; elsewhere it is an answer."""
    answers = iter((404, 200))

    async def answer(request: Request) -> Response:
        return PlainTextResponse("", next(answers))

    transport = RetryingTransport(httpx.AsyncHTTPTransport(), stale=stale)
    async with (
        one_origin(Starlette(routes=[Route("/", answer)])) as origin,
        httpx.AsyncClient(transport=transport) as http,
    ):
        assert (await http.get(origin)).status_code == answered
