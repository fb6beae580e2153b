"""The accounts that exist in demonstration mode only: their password is public."""

import contextlib
from uuid import UUID

from contracts.words import Role
from runtime.messaging.unit_of_work import UnitOfWork
from services.accounts import store
from services.accounts.admin import create_account
from services.accounts.domain import EmailTaken
from services.accounts.passwords import Passwords

PASSWORD = "batalkan-demo"  # noqa: S105
ACCOUNTS = (
    (UUID("0190d3a0-0000-7000-8000-000000000001"), "buyer@example.com", "Pembeli", Role.BUYER),
    (UUID("0190d3a0-0000-7000-8000-000000000002"), "seller@example.com", "Penjual", Role.SELLER),
    (UUID("0190d3a0-0000-7000-8000-000000000003"), "agent@example.com", "Layanan Pelanggan", Role.AGENT),
)


async def seed(uow: UnitOfWork, passwords: Passwords) -> None:
    """Creates those of the accounts that do not exist yet."""
    for account_id, email, name, role in ACCOUNTS:
        async with uow.begin() as tx:
            found = await store.by_email(tx, email)
        if found is None:
            with contextlib.suppress(EmailTaken):  # another replica was faster
                await create_account(uow, email, PASSWORD, name, role, account_id=account_id, passwords=passwords)


async def remove(uow: UnitOfWork) -> None:
    """Removes them from a database that was once used for a demonstration."""
    async with uow.begin() as tx:
        await store.remove(tx, [account_id for account_id, *_ in ACCOUNTS])
