"""Registration: its form, and the new account."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints

from contracts.accounts import AccountRegistered
from contracts.words import Role
from runtime.http.app import Body
from runtime.http.text import Printable, Visible
from runtime.messaging.unit_of_work import Transaction
from runtime.observability.trace_context import new_id
from services.accounts import store
from services.accounts.domain import Account
from services.accounts.strength import SHORTEST

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL_PATTERN = rf"^[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+$"
"""What browsers take for an e-mail address (HTML standard), with a dot in the domain; ASCII, so that case is simple."""

_JOINERS = str.maketrans("", "", "\u200c\u200d")
"""Invisible characters without which some names, and many emoji, cannot be written."""


def _shown_as_it_is(name: str) -> str:
    if not name.translate(_JOINERS).isprintable():
        raise ValueError("must be printable")
    return name


Password = Annotated[
    str,
    StringConstraints(max_length=128),
    Printable,
    Field(
        repr=False, json_schema_extra={"minLength": SHORTEST}, description="at least 8 characters, and hard to guess"
    ),
]
"""A new password; `check_password` refuses weak ones."""


class Person(Body):
    """The form of a new account. The address is kept in lower case: `Siti@…` and `siti@…` are one."""

    email: Annotated[str, StringConstraints(max_length=254, pattern=EMAIL_PATTERN), AfterValidator(str.lower)]
    password: Password
    name: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
        AfterValidator(_shown_as_it_is),
        Visible,
    ]


class Registration(Person):
    """Buyers and sellers register themselves; an administrator creates agents and operators."""

    role: Literal["buyer", "seller"]


async def register(
    tx: Transaction, person: Person, role: Role, password_hash: str, account_id: UUID | None = None
) -> Account:
    """A new account, and its event; raises `EmailTaken`."""
    account = Account(account_id or new_id(), person.email, person.name, role)
    await store.add(tx, account, password_hash)
    tx.publish(AccountRegistered(account_id=account.account_id, role=account.role, name=account.name))
    return account
