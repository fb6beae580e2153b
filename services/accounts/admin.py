"""What an administrator does: creating accounts that cannot be registered."""

from uuid import UUID

from pydantic import ValidationError

from contracts.words import Role
from runtime.errors import InvalidRequest
from runtime.messaging.unit_of_work import UnitOfWork
from services.accounts.domain import Account
from services.accounts.passwords import Passwords
from services.accounts.registration import Person, register
from services.accounts.strength import check_password


async def create_account(
    uow: UnitOfWork,
    email: str,
    password: str,
    name: str,
    role: Role = Role.AGENT,
    *,
    account_id: UUID | None = None,
    passwords: Passwords | None = None,
) -> Account:
    """A new account. It needs only the database: the running service publishes the event.

    Raises `InvalidRequest`, `WeakPassword`, `EmailTaken`.
    """
    try:
        person = Person(email=email, password=password, name=name)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise InvalidRequest(f"{first['loc'][0]}: {first['msg']}") from None
    check_password(password, person.email, person.name)
    password_hash = await (passwords or Passwords()).hash(password)
    async with uow.begin() as tx:
        return await register(tx, person, role, password_hash, account_id)
