"""The HTTP interface of `refunds`."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import AfterValidator, BaseModel, StringConstraints

from contracts.refunds import WalletLinked, WalletUnlinked
from contracts.words import Destination
from runtime.errors import InvalidRequest, NotFound, RateLimited
from runtime.http.app import Body, Cursor, Limit, Page, RetryOnConflict, UnitOfWorkDep
from runtime.http.auth import Buyer, BuyerOrAgent
from runtime.messaging.unit_of_work import Transaction
from services.refunds import store
from services.refunds.domain import State, masked_phone, phone_number
from services.refunds.snap import Dana, DanaUnreachable

router = APIRouter(prefix="/refunds", tags=["refunds"], route_class=RetryOnConflict)

ENTRIES_SHOWN = 100
MAX_LINKS, LINKS_WITHIN = 5, timedelta(hours=1)
"""How many account inquiries one buyer may cause, and in which time."""


class NoSuchWallet(InvalidRequest):
    """DANA does not know the number, or its wallet cannot receive money."""

    code, title = "dana_account_not_found", "DANA has no active wallet under this number"


class RefundView(BaseModel):
    """A refund; `amount` in whole rupiah, `attempts` the payments sent to DANA so far, `phone` the last digits of the
    wallet that it is or was meant for."""

    refund_id: UUID
    cancellation_id: UUID
    order_id: UUID
    buyer_id: UUID
    amount: int
    currency: str = "IDR"
    destination: Destination
    state: State
    attempts: int
    phone: Annotated[str, AfterValidator(masked_phone)] | None


class DanaView(BaseModel):
    """The link to DANA; of the number only the last digits are shown."""

    linked: bool
    phone: str | None


class WalletView(BaseModel):
    """A buyer's Lazada Credit in whole rupiah, its latest movements, and the link to DANA."""

    credit_balance: int
    currency: str = "IDR"
    dana: DanaView
    entries: list[store.Entry]


def _phone(typed: str) -> str:
    if (phone := phone_number(typed)) is None:
        raise ValueError("must be an Indonesian mobile number")
    return phone


class LinkDana(Body):
    """An Indonesian mobile number, as 08…, 628… or +628…, with the spaces, hyphens and brackets that people write."""

    phone: Annotated[str, StringConstraints(max_length=100), AfterValidator(_phone)]


async def _dana(request: Request) -> Dana:
    dana: Dana = request.app.state.dana
    return dana


@router.get("")
async def list_refunds(
    person: BuyerOrAgent, uow: UnitOfWorkDep, order_id: UUID | None = None, limit: Limit = 50, cursor: Cursor = None
) -> Page[RefundView]:
    """The buyer's refunds, or for agents all refunds, newest first; with `order_id` those of one order."""
    async with uow.begin() as tx:
        buyer_id = None if person.role == "agent" else person.account_id
        refunds = await store.page(tx, buyer_id, cursor, limit, order_id)
    items = [RefundView.model_validate(refund, from_attributes=True) for refund in refunds]
    return Page(items=items, next=items[-1].refund_id if len(items) == limit else None)


@router.get("/wallet")
async def wallet(buyer: Buyer, uow: UnitOfWorkDep) -> WalletView:
    """The buyer's Lazada Credit, and whether DANA is linked."""
    async with uow.begin() as tx:
        return await _wallet(tx, buyer.account_id)


@router.put("/wallet/dana")
async def link_dana(
    body: LinkDana, buyer: Buyer, uow: UnitOfWorkDep, dana: Annotated[Dana, Depends(_dana)]
) -> WalletView:
    """Links a DANA wallet, once DANA has confirmed it; refunds go there from now on (A). Five attempts an hour
    to which DANA gives a usable answer."""
    phone = body.phone
    async with uow.begin() as tx:
        if phone == await store.phone_of(tx, buyer.account_id):  # a repeat after a lost answer, for example
            return await _wallet(tx, buyer.account_id)
        if wait := await store.take_inquiry(tx, buyer.account_id, MAX_LINKS, LINKS_WITHIN):
            raise RateLimited(f"A buyer can try to link DANA {MAX_LINKS} times an hour. Try again later.", wait)
    try:
        is_active = await dana.account_inquiry(phone)
    except DanaUnreachable:
        async with uow.begin() as tx:
            await store.return_inquiry(tx, buyer.account_id)
        raise
    if not is_active:
        raise NoSuchWallet
    async with uow.begin() as tx:
        if phone != await store.phone_of(tx, buyer.account_id):
            await store.link(tx, buyer.account_id, phone)
            tx.publish(WalletLinked(buyer_id=buyer.account_id, phone=masked_phone(phone)))
        return await _wallet(tx, buyer.account_id)


@router.delete("/wallet/dana")
async def unlink_dana(buyer: Buyer, uow: UnitOfWorkDep) -> WalletView:
    """Unlinks DANA; refunds go to Lazada Credit from now on, also those not sent to DANA yet."""
    async with uow.begin() as tx:
        if phone := await store.unlink(tx, buyer.account_id):
            tx.publish(WalletUnlinked(buyer_id=buyer.account_id, phone=masked_phone(phone)))
        return await _wallet(tx, buyer.account_id)


@router.get("/{refund_id}")
async def get_refund(refund_id: UUID, person: BuyerOrAgent, uow: UnitOfWorkDep) -> RefundView:
    """The refund, for its buyer and agents."""
    async with uow.begin() as tx:
        refund = await store.find(tx, refund_id)
    if refund is None or (person.role != "agent" and person.account_id != refund.buyer_id):
        raise NotFound("There is no such refund.")
    return RefundView.model_validate(refund, from_attributes=True)


async def _wallet(tx: Transaction, buyer_id: UUID) -> WalletView:
    phone = await store.phone_of(tx, buyer_id)
    return WalletView(
        credit_balance=await store.balance(tx, buyer_id),
        dana=DanaView(linked=phone is not None, phone=masked_phone(phone) if phone else None),
        entries=await store.entries(tx, buyer_id, ENTRIES_SHOWN),
    )
