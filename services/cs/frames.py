"""What goes over the live connections: JSON objects with a `type`."""

import json
from dataclasses import asdict
from typing import Any
from uuid import UUID

from services.cs.domain import Case
from services.cs.store import Message


def people(case: Case) -> list[UUID]:
    """Who sees the case live: its buyer, and the agent who has it or gets it back."""
    agent = case.agent_id or case.returns_to
    return [case.buyer_id, agent] if agent else [case.buyer_id]


def message(case_id: UUID, said: Message) -> str:
    """A new message."""
    return _frame("message", case_id=case_id, message={**asdict(said), "at": said.at.isoformat()})


def case(changed: Case) -> str:
    """How a case stands now; `respond_by` is what a countdown goes by."""
    return _frame(
        "case",
        case_id=changed.case_id,
        state=changed.state,
        agent_id=changed.agent_id,
        order_id=changed.order_id,
        respond_by=changed.respond_by and changed.respond_by.isoformat(),
        outcome=changed.outcome,
    )


def place(case_id: UUID, position: int, agents_on_duty: int) -> str:
    """A buyer's place in the queue, from 1."""
    return _frame("queue", case_id=case_id, position=position, agents_on_duty=agents_on_duty)


def queue(waiting: int, agents_on_duty: int) -> str:
    """The queue as agents see it."""
    return _frame("queue", waiting=waiting, agents_on_duty=agents_on_duty)


def duty(*, on: bool) -> str:
    """Whether the agent is on duty: also an agent who was gone for too long hears that."""
    return _frame("duty", on=on)


def _frame(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields}, default=str, ensure_ascii=False)
