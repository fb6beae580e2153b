"""The SQL of the queue, and of agents and buyers: their names and cases, who is on duty, who gets which case. One
transaction at a time gives and takes cases (`in_turn`), so that no case is ever with two agents, none is lost, and the
order of arrival is kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from contracts.accounts import AccountRegistered
from runtime.errors import Refusal
from runtime.messaging.unit_of_work import Transaction
from services.cs import store
from services.cs.domain import Case, Desk, State, give, route, take_away
from services.cs.store import Message, Phrase

ROUTING = 0x0B0A7A5
Joined = Callable[[UUID, str | None], Phrase]
"""Makes the message for a case that an agent of this id and name gets."""

_LOCK_AGENTS = "select from agents where on_duty order by agent_id for no key update"
QUEUED = "agent_id is null and state in ('waiting', 'seller_replied')"
"""The cases in the queue."""
_AT_HAND = "state in ('active', 'seller_replied')"
_LOAD = f"(select count(*) from cases c where c.agent_id = a.agent_id and c.{_AT_HAND})"
_OWN = "(returns_to is not null and returns_to in (select agent_id from agents where on_duty and reserved))"
"""Whether a case asks for a reserved agent, or returns to one: it waits for that one."""

_LOCK_CASES = f"""
select from cases where case_id = any (array(
    select unnest($1::uuid[])
    union select case_id from cases where agent_id = any ($2) and {_AT_HAND}
    union select case_id from cases where {QUEUED} and {_OWN}
    union (
        select case_id from cases where {QUEUED} and not {_OWN} order by arrived limit cardinality($1) + (
            select coalesce(sum(greatest(0, $3 - {_LOAD})), 0)::bigint from agents a where on_duty
        )
    )
)) order by case_id for update
"""
"""The cases that are named, those at hand of agents who leave, and as much of the queue as may be given: each of the
named may make room for one."""

_DESKS = f"""
select agent_id, turn, name, {_LOAD} as load from agents a left join accounts on account_id = agent_id
where on_duty and case when $1::uuid is null then not reserved else agent_id = $1 end
"""
"""The agents who take any case, or one who takes only what asks for it."""

_FRONT = f"""
select * from cases where {QUEUED} and case when $2::uuid is null then not {_OWN} else returns_to = $2 end
order by arrived limit $1 for update skip locked
"""
"""They are locked by now. A case that has returned since, and is locked by another, waits for the next turn."""

_IS_ROOM = f"""
select exists (
    select from cases w where {QUEUED} and exists (
        select from agents a where on_duty and case when {_OWN} then a.agent_id = w.returns_to else not reserved end
        and $1 > {_LOAD}
    )
)
"""

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


_TALKS = f"""
select c.case_id, opened_at, ended_at, last_seq, said.*, case when ended_at is null then (
    select min(at) from messages m where m.case_id = c.case_id and sender_id = buyer_id and seq > coalesce(
        (select max(seq) from messages a where a.case_id = c.case_id and sender_id <> buyer_id), 0)) end as waits_since
from cases c left join lateral (
    select {store.MESSAGE} from messages m where m.case_id = c.case_id and kind = 'text' order by seq desc limit 1
) said on true where c.case_id = any ($1)
"""


class AgentNotAvailable(Refusal):
    """Only a reserved agent on duty can be asked for (M)."""

    code, title = "agent_not_available", "The agent cannot be asked for"


async def in_turn(tx: Transaction) -> None:
    """Waits until no other transaction gives or takes cases, and keeps it so until this one ends.

    To be called before any case is locked (the order of locks is in `store.py`).
    """
    await tx.connection.execute("select pg_advisory_xact_lock($1)", ROUTING)
    await tx.connection.execute(_LOCK_AGENTS)


async def lock_cases(tx: Transaction, max_cases: int, ids: Sequence[UUID] = (), leaving: Sequence[UUID] = ()) -> None:
    """Locks all that may change in this turn, in the order of the ids: the cases `ids`, those that the agents `leaving`
    have at hand, and those that may be given to an agent then. To be called `in_turn`, once."""
    await tx.connection.execute(_LOCK_CASES, ids, leaving, max_cases)


async def give_cases(tx: Transaction, max_cases: int, joined: Joined) -> list[tuple[Case, Message]]:
    """Gives the first in the queue to the agents on duty who have room, up to `max_cases` each; returns the cases that
    were given, each with its new message. To be called `in_turn`, after `lock_cases`."""
    reserved = await tx.connection.fetch("select agent_id from agents where on_duty and reserved order by agent_id")
    given = await _give(tx, max_cases, joined, None)
    for row in reserved:
        given += await _give(tx, max_cases, joined, row["agent_id"])
    return given


async def _give(tx: Transaction, max_cases: int, joined: Joined, only: UUID | None) -> list[tuple[Case, Message]]:
    """The cases that wait for the agent `only`; with None, those that take any agent."""
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
        cases = [give(case, agent_id) for case, agent_id in route(list(front.values()), desks, max_cases)]
        phrases = [joined(case.agent_id, names[case.agent_id]) for case in cases if case.agent_id]
        rows = await tx.connection.fetch(
            _GIVE,
            *([case.case_id for case in cases], [case.agent_id for case in cases]),
            *([phrase.text for phrase in phrases], [phrase.data for phrase in phrases], phrases[0].code),
            [case.state for case in cases],
        )
        given += [(store.case_of(row), store.message_of(row)) for row in rows]


async def is_room(tx: Transaction, max_cases: int) -> bool:
    """Whether a case waits while an agent has room for it: then cases are to be given."""
    return bool(await tx.connection.fetchval(_IS_ROOM, max_cases))


async def go_on_duty(tx: Transaction, agent_id: UUID, *, reserved: bool = False) -> bool:
    """Puts the agent on duty; False if nothing changes. To be called `in_turn`.

    A `reserved` agent takes only cases that ask for it, and those that return to it.
    """
    changed = await tx.connection.fetchval(
        "insert into agents as a (agent_id, on_duty, reserved) values ($1, true, $2) on conflict (agent_id) do update "
        "set on_duty = true, reserved = $2, seen_at = now() where not a.on_duty or a.reserved <> $2 returning true",
        *(agent_id, reserved),
    )
    return bool(changed)


async def go_off_duty(tx: Transaction, ids: Sequence[UUID]) -> list[Case]:
    """The agents leave. The cases that they had at hand return to their old places in the queue; returns those cases.

    To be called `in_turn`, after `lock_cases`.
    """
    await tx.connection.execute("update agents set on_duty = false where agent_id = any($1) and on_duty", ids)
    rows = await tx.connection.fetch(
        f"select * from cases where agent_id = any($1) and {_AT_HAND} order by arrived", ids
    )
    cases = [take_away(store.case_of(row)) for row in rows]
    for case in cases:
        await store.save(tx, case)
    return cases


async def duty(tx: Transaction, agent_id: UUID) -> Mapping[str, Any]:
    """Whether an agent is `on` duty, and its `load` of cases at hand; how many cases are `waiting` in the queue, and
    for how many `agents_on_duty`."""
    row = await tx.connection.fetchrow(
        'select exists (select from agents where agent_id = $1 and on_duty) as "on", '
        f"(select count(*) from cases where agent_id = $1 and {_AT_HAND}) as load, "
        f"(select count(*) from cases where {QUEUED}) as waiting, "
        "(select count(*) from agents where on_duty and not reserved) as agents_on_duty",
        agent_id,
    )
    assert row is not None
    return dict(row)


async def on_duty(tx: Transaction) -> list[UUID]:
    """The agents on duty who take any case."""
    rows = await tx.connection.fetch("select agent_id from agents where on_duty and not reserved")
    return [row["agent_id"] for row in rows]


async def check_reserved(tx: Transaction, agent_id: UUID) -> None:
    """Raises `AgentNotAvailable` if the agent is not on duty for the cases that ask for it."""
    sql = "select exists (select from agents where agent_id = $1 and on_duty and reserved)"
    if not await tx.connection.fetchval(sql, agent_id):
        raise AgentNotAvailable("This agent is not on duty for those who ask for it.")


async def seen(tx: Transaction, ids: Sequence[UUID]) -> None:
    """The agents are connected, or have just sent a request."""
    await tx.connection.execute(
        "update agents set seen_at = now() where agent_id in "
        "(select agent_id from agents where agent_id = any($1) and on_duty order by agent_id for update)",
        ids,
    )


async def absent(tx: Transaction, grace: timedelta) -> list[UUID]:
    """The agents on duty who were not seen for longer than `grace`, by the real time of the database."""
    rows = await tx.connection.fetch(
        "select agent_id from agents where on_duty and seen_at < now() - $1::interval order by agent_id "
        "for update skip locked",
        grace,
    )
    return [row["agent_id"] for row in rows]


async def queue(tx: Transaction, after: UUID | None, limit: int) -> list[Case]:
    """The queue, from the front, behind the case `after`."""
    rows = await tx.connection.fetch(
        f"select * from cases where {QUEUED} "
        "and arrived > coalesce((select arrived from cases where case_id = $1), 0) order by arrived limit $2",
        *(after, limit),
    )
    return [store.case_of(row) for row in rows]


async def line(tx: Transaction) -> list[tuple[UUID, UUID]]:
    """The whole queue, from the front: case and buyer."""
    rows = await tx.connection.fetch(f"select case_id, buyer_id from cases where {QUEUED} order by arrived")
    return [(row["case_id"], row["buyer_id"]) for row in rows]


async def positions(tx: Transaction, cases: Sequence[Case]) -> Mapping[UUID, int]:
    """The positions in the queue, from 1, of those cases that wait in it."""
    queued = [case for case in cases if case.is_queued]
    if not queued:
        return {}
    rows = await tx.connection.fetch(
        f"select case_id, position from (select case_id, row_number() over (order by arrived) as position from cases "
        f"where {QUEUED} and arrived <= $2) as line where case_id = any($1)",
        *([case.case_id for case in queued], max(case.arrived for case in queued)),
    )
    return {row["case_id"]: row["position"] for row in rows}


async def newest(
    tx: Transaction, whose: str, person: UUID, state: State | None, before: UUID | None, limit: int
) -> list[Case]:
    """The cases of a person, newest first, older than the case `before`. `whose`: the column, `buyer_id` or `agent_id`
    (the agent who has or had it)."""
    sql = f"""
    select * from cases where {whose} = $1 and ($2::text is null or state = $2) and ($3::uuid is null or case_id < $3)
    order by case_id desc limit $4
    """
    rows = await tx.connection.fetch(sql, person, state, before, limit)
    return [store.case_of(row) for row in rows]


async def talks(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, dict[str, Any]]:
    """When cases were opened (`opened_at`) and ended (`ended_at`), the number of the last message (`last_seq`), a
    person's last text (`last_text`), and since when the buyer's texts have had no answer (`waits_since`, or None)."""
    rows = await tx.connection.fetch(_TALKS, ids)
    return {row["case_id"]: {**row, "last_text": store.message_of(row) if row["seq"] else None} for row in rows}


async def until_next_order(tx: Transaction, buyer_id: UUID, limit: int, within: timedelta) -> timedelta | None:
    """How long a buyer has to wait who has handed over `limit` orders `within` so long; None for any other."""
    wait: timedelta | None = await tx.connection.fetchval(
        "select m.at + $3::interval - clock_now() from cases c join messages m using (case_id) "
        "where c.buyer_id = $1 and c.spoken_at > clock_now() - $3::interval and m.code = 'order_handed_over' "
        "and m.at > clock_now() - $3::interval order by m.at desc offset $2 - 1 limit 1",
        *(buyer_id, limit, within),
    )
    return wait


async def note_account(tx: Transaction, account: AccountRegistered) -> None:
    """Keeps the name of an account, and its role, which nothing reads."""
    sql = "insert into accounts (account_id, role, name) values ($1, $2, $3) on conflict do nothing"
    await tx.connection.execute(sql, account.account_id, account.role, account.name)


async def names(tx: Transaction, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The names of those accounts that are known."""
    rows = await tx.connection.fetch("select account_id, name from accounts where account_id = any($1)", ids)
    return {row["account_id"]: row["name"] for row in rows}
