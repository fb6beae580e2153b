"""The events that `accounts` publishes."""

from uuid import UUID

from contracts.words import Open, Role
from runtime.messaging.envelope import Event


class AccountRegistered(Event, subject="account_id", published_by=("accounts",), consumed_by=("chat", "cs")):
    """An account was registered."""

    account_id: UUID
    role: Open[Role]
    name: str
