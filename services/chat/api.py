"""The HTTP interface of `chat`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from contracts.chat import SellerReplied
from contracts.orders import Pieces
from runtime.errors import InvalidRequest, NotFound
from runtime.http.app import Body, Limit, RetryOnConflict, Seq, UnitOfWorkDep
from runtime.http.auth import Buyer, BuyerOrSeller, Identity, Seller, SignedIn
from runtime.http.idempotency import Key, KeyRequired, OncePerKey
from runtime.http.rate_limit import RateLimit
from runtime.http.text import BlankIsNone, Printable, Visible
from runtime.live.updates import LiveUpdatesDep
from runtime.live.websocket import add_live_routes
from runtime.messaging.unit_of_work import Transaction, UnitOfWork
from runtime.observability.trace_context import current_context, new_id, use_context
from services.chat import asking, domain, read_models, store, views, words
from services.chat.domain import Code, Draft, Kind, Thread
from services.chat.thread_writer import NoThread, ThreadWriter
from services.chat.views import MessagePage, MessageView, ReadView, Requested, ThreadPage, ThreadView, other_than

MAX_LINES = 20
"""Of an order."""

router = APIRouter(prefix="/chat", tags=["chat"], route_class=RetryOnConflict)
add_live_routes(router)


class NewThread(Body):
    """The order that the thread is about."""

    order_id: Annotated[UUID, Field(strict=False)]


class NewMessage(Body):
    """The text of a message."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), Visible]


class Read(Body):
    """The last message that was read."""

    seq: Annotated[int, Field(ge=0, le=2**31 - 1)]


class ReadFrame(BaseModel):
    """A frame of the type `read`: the last message of a thread that was read."""

    thread_id: UUID
    seq: int = Field(ge=0, le=2**31 - 1)


class Line(Body):
    """Some pieces of one product."""

    product_id: Annotated[UUID, Field(strict=False)]
    quantity: Annotated[int, Field(ge=1, le=2**31 - 1)]


class Cancel(Body):
    """The pieces to cancel, all that are left without `lines`; the seller's reason, if any."""

    lines: Annotated[list[Line], Field(min_length=1, max_length=MAX_LINES)] | None = None
    reason: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=500), Printable] | None, BlankIsNone
    ] = None


async def _rate_limit(request: Request) -> RateLimit:
    rate_limit: RateLimit = request.app.state.rate_limit
    return rate_limit


async def _threads(request: Request) -> ThreadWriter:
    threads: ThreadWriter = request.app.state.threads
    return threads


Threads = Annotated[ThreadWriter, Depends(_threads)]
MessageLimit = Annotated[RateLimit, Depends(_rate_limit)]
PageCursor = Annotated[
    str | None,
    Query(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}T([0-9]{2}:){2}[0-9]{2}\.[0-9]{6}Z~[0-9a-f-]{36}$",
        description="`next` of the page before",
    ),
]


@router.post("/threads", status_code=201, responses={200: {"description": "There is one already", "model": ThreadView}})
async def open_thread(
    body: NewThread, buyer: Buyer, uow: UnitOfWorkDep, threads: Threads, live: LiveUpdatesDep, response: Response
) -> ThreadView:
    """Opens the thread about an order of the buyer. If there is one already, the answer is 200 with that one."""
    async with uow.begin() as tx:
        order = await read_models.order(tx, body.order_id)
        if order is None or not order.placed or order.buyer_id != buyer.account_id:
            raise NotFound("There is no such order.")
        made = await store.make_thread(tx, new_id(), order)
        thread = await store.thread_of(tx, body.order_id)
        assert thread is not None
        if made:
            await threads.send(tx, thread.thread_id)
    response.status_code = 201 if made else 200
    return (await _shown([thread], buyer, live))[0]


@router.get("/threads")
async def list_threads(
    person: SignedIn,
    uow: UnitOfWorkDep,
    live: LiveUpdatesDep,
    order_id: UUID | None = None,
    demanded: bool = False,
    limit: Limit = 50,
    cursor: PageCursor = None,
) -> ThreadPage:
    """The account's own threads, the newest activity first; `demanded`: only those with a `demand`. With `order_id` the
    thread about that order; agents have no threads of their own, and find any by its order."""
    async with uow.begin() as tx:
        if order_id is not None:
            found = await store.thread_of(tx, order_id)
            threads = [found] if found is not None and views.may_read(found, person) else []
        elif person.role == "agent":
            threads = []
        else:
            selling = person.role == "seller"
            before = _parse_cursor(cursor)
            threads = await store.page(
                tx, person.account_id, selling=selling, demanded=demanded, before=before, limit=limit
            )
    items = await _shown(threads, person, live)
    full = len(threads) == limit and order_id is None
    return ThreadPage(items=items, next=_cursor(threads[-1]) if full else None)


@router.get("/threads/{thread_id}")
async def get_thread(thread_id: UUID, person: SignedIn, uow: UnitOfWorkDep, live: LiveUpdatesDep) -> ThreadView:
    """The thread, for its members and agents."""
    async with uow.begin() as tx:
        thread = await _readable(tx, thread_id, person)
    return (await _shown([thread], person, live))[0]


@router.get("/threads/{thread_id}/messages")
async def list_messages(
    thread_id: UUID, person: SignedIn, uow: UnitOfWorkDep, after: Seq = 0, limit: Limit = 50
) -> MessagePage:
    """The messages after the number `after`, in their order, which is without gaps: 1, 2, 3, …"""
    async with uow.begin() as tx:
        thread = await _readable(tx, thread_id, person)
        messages = await store.messages(tx.connection, thread_id, after, limit)
    more = bool(messages) and messages[-1].seq < thread.last_seq
    return MessagePage(
        items=messages,
        next=messages[-1].seq if more else None,
        quick_replies=views.quick_replies(thread, person.account_id),
    )


@router.post("/threads/{thread_id}/messages", status_code=201, response_model=MessageView)
async def send_message(
    thread_id: UUID, body: NewMessage, person: BuyerOrSeller, once: OncePerKey, threads: Threads, limit: MessageLimit
) -> Response:
    """Sends a message. A message of the seller also answers the questions of customer service."""

    async def send(tx: Transaction) -> MessageView:
        posted = await threads.say(tx, thread_id, Draft(Kind.TEXT, person.account_id, body.text))
        if posted is None:
            raise NoThread
        if person.account_id == posted.seller_id:
            ids = {"order_id": posted.order_id, "seller_id": person.account_id}
            for case_id, context in await read_models.answer_questions(tx, posted.order_id, current_context()):
                with use_context(context):  # the case's, not that of the seller's request
                    tx.publish(SellerReplied(case_id=case_id, **ids))
        return MessageView(posted.message)

    whose = str(person.account_id)
    return await once(whose, send, limit=limit.one(whose))


@router.post("/threads/{thread_id}/read")
async def mark_read(
    thread_id: UUID, body: Read, person: BuyerOrSeller, uow: UnitOfWorkDep, threads: Threads
) -> ReadView:
    """Says that one has seen the thread up to `seq`; what was seen stays seen."""
    async with uow.begin() as tx:
        return await threads.mark_read(tx, thread_id, person, body.seq)


@router.post("/threads/{thread_id}/guide", status_code=201, response_model=MessageView)
async def send_guide(
    thread_id: UUID, seller: Seller, once: OncePerKey, threads: Threads, limit: MessageLimit
) -> Response:
    """Sends the card that opens the cancel dialog of the thread's order (A), in answer to the buyer's message (M)."""

    async def send(tx: Transaction) -> MessageView:
        thread = await _own(tx, thread_id, seller)
        domain.check_guide(thread)
        known: dict[str, str | int] = {"order_id": str(thread.order_id)}
        guide = Draft(Kind.GUIDE, seller.account_id, words.GUIDE, Code.CANCEL_GUIDE, known)
        posted = await threads.say(tx, thread_id, guide)
        assert posted is not None
        return MessageView(posted.message)

    whose = str(seller.account_id)
    return await once(whose, send, limit=limit.one(whose))


@router.post("/threads/{thread_id}/cancel", status_code=202, response_model=Requested)
async def cancel(
    thread_id: UUID, seller: Seller, once: OncePerKey, threads: Threads, body: Cancel | None = None, key: Key = None
) -> Response:
    """The seller cancels the order, or pieces of it, which counts against the seller's score (A). `orders` decides, and
    the thread shows the outcome. Meanwhile a repeat is the same request; another one is refused. With `lines` an
    `Idempotency-Key` is required: or else a repeat after the decision would cancel more pieces."""
    reason = body.reason if body else None
    lines = tuple(Pieces(**vars(line)) for line in body.lines) if body and body.lines else None
    if lines and key is None:
        raise KeyRequired("Send an Idempotency-Key, so that a repeated request cancels no further pieces.")

    async def ask(tx: Transaction) -> Requested:
        thread = await _own(tx, thread_id, seller)
        domain.check_cancel(thread, reason, lines)
        if thread.pending is not None:
            return Requested(cancellation_id=thread.pending)
        request = await asking.ask(tx, thread, new_id(), reason, lines)
        tx.publish(request)
        await threads.send(tx, thread_id)
        return Requested(cancellation_id=request.cancellation_id)

    return await once(str(seller.account_id), ask, 202)


async def _own(tx: Transaction, thread_id: UUID, seller: Identity) -> Thread:
    await store.lock_threads(tx, [thread_id])
    thread = await store.thread(tx, thread_id)  # by a statement of its own, which sees what the lock has waited for
    if thread is None or thread.seller_id != seller.account_id:
        raise NoThread
    return thread


async def _readable(tx: Transaction, thread_id: UUID, person: Identity) -> Thread:
    thread = await store.thread(tx, thread_id)
    if thread is None or not views.may_read(thread, person):
        raise NoThread
    return thread


async def _shown(threads: Sequence[Thread], person: Identity, live: LiveUpdatesDep) -> list[ThreadView]:
    account_id = person.account_id
    online = await live.online({other_than(thread, account_id) for thread in threads})
    return [views.show_thread(thread, account_id, other_than(thread, account_id) in online) for thread in threads]


async def read_frame(threads: ThreadWriter, uow: UnitOfWork, person: Identity, frame: Mapping[str, Any]) -> None:
    """A frame of the type `read` marks a thread as read up to `seq`. Raises `InvalidRequest` and `NoThread`."""
    try:
        read = ReadFrame.model_validate(frame)
    except ValidationError as error:
        raise InvalidRequest('{"type": "read", "thread_id": "…", "seq": 1}') from error
    async with uow.begin() as tx:
        await threads.mark_read(tx, read.thread_id, person, read.seq)


def _cursor(thread: Thread) -> str:
    return f"{thread.active_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}~{thread.thread_id}"


def _parse_cursor(cursor: str | None) -> tuple[datetime, UUID] | None:
    if cursor is None:
        return None
    at, _, thread_id = cursor.partition("~")
    try:
        return datetime.fromisoformat(at), UUID(thread_id)
    except ValueError as error:
        raise InvalidRequest("cursor: this is none; send the `next` of the page before") from error
