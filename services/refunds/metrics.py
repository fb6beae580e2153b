"""The metrics of `refunds`: money on its way, and the ledger. All are sampled."""

from time import time
from uuid import UUID

from prometheus_client import Gauge

from runtime.observability.sampling import Rows
from runtime.storage.database import Database

NOT_ISSUED = Gauge("batalkan_refunds_not_issued", "Refunds whose money has not arrived", ["service", "state"])
NOT_ISSUED_AGE = Gauge(
    "batalkan_refunds_not_issued_oldest_age_seconds", "Age of the oldest of them", ["service", "state"]
)
UNCERTAIN = Gauge("batalkan_refunds_uncertain", "Refunds whose last call to DANA has no known outcome", ["service"])
LEDGER = Gauge("batalkan_ledger_rupiah", "Sum of the entries; that of all accounts is 0", ["service", "account"])

STATES = """
select s.state, count(r.opened_at), coalesce(extract(epoch from clock_now() - min(r.opened_at)), 0)::float8
from unnest(array['pending', 'sending']) as s (state)
left join (select state, opened_at from refunds where state <> 'issued') as r using (state) group by s.state
"""
CALLS = "select count(*) from refunds where state <> 'issued' and uncertain"

_CHUNK = """
select account, sum(amount)::bigint as amount, count(*) as entries, max(transaction_id::text)::uuid as last from (
    select account, amount, transaction_id from ledger_entries where transaction_id > $1 and transaction_id < $2
    order by transaction_id fetch first $3 rows with ties
) as next group by account
"""
CHUNK = 100_000
"""Entries that one sample reads."""
SETTLED = 60.0
"""Seconds after which the entries of a transaction, whose id has the time of its begin, are committed."""


class Ledger:
    """The sums of the accounts, up to a minute ago. Reads each entry once, by the index, for the ledger is only ever
    added to. Nothing is known until it has come to the end for the first time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sums: dict[str, int] = {}
        self._last = UUID(int=0)

    async def read(self) -> Rows:
        """Takes the next entries; the sum of each account, unless there are more."""
        until = UUID(int=int((time() - SETTLED) * 1000) << 80)  # a UUIDv7 begins with milliseconds
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CHUNK, self._last, until, CHUNK)
        for row in rows:
            self._sums[row["account"]] = self._sums.get(row["account"], 0) + row["amount"]
            self._last = max(self._last, row["last"])
        return list(self._sums.items()) if sum(row["entries"] for row in rows) < CHUNK else []
