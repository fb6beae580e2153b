"""Retention deletes old rows in bounded steps."""

import pytest

from runtime.messaging import retention
from runtime.messaging.retention import KEPT, run_retention
from tests.harness.waiting import becomes
from tests.messaging.toys import Toys, running

ROWS = {
    "inbox": "insert into inbox select gen_random_uuid(), now() - $2::interval from generate_series(1, $1)",
    "event_log": "insert into event_log select gen_random_uuid(), 'Counted', 'a', 1, gen_random_uuid(), "
    "gen_random_uuid(), now() - $2::interval from generate_series(1, $1)",
    "failures": "insert into failures select gen_random_uuid(), 1, '', now() - $2::interval "
    "from generate_series(1, $1)",
    "idempotency": "insert into idempotency select 'account', n::text, '', 200, '', now() - $2::interval "
    "from generate_series(1, $1) n",
}


@pytest.mark.parametrize(("table", "age"), KEPT)
async def test_many_old_rows(embedded_toys: Toys, monkeypatch: pytest.MonkeyPatch, table: str, age: str) -> None:
    """No statement deletes more than a batch, however many rows are old; in the end these are gone, and no others."""
    monkeypatch.setattr(retention, "EVERY", 0.05)
    monkeypatch.setattr(retention, "BATCH", 50)
    toy = await embedded_toys.refunds()
    async with toy.database.connection() as connection:
        days = await connection.fetchval(f"select interval '{age}'")
        await connection.execute(ROWS[table], 151, days)
        await connection.execute(ROWS[table].replace("n::text", "'young'"), 1, days / 2)
        await connection.execute("create table steps (rows bigint)")
        await connection.execute(
            "create function note_step() returns trigger language plpgsql as $$ begin "
            "insert into steps select count(*) from gone; return null; end $$"
        )
        await connection.execute(
            f"create trigger step after delete on {table} referencing old table as gone execute function note_step()"
        )
    async with running(run_retention(toy.uow)):
        await becomes(toy.count(table), 1)
    assert sorted(await toy.fetch("select rows from steps where rows > 0")) == [1, 50, 50, 50]
    await toy.fetch("drop function note_step cascade")
    await toy.fetch("drop table steps")
