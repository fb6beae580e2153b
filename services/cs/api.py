"""The HTTP interface of `cs`."""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import Field, StringConstraints
from starlette.websockets import WebSocket

from contracts.cs import Outcome, SellerContacted
from runtime.errors import NotFound, RateLimited, WrongRole
from runtime.http.app import Body, Cursor, Limit, Page, RetryOnConflict, Seq, UnitOfWorkDep
from runtime.http.auth import Buyer, BuyerOrAgent, Identity, SignedIn
from runtime.http.idempotency import OncePerKey
from runtime.http.rate_limit import RateLimit
from runtime.http.text import BlankIsNone, Printable, Visible
from runtime.live.tickets import Ticket
from runtime.live.updates import LiveUpdates
from runtime.live.websocket import serve_websocket
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context, new_id
from services.cs import agents, domain, store, words
from services.cs.agent_presence import AgentPresence
from services.cs.domain import ANSWER_WITHIN, Case, State
from services.cs.office import ASK_SELLER_AGAIN, SELLER_SILENT, Office
from services.cs.views import CaseView, DutyView, Messages, MessageView, show

router = APIRouter(prefix="/cs", tags=["cs"], route_class=RetryOnConflict)

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), Visible]


MAX_ORDERS, ORDERS_WITHIN = 20, timedelta(hours=1)
"""How many orders one buyer may hand over."""


@dataclass(frozen=True)
class Dependencies:
    """What the routes work with, besides the database."""

    office: Office
    presence: AgentPresence
    live: LiveUpdates
    rate_limit: RateLimit


class Words(Body):
    """What somebody says."""

    text: Text


class Opening(Words):
    """What a case begins with; `agent_id` asks for an agent who takes only such cases."""

    agent_id: Annotated[UUID | None, Field(strict=False)] = None


class Duty(Body):
    """Whether one is on duty; `reserved`: only for those who ask for this agent."""

    on: bool
    reserved: bool = False


class HandOver(Body):
    """The order that it is about."""

    order_id: Annotated[UUID, Field(strict=False)]


class Ask(Body):
    """What to ask the seller; without it, the usual."""

    question: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), Printable] | None, BlankIsNone
    ] = None


class Close(Body):
    """How the case ended."""

    outcome: Annotated[Outcome, Field(strict=False)]


class Rate(Body):
    """How it was."""

    rating: Annotated[int, Field(ge=1, le=5)]


async def _dependencies(request: Request) -> Dependencies:
    dependencies: Dependencies = request.app.state.dependencies
    return dependencies


Inside = Annotated[Dependencies, Depends(_dependencies)]


async def _agent(person: SignedIn, dependencies: Inside) -> Identity:
    if person.role != "agent":
        raise WrongRole("Only for: agent.")
    dependencies.presence.saw(person.account_id)
    return person


async def _either(person: BuyerOrAgent, dependencies: Inside) -> Identity:
    if person.role == "agent":
        dependencies.presence.saw(person.account_id)
    return person


Agent = Annotated[Identity, Depends(_agent)]
Either = Annotated[Identity, Depends(_either)]


class _OpenAlready(Exception):
    pass


class _OverMeanwhile(Exception):
    pass


@router.post(
    "/cases",
    status_code=201,
    response_model=CaseView,
    responses={200: {"description": "There is an open one already, in which it was said", "model": CaseView}},
)
async def open_case(body: Opening, buyer: Buyer, once: OncePerKey, dependencies: Inside) -> Response:
    """Opens a case: waiting in the queue, or connected at once. Who has an open case says it there, and gets that one
    (200)."""
    office, owner = dependencies.office, str(buyer.account_id)

    async def create(tx: Transaction) -> CaseView:
        await office.take_turn(tx)  # the order of arrival is the order of commits
        context, asks_for = current_context(), body.agent_id
        if asks_for and not await agents.is_reserved(tx, asks_for):
            raise domain.AgentNotAvailable("This agent is not on duty for those who ask for it.")
        case = await store.open_case(
            tx, new_id(), buyer.account_id, context.correlation_id, context.traceparent, asks_for
        )
        if case is None:
            raise _OpenAlready
        await office.say(tx, case, body.text, buyer.account_id)
        if not asks_for and not await agents.on_duty(tx):
            await office.say(tx, case, words.NOBODY_ON_DUTY)
        await office.give_cases(tx)
        return await _shown(tx, await store.read(tx, case.case_id))

    async def go_on(tx: Transaction) -> CaseView:
        case = await store.lock_open_case_of(tx, buyer.account_id)
        if case is None:
            raise _OverMeanwhile
        with office.telling(case):
            await office.say(tx, case, body.text, buyer.account_id)
        return await _shown(tx, case)

    while True:
        try:
            async with office.turn:
                return await once(owner, create)
        except _OpenAlready:
            with suppress(_OverMeanwhile):
                return await once(owner, go_on, status=200, limit=dependencies.rate_limit.one(owner))


@router.get("/cases")
async def list_cases(
    person: Either,
    uow: UnitOfWorkDep,
    state: State | None = None,
    buyer_id: Annotated[UUID | None, Query(description="for agents: the history of this buyer")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CaseView]:
    """A buyer's cases, or those that are or were with an agent, newest first. For an agent `?state=waiting` is the
    whole queue, from the front."""
    async with uow.begin() as tx:
        if person.role == "buyer":
            cases = await store.of_buyer(tx, person.account_id, state, cursor, limit)
        elif buyer_id is not None:
            cases = await store.of_buyer(tx, buyer_id, state, cursor, limit)
        elif state is State.WAITING:
            cases = await store.queue(tx, cursor, limit)
        else:
            cases = await store.of_agent(tx, person.account_id, state, cursor, limit)
        items = await show(tx, cases)
    return Page(items=items, next=items[-1].case_id if len(items) == limit else None)


@router.get("/cases/{case_id}")
async def get_case(case_id: UUID, person: Either, uow: UnitOfWorkDep) -> CaseView:
    """The case, for its buyer and agents."""
    async with uow.begin() as tx:
        return await _shown(tx, _readable(await store.read(tx, case_id), person))


@router.get("/cases/{case_id}/messages")
async def get_messages(
    case_id: UUID,
    person: Either,
    uow: UnitOfWorkDep,
    after: Seq = 0,
    limit: Limit = 100,
) -> Messages:
    """What was said in the case, for its buyer and agents."""
    async with uow.begin() as tx:
        _readable(await store.read(tx, case_id), person)
        items = [MessageView(**vars(one)) for one in await store.messages(tx.connection, case_id, after, limit)]
    return Messages(items=items, next=items[-1].seq if len(items) == limit else None)


@router.post("/cases/{case_id}/messages", status_code=201, response_model=MessageView)
async def post_message(case_id: UUID, body: Words, person: Either, once: OncePerKey, dependencies: Inside) -> Response:
    """Says something in the case: its buyer, who may be waiting still, or its agent."""

    async def say(tx: Transaction) -> MessageView:
        case = _readable(await store.lock(tx, case_id), person)
        if person.role == "agent":
            domain.check_agent(case, person.account_id)
        domain.check_open(case)
        with dependencies.office.telling(case):
            return MessageView(**vars(await dependencies.office.say(tx, case, body.text, person.account_id)))

    whose = str(person.account_id)
    return await once(whose, say, limit=dependencies.rate_limit.one(whose))


@router.get("/duty")
async def get_duty(agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> DutyView:
    """Whether one is on duty, and what there is to do."""
    async with uow.begin() as tx:
        return await _duty(tx, agent, dependencies.office)


@router.put("/duty")
async def set_duty(body: Duty, agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> DutyView:
    """Goes on duty, and gets cases, or off duty: then what one has at hand is given to others."""
    async with dependencies.office.turn, uow.begin() as tx:
        await agents.in_turn(tx)
        if body.on:
            await agents.go_on_duty(tx, agent.account_id, reserved=body.reserved)
            await agents.lock_cases(tx, dependencies.office.max_cases)
            await dependencies.office.give_cases(tx)
        else:
            await agents.lock_cases(tx, dependencies.office.max_cases, leaving=[agent.account_id])
            await dependencies.office.send_home(tx, [agent.account_id])
        return await _duty(tx, agent, dependencies.office)


@router.post("/cases/{case_id}/order")
async def hand_over(case_id: UUID, body: HandOver, buyer: Buyer, uow: UnitOfWorkDep, dependencies: Inside) -> CaseView:
    """The buyer hands over the data of an order, which must be the buyer's own (A)."""
    async with uow.begin() as tx:
        case = _readable(await store.lock(tx, case_id), buyer)
        order = (await store.orders(tx, [body.order_id])).get(body.order_id)
        if order is None or order.buyer_id != buyer.account_id:
            raise NotFound("You have no such order.")
        changed = domain.hand_over(case, body.order_id)
        if changed != case:
            if wait := await store.until_next_order(tx, buyer.account_id, MAX_ORDERS, ORDERS_WITHIN):
                raise RateLimited(f"At most {MAX_ORDERS} orders in an hour.", ceil(wait.total_seconds()))
            with dependencies.office.telling(case):
                await dependencies.office.save(tx, changed)
                await dependencies.office.say(tx, changed, words.order_handed_over(body.order_id))
        return await _shown(tx, changed)


@router.post("/cases/{case_id}/contact-seller", response_model=CaseView)
async def contact_seller(
    case_id: UUID, agent: Agent, once: OncePerKey, dependencies: Inside, body: Ask | None = None
) -> Response:
    """Writes to the seller, who has 24 hours to answer, pack or ship; else the order is cancelled (A)."""
    question = body.question if body and body.question else words.QUESTION
    office = dependencies.office

    async def contact(tx: Transaction) -> CaseView:
        await dependencies.office.take_turn(tx, case_id)
        case = _readable(await store.lock(tx, case_id), agent)
        order = (await store.orders(tx, [case.order_id])).get(case.order_id) if case.order_id else None
        asked = domain.contact(case, agent.account_id, order.status if order else None, await tx.now() + ANSWER_WITHIN)
        assert order is not None
        assert order.seller_id is not None
        with office.telling(case):
            await tx.schedule(SELLER_SILENT, str(case_id), ANSWER_WITHIN)
            respond_by = await store.due(tx, SELLER_SILENT, case_id)
            asked = replace(asked, respond_by=respond_by)
            await office.save(tx, asked)
            await office.begin_asking(tx, asked, ASK_SELLER_AGAIN)
            await office.say(tx, asked, words.seller_contacted(order.order_id, question, respond_by))
            tx.publish(
                SellerContacted(
                    case_id=case_id,
                    order_id=order.order_id,
                    seller_id=order.seller_id,
                    question=question,
                    respond_by=respond_by,
                )
            )
        await office.give_cases(tx)
        return await _shown(tx, asked)

    async with office.turn:
        return await once(str(agent.account_id), contact, status=200)


@router.post("/cases/{case_id}/close")
async def close(case_id: UUID, body: Close, agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> CaseView:
    """Ends the case, with its outcome."""
    async with dependencies.office.turn, uow.begin() as tx:
        await dependencies.office.take_turn(tx, case_id)
        case = _readable(await store.lock(tx, case_id), agent)
        order = (await store.orders(tx, [case.order_id])).get(case.order_id) if case.order_id else None
        closed = domain.close(case, agent.account_id, body.outcome, order.status if order else None)
        if closed != case:
            await dependencies.office.save(tx, closed)
            await dependencies.office.say(tx, closed, words.case_closed(body.outcome))
            await dependencies.office.give_cases(tx)
        return await _shown(tx, closed)


@router.post("/cases/{case_id}/rate")
async def rate(case_id: UUID, body: Rate, buyer: Buyer, uow: UnitOfWorkDep) -> CaseView:
    """Says how it was, 1 to 5, once the case is over. Saying the same again is harmless."""
    async with uow.begin() as tx:
        rated = domain.rate(_readable(await store.lock(tx, case_id), buyer), body.rating)
        await store.save(tx, rated)
        return await _shown(tx, rated)


@router.post("/tickets", status_code=201)
async def get_ticket(person: Either, dependencies: Inside) -> Ticket:
    """A one-use ticket for the WebSocket; valid for half a minute."""
    return await dependencies.live.tickets.issue(person)


@router.websocket("/live")
async def connect(websocket: WebSocket) -> None:
    """Messages, cases and places in the queue, live."""
    dependencies: Dependencies = websocket.app.state.dependencies
    await serve_websocket(dependencies.live, websocket)


def _readable(case: Case | None, person: Identity) -> Case:
    if case is None or (person.role != "agent" and case.buyer_id != person.account_id):
        raise NotFound("There is no such case.")
    return case


async def _shown(tx: Transaction, case: Case | None) -> CaseView:
    if case is None:
        raise NotFound("The case has ended just now.")
    return (await show(tx, [case]))[0]


async def _duty(tx: Transaction, agent: Identity, office: Office) -> DutyView:
    duty = await agents.duty(tx, agent.account_id)
    return DutyView(
        on=duty.on,
        load=duty.load,
        most=office.max_cases,
        waiting=await store.waiting(tx),
        agents_on_duty=len(await agents.on_duty(tx)),
    )
