"""Agents on duty, and the giving of cases to them. All of it happens one transaction after the other (`in_turn`), so
that no case is ever with two agents, none is lost, and the order of arrival is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from runtime.messaging.unit_of_work import Transaction
from services.cs import store
from services.cs.domain import Case, Desk, InLine, give, route, take_away
from services.cs.store import Message
from services.cs.words import agent_joined

ROUTING = 0x0B0A7A5

_LOCK_AGENTS = "select from agents where on_duty order by agent_id for no key update"

_OWN = "(returns_to is not null and returns_to in (select agent_id from agents where on_duty and reserved))"
"""Whether a case asks for an agent, or comes back to one, who takes such cases alone: it waits for that one."""

_LOCK_CASES = """
select from cases where case_id = any (array(
    select unnest($1::uuid[])
    union select case_id from cases where agent_id = any ($2) and state in ('active', 'seller_replied')
    union select case_id from cases where agent_id is null and state in ('waiting', 'seller_replied') and {_OWN}
    union (
        select case_id from cases where agent_id is null and state in ('waiting', 'seller_replied') and not {_OWN}
        order by arrived limit cardinality($1) + (
            select coalesce(sum(greatest(0, $3 - (
                select count(*) from cases c where c.agent_id = a.agent_id and c.state in ('active', 'seller_replied')
            ))), 0)::bigint from agents a where on_duty
        )
    )
)) order by case_id for update
""".replace("{_OWN}", _OWN)
"""The cases that are named, those at hand of agents who leave, and as much of the queue as may be given to somebody:
each of the named may make room for one."""

_DESKS = """
select agent_id, turn, name,
       (select count(*) from cases c where c.agent_id = a.agent_id and c.state in ('active', 'seller_replied')) as load
from agents a left join accounts on account_id = agent_id
where on_duty and case when $1::uuid is null then not reserved else agent_id = $1 end
"""
"""The agents who take what comes, or one who takes only what asks for it."""

_FRONT = """
select * from cases
where agent_id is null and state in ('waiting', 'seller_replied')
  and case when $2::uuid is null then not {_OWN} else returns_to = $2 end
order by arrived limit $1 for update skip locked
""".replace("{_OWN}", _OWN)
"""They are locked by now. What has come back to the queue since, and is locked by another, waits for the next turn."""

_FREE = """
select exists (
    select from cases w where agent_id is null and state in ('waiting', 'seller_replied') and exists (
        select from agents a where on_duty and case when {_OWN} then a.agent_id = w.returns_to else not reserved end
        and $1 > (
            select count(*) from cases c where c.agent_id = a.agent_id and c.state in ('active', 'seller_replied')
        )
    )
)
""".replace("{_OWN}", _OWN)

_GIVE = """
with plan as (
    select * from unnest($1::uuid[], $2::uuid[], $6::text[], $3::text[], $4::jsonb[]) with ordinality
        as p (case_id, agent_id, state, text, data, n)
), given as (
    update cases c set agent_id = p.agent_id, returns_to = null, last_seq = last_seq + 1, spoken_at = clock_now(),
           state = p.state
    from plan p where c.case_id = p.case_id returning c.*
), turned as (
    update agents a set turn = t.turn
    from (select agent_id, max(turn) as turn
          from (select agent_id, nextval('agent_turns') as turn from plan order by n) as turns group by agent_id) as t
    where a.agent_id = t.agent_id
), said as (
    insert into messages (case_id, seq, kind, text, code, data, at)
    select case_id, last_seq, 'system', p.text, $5, p.data, clock_now() from given join plan p using (case_id)
    returning case_id, seq, kind, sender_id, text, code, data, at
)
select * from given join said using (case_id) order by arrived
"""

_AT_HAND = "select * from cases where agent_id = any($1) and state in ('active', 'seller_replied') order by arrived"


@dataclass(frozen=True)
class Duty:
    """Whether an agent is on duty, and with how many cases at hand."""

    on: bool
    load: int


async def in_turn(tx: Transaction) -> None:
    """Waits until nobody else gives or takes cases, and keeps it so until the transaction ends.

    To be called before any case is locked (the order of locks is in `store.py`).
    """
    await tx.connection.execute("select pg_advisory_xact_lock($1)", ROUTING)
    await tx.connection.execute(_LOCK_AGENTS)


async def lock_cases(tx: Transaction, max_cases: int, ids: Sequence[UUID] = (), leaving: Sequence[UUID] = ()) -> None:
    """Locks all that may change in this turn, in the order of the ids: the cases `ids`, those that the agents `leaving`
    have at hand, and those that may be given to an agent then. To be called `in_turn`, once."""
    await tx.connection.execute(_LOCK_CASES, ids, leaving, max_cases)


async def give_cases(tx: Transaction, max_cases: int) -> list[tuple[Case, Message]]:
    """Gives the first in the queue to the agents on duty who have room, `max_cases` cases each at the most; returns the
    cases that were given, and what was said in them. To be called `in_turn`, after `lock_cases`."""
    reserved = await tx.connection.fetch("select agent_id from agents where on_duty and reserved order by agent_id")
    given = await _give(tx, max_cases, None)
    for row in reserved:
        given += await _give(tx, max_cases, row["agent_id"])
    return given


async def _give(tx: Transaction, max_cases: int, only: UUID | None) -> list[tuple[Case, Message]]:
    """Those who wait for the agent `only` to that one; or for None those who take anyone."""
    given: list[tuple[Case, Message]] = []
    while True:
        rows = await tx.connection.fetch(_DESKS, only)
        room = sum(max(0, max_cases - row["load"]) for row in rows)
        if not room:
            return given
        front = {row["case_id"]: store.case_of(row) for row in await tx.connection.fetch(_FRONT, room, only)}
        if not front:
            return given
        desks = [Desk(row["agent_id"], row["load"], row["turn"]) for row in rows]
        names = {row["agent_id"]: row["name"] for row in rows}
        plan = route([InLine(case.case_id, case.returns_to) for case in front.values()], desks, max_cases)
        cases = [give(front[case_id], agent_id) for case_id, agent_id in plan]
        words = [agent_joined(agent_id, names[agent_id]) for _, agent_id in plan]
        rows = await tx.connection.fetch(
            _GIVE,
            [case.case_id for case in cases],
            [case.agent_id for case in cases],
            [phrase.text for phrase in words],
            [phrase.data for phrase in words],
            words[0].code,
            [case.state for case in cases],
        )
        given += [(store.case_of(row), store.message_of(row)) for row in rows]


async def is_someone_free(tx: Transaction, max_cases: int) -> bool:
    """Whether somebody waits while an agent has room: then cases are to be given."""
    return bool(await tx.connection.fetchval(_FREE, max_cases))


async def go_on_duty(tx: Transaction, agent_id: UUID, *, reserved: bool = False) -> bool:
    """The agent is there; False if that was known. To be called `in_turn`.

    `reserved`: it takes only cases that ask for it, and those that come back to it.
    """
    came = await tx.connection.fetchval(
        "insert into agents as a (agent_id, on_duty, reserved) values ($1, true, $2) on conflict (agent_id) do update "
        "set on_duty = true, reserved = $2, seen_at = now() where not a.on_duty or a.reserved <> $2 returning true",
        agent_id,
        reserved,
    )
    return bool(came)


async def go_off_duty(tx: Transaction, ids: Sequence[UUID]) -> list[Case]:
    """The agents are gone. What they had at hand stands in the queue again, in its old place; returns those cases.

    To be called `in_turn`, after `lock_cases`.
    """
    await tx.connection.execute("update agents set on_duty = false where agent_id = any($1) and on_duty", ids)
    cases = [take_away(store.case_of(row)) for row in await tx.connection.fetch(_AT_HAND, ids)]
    for case in cases:
        await store.save(tx, case)
    return cases


async def duty(tx: Transaction, agent_id: UUID) -> Duty:
    """Where an agent stands."""
    row = await tx.connection.fetchrow(
        "select exists (select from agents where agent_id = $1 and on_duty) as on_duty, "
        "(select count(*) from cases where agent_id = $1 and state in ('active', 'seller_replied')) as load",
        agent_id,
    )
    assert row is not None
    return Duty(row["on_duty"], row["load"])


async def on_duty(tx: Transaction) -> list[UUID]:
    """The agents who are on duty for all."""
    rows = await tx.connection.fetch("select agent_id from agents where on_duty and not reserved")
    return [row["agent_id"] for row in rows]


async def is_reserved(tx: Transaction, agent_id: UUID) -> bool:
    """Whether the agent is on duty for those who ask for it."""
    sql = "select exists (select from agents where agent_id = $1 and on_duty and reserved)"
    return bool(await tx.connection.fetchval(sql, agent_id))


async def seen(tx: Transaction, ids: Sequence[UUID]) -> None:
    """The agents are connected, or have just asked for something."""
    await tx.connection.execute(
        "update agents set seen_at = now() where agent_id in "
        "(select agent_id from agents where agent_id = any($1) and on_duty order by agent_id for update)",
        ids,
    )


async def absent(tx: Transaction, grace: timedelta) -> list[UUID]:
    """The agents on duty of whom nothing has been seen for longer than `grace`, by the real time of the database."""
    rows = await tx.connection.fetch(
        "select agent_id from agents where on_duty and seen_at < now() - $1::interval order by agent_id "
        "for update skip locked",
        grace,
    )
    return [row["agent_id"] for row in rows]
