"""The few requests that scripts send to services through this one, without seeing a token."""

import re

from fastapi import APIRouter, Request, Response

from runtime.errors import NotFound
from services.web.guard import check_same_origin
from services.web.upstream import granted
from services.web.visits import Person

router = APIRouter(prefix="/web/s/{seat}/api", include_in_schema=False)

_ID = "[0-9a-f-]{36}"
ALLOWED = re.compile(rf"POST /((chat|cs|notifications)/tickets|chat/threads/{_ID}/read)")
"""Tickets for the WebSockets, and how far a conversation was read."""


@router.post("/{path:path}")
async def pass_on(visit: Person, request: Request, path: str) -> Response:
    """The service's own answer. A JSON body, which no form can send, is required, and the same origin."""
    check_same_origin(request.headers)
    if not ALLOWED.fullmatch(f"POST /{path}"):
        raise NotFound
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        return Response(status_code=415)
    answer = await visit.pass_on("POST", f"/{path}", await request.body())
    granted(answer)
    return Response(answer.content, answer.status_code, media_type="application/json")
