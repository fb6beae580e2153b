"""The accounts that exist in demonstration mode only: their password is public."""

import contextlib
from collections.abc import Sequence
from uuid import UUID

from contracts.words import Role
from runtime.messaging.unit_of_work import UnitOfWork
from services.accounts import store
from services.accounts.admin import create_account
from services.accounts.domain import Account, EmailTaken
from services.accounts.passwords import Passwords

PASSWORD = "batalkan-demo"  # noqa: S105
ACCOUNTS = (
    Account(UUID("0190d3a0-0000-7000-8000-000000000001"), "buyer@example.com", "Pembeli", Role.BUYER),
    Account(UUID("0190d3a0-0000-7000-8000-000000000002"), "seller@example.com", "Penjual", Role.SELLER),
    Account(UUID("0190d3a0-0000-7000-8000-000000000003"), "agent@example.com", "Layanan Pelanggan", Role.AGENT),
)
MARKET = tuple(UUID(f"0190d3a0-0000-7000-8000-0000000002{number:02d}") for number in range(1, 100))
"""The ids of the further accounts of `batalkan seed`."""


async def seed(uow: UnitOfWork, passwords: Passwords, accounts: Sequence[Account] = ACCOUNTS) -> None:
    """Creates those of the accounts that do not exist yet."""
    for one in accounts:
        async with uow.begin() as tx:
            found = await store.by_email(tx, one.email)
        if found is None:
            about = one.email, PASSWORD, one.name, one.role
            with contextlib.suppress(EmailTaken):  # another replica was faster
                await create_account(uow, *about, account_id=one.account_id, passwords=passwords)


async def remove(uow: UnitOfWork) -> None:
    """Removes them from a database that was once used for a demonstration."""
    async with uow.begin() as tx:
        await store.remove(tx, [*(one.account_id for one in ACCOUNTS), *MARKET])
