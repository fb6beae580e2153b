"""The simulator's application: `build(settings)`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from runtime.http.hosts import CheckHost
from simulators.dana import checks, control, desk, replies
from simulators.dana.faults import Fault, Faults, Mode
from simulators.dana.journal import Entry, Journal
from simulators.dana.replies import Refused, Reply, Service
from simulators.dana.signature import public_key


@dataclass(frozen=True)
class Settings:
    """`partner_key` is the PEM of the public key by which the partner's requests are verified."""

    partner_id: str
    partner_key: bytes
    journal: Path
    control: bool = True
    """Whether there is the control interface."""
    allowed_hosts: frozenset[str] = frozenset()


class Simulator(FastAPI):
    """FastAPI with access to the transport: ASGI cannot close a connection without a response, the transport can."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["dana.transport"] = getattr(getattr(send, "__self__", None), "transport", None)
        await super().__call__(scope, receive, send)


def build(settings: Settings) -> FastAPI:
    """Builds the simulator. Its journal and faults are `app.state.journal` and `app.state.faults`. Without a server's
    lifespan (as with httpx.ASGITransport), call `app.state.journal.close()` at the end."""
    faults = Faults()
    journal = Journal(settings.journal)
    partner = checks.Partner(settings.partner_id, public_key(settings.partner_key))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        faults.stop()
        journal.close()

    app = Simulator(title="DANA simulator", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.faults, app.state.journal = faults, journal
    app.add_middleware(CheckHost, names=["dana", *settings.allowed_hosts])
    if settings.control:
        app.include_router(control.router(faults, journal))

    @app.exception_handler(RequestValidationError)
    async def not_valid(_: Request, error: RequestValidationError) -> Response:
        errors = [{"loc": list(one["loc"]), "msg": one["msg"]} for one in error.errors()]
        return JSONResponse({"detail": errors}, 422)  # without the input, which may not be valid JSON

    async def serve(service: Service, request: Request) -> Response:
        await request.body()  # first of all: it cannot be read once the caller has disconnected
        fault = faults.take(service)
        match fault.mode:
            case Mode.DOWN:
                await note(service, fault, Reply(503, "00", "Service Unavailable"))
                return PlainTextResponse("503 Service Unavailable", 503)
            case Mode.THROTTLE:
                return answer(service, await note(service, fault, replies.THROTTLED))
            case Mode.DROP_BEFORE:
                await note(service, fault, replies.TIMED_OUT)
                return await hang_up(request)
            case Mode.TIMEOUT_BEFORE:
                await note(service, fault, replies.TIMED_OUT)
                await faults.hang(fault)
                return answer(service, replies.TIMED_OUT)
            case Mode.SLOW:
                await faults.hang(fault)
        reply = await carry_out(service, request, fault)
        match fault.mode:
            case Mode.TIMEOUT_AFTER:
                await faults.hang(fault)
                return answer(service, replies.TIMED_OUT)
            case Mode.DROP_AFTER:
                return await hang_up(request)
        return answer(service, reply)

    async def note(service: Service, fault: Fault, reply: Reply) -> Reply:
        return await journal.record(Entry(service, fault.mode.value), lambda _: reply)

    async def carry_out(service: Service, request: Request, fault: Fault) -> Reply:
        body = await request.body()
        mode, external_id = fault.mode.value, None
        try:
            external_id = checks.authenticate(request.headers, body, service, partner, datetime.now(UTC))
            match service:
                case Service.TOP_UP:
                    wanted = checks.read_top_up(body)
                    entry = Entry(service, mode, external_id, wanted.reference, wanted.number)
                    return await journal.record(entry, lambda tx: desk.top_up(tx, wanted, fault))
                case Service.STATUS:
                    reference = checks.read_status(body)
                    entry = Entry(service, mode, external_id, reference)
                    return await journal.record(entry, lambda tx: desk.status(tx, reference))
                case Service.INQUIRY:
                    number = checks.read_inquiry(body)
                    entry = Entry(service, mode, external_id, number=number)
                    return await journal.record(entry, lambda tx: desk.inquiry(tx, number))
        except Refused as refused:
            reply = refused.reply
            return await journal.record(Entry(service, mode, external_id), lambda _: reply)

    for service in Service:
        app.add_api_route(service.path, partial(serve, service), methods=["POST"])

    @app.get("/health/live")
    async def live() -> dict[str, Any]:
        return {"status": "ok"}

    return app


def answer(service: Service, reply: Reply) -> Response:
    """The response with this reply."""
    return JSONResponse(reply.body(service), reply.status)


async def hang_up(request: Request) -> Response:
    """Closes the connection. Without one, the caller in the same process gets the exception of httpx."""
    transport: asyncio.Transport | None = request.scope["dana.transport"]
    if transport is None:
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
    transport.abort()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response()
