"""A service that records the order in which it handles events: `python -m lab.faults.recording_service services.cs`.

This module patches the recording into the runtime's consumer, in the transaction of the handlers, so that a record
exists exactly if the event had its effect.
"""

import runpy
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.messaging.consumer import Consumer
from runtime.messaging.envelope import Envelope
from runtime.messaging.unit_of_work import Transaction
from runtime.storage.connections import connect

TABLE = """
drop table if exists handled;
create table handled (place bigserial, source text not null, subject text not null, sequence integer not null)
"""
_RECORD = "insert into handled (source, subject, sequence) select * from unnest($1::text[], $2::text[], $3::integer[])"
_OVERTAKEN = """
select format('%s %s: %s after %s', source, subject, sequence, before) from (
    select *, lag(sequence) over (partition by source, subject order by place) as before from handled
) one where before >= sequence
"""


def wrap() -> None:
    """Patches the consumer."""
    act = Consumer.act

    async def recording_act(self: Consumer, tx: Transaction, same_type: Sequence[Envelope[Any]]) -> None:
        columns = zip(*((one.source, one.subject, one.sequence) for one in same_type), strict=True)
        await tx.connection.execute(_RECORD, *map(list, columns))
        await act(self, tx, same_type)

    setattr(Consumer, "act", recording_act)  # noqa: B010 (mypy)


async def begin(urls: Mapping[str, str]) -> None:
    """Creates the empty records of these services."""
    for url in urls.values():
        await _on(url, TABLE)


async def overtaken(urls: Mapping[str, str]) -> tuple[int, list[str]]:
    """How many events were handled, and the subjects of which one was handled after a later one. Drops the records."""
    handled, found = 0, []
    for name, url in urls.items():
        connection = await connect(url)
        handled += await connection.fetchval("select count(*) from handled")
        found += [f"{name}: {row[0]}" for row in await connection.fetch(_OVERTAKEN)]
        await connection.execute("drop table handled")
        await connection.close()
    return handled, found


async def _on(url: str, statement: str) -> None:
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()


if __name__ == "__main__":
    wrap()
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
