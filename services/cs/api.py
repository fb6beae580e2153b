"""The HTTP interface of `cs`."""

from contextlib import suppress
from datetime import timedelta
from math import ceil
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, StringConstraints

from contracts.cs import Outcome
from runtime.errors import NotFound, RateLimited
from runtime.http.app import Body, Cursor, Limit, Page, RetryOnConflict, Seq, UnitOfWorkDep
from runtime.http.auth import Buyer, Identity
from runtime.http.idempotency import OncePerKey
from runtime.http.text import BlankIsNone, Printable, Visible
from runtime.live.websocket import add_live_routes
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import current_context, new_id
from services.cs import agents, domain, store, views
from services.cs.domain import Case, State
from services.cs.live import Agent, AgentOrBuyer, Inside, agent_or_buyer
from services.cs.store import Message
from services.cs.views import CaseView, DutyView, Messages, show

router = APIRouter(prefix="/cs", tags=["cs"], route_class=RetryOnConflict)
add_live_routes(router, Depends(agent_or_buyer))

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000), Visible]

MAX_ORDERS, ORDERS_WITHIN = 20, timedelta(hours=1)
"""How many orders one buyer may hand over."""


class Words(Body):
    """The text of a message."""

    text: Text


class Opening(Words):
    """The first message of a case; `agent_id` asks for a reserved agent."""

    agent_id: Annotated[UUID | None, Field(strict=False)] = None


class Duty(Body):
    """Whether the agent is on duty; `reserved`: only for cases that ask for this agent."""

    on: bool
    reserved: bool = False


class HandOver(Body):
    """The order that the case is about."""

    order_id: Annotated[UUID, Field(strict=False)]


class Ask(Body):
    """The question to the seller; without it, the usual one."""

    question: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), Printable] | None, BlankIsNone
    ] = None


class Close(Body):
    """How the case ended."""

    outcome: Annotated[Outcome, Field(strict=False)]


class Rate(Body):
    """How the buyer rates the case."""

    rating: Annotated[int, Field(ge=1, le=5)]


class _OpenAlready(Exception):
    pass


class _OverMeanwhile(Exception):
    pass


@router.post(
    "/cases",
    status_code=201,
    response_model=CaseView,
    responses={200: {"description": "There is an open one already, which gets the message", "model": CaseView}},
)
async def open_case(
    body: Opening, buyer: Buyer, once: OncePerKey, uow: UnitOfWorkDep, dependencies: Inside
) -> Response:
    """Opens a case: it waits in the queue, or is connected at once. A buyer who has an open case adds the message to
    that one, and gets it (200)."""
    cases, owner = dependencies.cases, str(buyer.account_id)

    async def create(tx: Transaction) -> CaseView:
        await cases.take_turn(tx)  # the order of arrival is the order of commits
        context, asks_for = current_context(), body.agent_id
        if asks_for:
            await agents.check_reserved(tx, asks_for)
        case = await store.open_case(tx, new_id(), buyer.account_id, context, asks_for)
        if case is None:
            raise _OpenAlready
        await cases.say(tx, case, body.text, buyer.account_id)
        if not asks_for and not await agents.on_duty(tx):
            await cases.say(tx, case, views.NO_AGENT_ON_DUTY)
        await cases.give_cases(tx)
        return await _shown(tx, await store.read(tx, case.case_id))

    async def go_on(tx: Transaction) -> CaseView:
        if body.agent_id:
            await agents.check_reserved(tx, body.agent_id)
        case = await store.open_case_of(tx, buyer.account_id, lock=True)
        if case is None:
            raise _OverMeanwhile
        with cases.trace_of(case):
            await cases.say(tx, case, body.text, buyer.account_id)
        return await _shown(tx, case)

    while True:
        async with uow.begin(autocommit=True) as tx:
            has_one = await store.open_case_of(tx, buyer.account_id) is not None
        with suppress(_OpenAlready, _OverMeanwhile):
            if has_one:  # without the turn, which all wait for: this buyer is limited, or does not need it
                return await once(owner, go_on, status=200, limit=dependencies.rate_limit.one(owner))
            async with cases.turn:
                return await once(owner, create)


@router.get("/cases")
async def list_cases(
    person: AgentOrBuyer,
    uow: UnitOfWorkDep,
    state: State | None = None,
    buyer_id: Annotated[UUID | None, Query(description="for agents: the history of this buyer")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[CaseView]:
    """A buyer's cases, or those that are or were with an agent, newest first. For an agent `?state=waiting` is the
    whole queue, from the front."""
    async with uow.begin() as tx:
        buyer = person.account_id if person.role == "buyer" else buyer_id
        if buyer is not None:
            cases = await agents.newest(tx, "buyer_id", buyer, state, cursor, limit)
        elif state is State.WAITING:
            cases = await agents.queue(tx, cursor, limit)
        else:
            cases = await agents.newest(tx, "agent_id", person.account_id, state, cursor, limit)
        items = await show(tx, cases)
    return Page(items=items, next=items[-1].case_id if len(items) == limit else None)


@router.get("/cases/{case_id}")
async def get_case(case_id: UUID, person: AgentOrBuyer, uow: UnitOfWorkDep) -> CaseView:
    """The case, for its buyer and agents."""
    async with uow.begin() as tx:
        return await _shown(tx, _readable(await store.read(tx, case_id), person))


@router.get("/cases/{case_id}/messages")
async def get_messages(
    case_id: UUID, person: AgentOrBuyer, uow: UnitOfWorkDep, after: Seq = 0, limit: Limit = 100
) -> Messages:
    """The messages of the case, for its buyer and agents."""
    async with uow.begin() as tx:
        _readable(await store.read(tx, case_id), person)
        items = await store.messages(tx, case_id, after, limit)
    return Messages(items=items, next=items[-1].seq if len(items) == limit else None)


@router.post("/cases/{case_id}/messages", status_code=201, response_model=Message)
async def post_message(
    case_id: UUID, body: Words, person: AgentOrBuyer, once: OncePerKey, dependencies: Inside
) -> Response:
    """Adds a message to the case: of its buyer, who may still be waiting, or its agent."""

    async def say(tx: Transaction) -> Message:
        case = _readable(await store.lock(tx, case_id), person)
        if person.role == "agent":
            domain.check_agent(case, person.account_id)
        domain.check_open(case)
        with dependencies.cases.trace_of(case):
            return await dependencies.cases.say(tx, case, body.text, person.account_id)

    whose = str(person.account_id)
    return await once(whose, say, limit=dependencies.rate_limit.one(whose))


@router.get("/duty")
async def get_duty(agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> DutyView:
    """Whether the agent is on duty, and what there is to do."""
    async with uow.begin() as tx:
        return await views.show_duty(tx, agent.account_id, dependencies.cases.max_cases)


@router.put("/duty")
async def set_duty(body: Duty, agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> DutyView:
    """Goes on duty, and gets cases, or off duty: then the cases at hand are given to other agents."""
    async with dependencies.cases.turn, uow.begin() as tx:
        await agents.in_turn(tx)
        if body.on:
            await agents.go_on_duty(tx, agent.account_id, reserved=body.reserved)
            await agents.lock_cases(tx, dependencies.cases.max_cases)
            await dependencies.cases.give_cases(tx)
        else:
            await agents.lock_cases(tx, dependencies.cases.max_cases, leaving=[agent.account_id])
            await dependencies.cases.go_off_duty(tx, [agent.account_id])
        return await views.show_duty(tx, agent.account_id, dependencies.cases.max_cases)


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
            if wait := await agents.until_next_order(tx, buyer.account_id, MAX_ORDERS, ORDERS_WITHIN):
                raise RateLimited(f"At most {MAX_ORDERS} orders in an hour.", ceil(wait.total_seconds()))
            with dependencies.cases.trace_of(case):
                await dependencies.cases.save(tx, changed)
                await dependencies.cases.say(tx, changed, views.order_handed_over(body.order_id))
        return await _shown(tx, changed)


@router.post("/cases/{case_id}/contact-seller", response_model=CaseView)
async def contact_seller(
    case_id: UUID, agent: Agent, once: OncePerKey, dependencies: Inside, body: Ask | None = None
) -> Response:
    """Writes to the seller, who has 24 hours to answer, pack or ship; else the order is cancelled (A)."""
    question = body.question if body and body.question else views.QUESTION

    async def contact(tx: Transaction) -> CaseView:
        await dependencies.cases.take_turn(tx, case_id)
        case = _readable(await store.lock(tx, case_id), agent)
        return await _shown(tx, await dependencies.cases.contact_seller(tx, case, agent.account_id, question))

    async with dependencies.cases.turn:
        return await once(str(agent.account_id), contact, status=200)


@router.post("/cases/{case_id}/close")
async def close(case_id: UUID, body: Close, agent: Agent, uow: UnitOfWorkDep, dependencies: Inside) -> CaseView:
    """Ends the case, with its outcome."""
    async with dependencies.cases.turn, uow.begin() as tx:
        await dependencies.cases.take_turn(tx, case_id)
        case = _readable(await store.lock(tx, case_id), agent)
        return await _shown(tx, await dependencies.cases.close(tx, case, agent.account_id, body.outcome))


@router.post("/cases/{case_id}/rate")
async def rate(case_id: UUID, body: Rate, buyer: Buyer, uow: UnitOfWorkDep) -> CaseView:
    """Rates the case, 1 to 5, once it is over. The same rating again is harmless."""
    async with uow.begin() as tx:
        rated = domain.rate(_readable(await store.lock(tx, case_id), buyer), body.rating)
        await store.save(tx, rated)
        return await _shown(tx, rated)


def _readable(case: Case | None, person: Identity) -> Case:
    if case is None or (person.role != "agent" and case.buyer_id != person.account_id):
        raise NotFound("There is no such case.")
    return case


async def _shown(tx: Transaction, case: Case | None) -> CaseView:
    if case is None:
        raise NotFound("The case has ended just now.")
    return (await show(tx, [case]))[0]
