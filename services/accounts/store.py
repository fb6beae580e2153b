"""The only file of `accounts` with SQL. Every function takes the open transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from contracts.words import Role
from runtime.messaging.unit_of_work import Transaction
from services.accounts.domain import Account, EmailTaken

_COLUMNS = "account_id, email, name, role, password_hash"


@dataclass(frozen=True)
class Found:
    """An account with its password hash."""

    account: Account
    password_hash: str


def _found(row: asyncpg.Record | None) -> Found | None:
    if row is None:
        return None
    return Found(Account(row["account_id"], row["email"], row["name"], Role(row["role"])), row["password_hash"])


async def add(tx: Transaction, account: Account, password_hash: str) -> None:
    """Adds a new account; raises `EmailTaken`, also for a concurrent registration.

    The id may conflict as well: replicas that start at once create the demonstration's accounts, whose ids are fixed.
    """
    if not await tx.connection.fetchval(
        "insert into accounts (account_id, email, name, role, password_hash) values ($1, $2, $3, $4, $5) "
        "on conflict do nothing returning true",
        account.account_id,
        account.email,
        account.name,
        account.role,
        password_hash,
    ):
        raise EmailTaken


async def by_email(tx: Transaction, email: str) -> Found | None:
    """The account with this address, given in lower case."""
    return _found(await tx.connection.fetchrow(f"select {_COLUMNS} from accounts where email = $1", email))


async def by_id(tx: Transaction, account_id: UUID) -> Found | None:
    """The account with this id."""
    return _found(await tx.connection.fetchrow(f"select {_COLUMNS} from accounts where account_id = $1", account_id))


async def sellers(tx: Transaction, ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    """The ids and names of those of these accounts that sell."""
    rows = await tx.connection.fetch(
        "select account_id, name from accounts where account_id = any($1) and role = 'seller'", ids
    )
    return [(row["account_id"], row["name"]) for row in rows]


async def replace_hash(tx: Transaction, found: Found, password_hash: str) -> bool:
    """Replaces the hash; False if it was changed or removed meanwhile."""
    return bool(
        await tx.connection.fetchval(
            "update accounts set password_hash = $3 where account_id = $1 and password_hash = $2 returning true",
            found.account.account_id,
            found.password_hash,
            password_hash,
        )
    )


async def remove(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Deletes the accounts with these ids."""
    await tx.connection.execute("delete from accounts where account_id = any($1)", ids)
