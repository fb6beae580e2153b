"""The documentation of the HTTP interfaces and the events. Works offline."""

import asyncio
import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from contracts import EVENTS, asyncapi
from runtime.messaging.envelope import Event
from services.web.lessons.prose import phrase
from services.web.operations import anchor, operations
from services.web.shapes import Field, Shapes
from services.web.upstream import SERVICES, ServiceAway, granted
from services.web.visits import Public, Visit

router = APIRouter(prefix="/web", include_in_schema=False)

_CANCELS = "POST /orders/{order_id}/cancel"
WAYS = {
    "app": ("POST /accounts/token", "GET /orders", "GET /orders/cancel-reasons", _CANCELS, "GET /refunds/wallet"),
    "web": ("POST /accounts/token", "GET /orders/{order_id}", _CANCELS, "GET /refunds"),
    "chat": (
        *("POST /chat/threads", "POST /chat/threads/{thread_id}/messages"),
        *("POST /chat/threads/{thread_id}/guide", "POST /chat/threads/{thread_id}/cancel"),
    ),
    "cs": (
        *("POST /cs/cases", "PUT /cs/duty", "POST /cs/cases/{case_id}/order"),
        *("POST /cs/cases/{case_id}/contact-seller", "POST /cs/cases/{case_id}/rate"),
    ),
}
"""The requests of each of the four ways, in order."""


@dataclass(frozen=True)
class EventPage:
    """One event, as it is shown."""

    event: type[Event]
    text: str
    keys: list[str]
    fields: list[Field]
    example: str


@router.get("/docs")
async def overview(visit: Public) -> Response:
    """The four ways as requests, and all operations of each service."""
    documents = await asyncio.gather(*(_document(visit, name) for name in SERVICES))
    offered = {
        name: None if document is None else (document["info"]["description"], operations(document))
        for name, document in zip(SERVICES, documents, strict=True)
    }
    return visit.page("docs.html", offered=offered, ways=WAYS.items(), anchor=anchor, phrase=phrase)


@router.get("/docs/{service}")
async def service_page(visit: Public, service: Annotated[str, Path(pattern=f"^({'|'.join(SERVICES)})$")]) -> Response:
    """All operations of one service, with shapes, refusals and examples."""
    document = await _document(visit, service)
    if document is None:
        raise ServiceAway
    found = operations(document)
    return visit.page(
        "docs_service.html",
        phrase=phrase,
        service=service,
        services=SERVICES,
        text=document["info"]["description"],
        groups={one.group: [other for other in found if other.group == one.group] for one in found},
    )


@router.get("/events")
async def events(visit: Public) -> Response:
    """The events that travel between the services."""
    return visit.page("docs_events.html", phrase=phrase, events=_events())


@router.get("/asyncapi.json")
async def asyncapi_document() -> Response:
    """The same as AsyncAPI 3, for tools."""
    return JSONResponse(asyncapi.document())


async def _document(visit: Visit, service: str) -> Any:
    try:
        return granted(await visit.dependencies.upstream.ask("GET", f"/{service}/openapi.json"))
    except ServiceAway:
        return None


def _events() -> list[EventPage]:
    document = asyncapi.document()
    shapes = Shapes(document)
    found = []
    for event in EVENTS:
        message = document["components"]["messages"][event.wire_name]
        example = shapes.example(message["payload"])
        example |= {"type": event.wire_name, "dataschema": event.dataschema(), "source": event.published_by[0]}
        keys = [key for key in document["channels"] if key.endswith(f".{event.wire_name}")]
        fields = shapes.fields({"$ref": f"#/components/schemas/{event.__name__}"})
        written = json.dumps(example, indent=2, ensure_ascii=False)
        found.append(EventPage(event, message["summary"], keys, fields, written))
    return found
