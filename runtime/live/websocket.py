"""Serving one WebSocket, from the handshake to its end."""

import asyncio
import json
from time import time
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from starlette.websockets import WebSocket

from runtime.errors import InvalidRequest, NotFound
from runtime.http.auth import Identity, SignedIn
from runtime.http.problems import Problem, as_problem, problem_response
from runtime.live.sockets import RENEW, TOO_BIG, Socket
from runtime.live.tickets import Ticket, TicketRefused, check_origin
from runtime.live.updates import LiveUpdates, LiveUpdatesDep
from runtime.observability.telemetry import LIVE_DROPPED

MAX_FRAME = 16 * 1024
"""Bytes of a frame from a client."""
PAUSE = 0.02
"""Seconds between two frames of one client that need the database."""
PER_PERSON = 32
"""Sockets that one account may have at one replica."""


class TooManySockets(Problem):
    """One account has many sockets open already."""

    status, code, title = 429, "too_many_sockets", "Too many connections"


async def serve_websocket(live: LiveUpdates, websocket: WebSocket) -> None:
    """Admits a client or refuses it with a problem; then sends it frames, and takes its frames, until it is gone."""
    try:
        socket = Socket(websocket, await _admitted(live, websocket))
    except Exception as error:
        await websocket.send_denial_response(problem_response(as_problem(error)))
        return
    live.enter(socket)
    try:
        try:
            await live.load_subscriptions(socket)
        except Exception as error:
            await websocket.send_denial_response(problem_response(as_problem(error)))
            return
        if socket.code is not None:  # its session has ended meanwhile
            return
        await websocket.accept()
        await _serve(live, websocket, socket)
    finally:
        live.leave(socket)
        await socket.finish()
        if socket.code is not None:
            LIVE_DROPPED.labels(live.service, str(socket.code)).inc()


async def _admitted(live: LiveUpdates, websocket: WebSocket) -> Identity:
    check_origin(websocket.headers, live.allowed)
    person = await live.tickets.redeem(websocket.query_params.get("ticket", ""))
    if len(live.presence.sockets.get(person.account_id, ())) >= PER_PERSON:
        raise TooManySockets(f"An account may have {PER_PERSON} connections. Close one first.")
    if person in live.revocations:  # it ended while the ticket was looked up, before there was a socket to close
        raise TicketRefused("The session is over.")
    return person


async def _serve(live: LiveUpdates, websocket: WebSocket, socket: Socket) -> None:
    loop = asyncio.get_running_loop()
    renew = loop.call_later(max(0.0, socket.person.expires - time()), socket.drop, RENEW, "renew")
    socket.start()
    try:
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            text = message.get("text") or ""
            if len(text.encode()) > MAX_FRAME:
                socket.drop(TOO_BIG, "at most 16 KiB")
                continue
            try:
                await _answer(live, socket, text)
            except Exception as error:
                problem = as_problem(error)
                socket.send(json.dumps({"type": "error", "code": problem.code, "detail": problem.detail}))
    finally:
        renew.cancel()


async def _answer(live: LiveUpdates, socket: Socket, text: str) -> None:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise InvalidRequest("A frame is a JSON object, in text.")
    if frame.get("type") == "ping":
        socket.send('{"type": "pong"}')
        return
    try:
        if frame.get("type") == "follow":
            if unreadable := await live.follow(socket, _ids(frame.get("conversations"))):
                raise NotFound(f"There is nothing to read: {', '.join(map(str, unreadable))}")
        elif (on_frame := live.on_frame.get(str(frame.get("type")))) is not None:
            await on_frame(socket.person, frame)
        else:
            raise InvalidRequest(f"Known types of frames: {', '.join(['ping', 'follow', *live.on_frame])}.")
    finally:
        await asyncio.sleep(PAUSE)


def _ids(conversations: object) -> set[UUID]:
    try:
        if isinstance(conversations, list):
            return {UUID(one) for one in conversations}
    except (ValueError, TypeError, AttributeError):  # the latter two for what is no string
        pass
    raise InvalidRequest('A client follows with {"conversations": ["<id>", …]}.')


def add_live_routes(router: APIRouter, *dependencies: Any) -> None:
    """Adds `POST /tickets` and `WS /live` to a service's router. The FastAPI `dependencies` may refuse tickets."""

    @router.post("/tickets", status_code=201, dependencies=dependencies)
    async def get_ticket(person: SignedIn, live: LiveUpdatesDep) -> Ticket:
        """A one-use ticket for the WebSocket; valid for half a minute."""
        return await live.tickets.issue(person)

    @router.websocket("/live")
    async def connect(websocket: WebSocket) -> None:
        await serve_websocket(websocket.app.state.live, websocket)
