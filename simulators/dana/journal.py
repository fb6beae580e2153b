"""DANA's journal in SQLite: what is written before an answer is sent survives a `kill -9`."""

import asyncio
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

from simulators.dana import replies
from simulators.dana.replies import Reply, Service
from simulators.dana.signature import JAKARTA

T = TypeVar("T")

PaymentState = Literal["paid", "pending", "failed"]
AccountState = Literal["active", "frozen", "closed"]

SCHEMA = """
create table if not exists payments (
    reference text primary key,
    number text not null,
    amount integer not null check (amount > 0),
    state text not null check (state in ('paid', 'pending', 'failed')),
    at text not null,
    dana_reference text not null unique,
    settles_at text,
    settles_as text check (settles_as in ('paid', 'failed'))
);
create index if not exists pending on payments (settles_at) where state = 'pending';
create table if not exists external_ids (day text, external_id text, primary key (day, external_id)) without rowid;
create table if not exists requests (
    id integer primary key, at text not null, service text not null, external_id text, reference text, phone text,
    fault text not null, code text not null
);
create index if not exists requests_reference on requests (reference);
create table if not exists accounts (number text primary key, state text not null);
"""


@dataclass(frozen=True)
class Payment:
    """The payment under one reference."""

    reference: str
    number: str
    amount: int
    state: PaymentState
    dana_reference: str


@dataclass(frozen=True)
class Entry:
    """The journal's entry of a request, without the answer. `external_id` is None unless it was authenticated."""

    service: Service
    fault: str
    external_id: str | None = None
    reference: str | None = None
    number: str | None = None


class JournalTransaction:
    """The journal inside one transaction."""

    def __init__(self, db: sqlite3.Connection, now: datetime) -> None:
        self._db = db
        self.now = now

    def is_new(self, external_id: str) -> bool:
        """Whether this X-EXTERNAL-ID is new today; records it."""
        day = f"{self.now.astimezone(JAKARTA):%Y-%m-%d}"
        sql = "insert into external_ids values (?, ?) on conflict do nothing"
        return self._db.execute(sql, (day, external_id)).rowcount == 1

    def note(self, entry: Entry, reply: Reply) -> None:
        """Records the request with its reply (which a fault may keep from the caller)."""
        phone = masked(entry.number) if entry.number else None
        row = (self.now.isoformat(), entry.service.value, entry.external_id, entry.reference, phone, entry.fault)
        self._db.execute(
            "insert into requests (at, service, external_id, reference, phone, fault, code) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            (*row, reply.code(entry.service)),
        )

    def find(self, reference: str) -> Payment | None:
        """The payment under this reference, if there is one."""
        row = self._db.execute(
            "select reference, number, amount, state, dana_reference from payments where reference = ?", (reference,)
        ).fetchone()
        return Payment(*row) if row else None

    def enter(
        self, reference: str, number: str, amount: int, state: PaymentState, settles: tuple[datetime, str] | None = None
    ) -> Payment:
        """Adds a payment. The primary key refuses a second one under the same reference."""
        dana_reference = f"{self.now.astimezone(JAKARTA):%Y%m%d}{secrets.randbelow(10**20):020d}"
        settles_at, settles_as = (settles[0].isoformat(), settles[1]) if settles else (None, None)
        self._db.execute(
            "insert into payments values (?, ?, ?, ?, ?, ?, ?, ?)",
            (reference, number, amount, state, self.now.isoformat(), dana_reference, settles_at, settles_as),
        )
        return Payment(reference, number, amount, state, dana_reference)

    def settle(self, state: PaymentState, reference: str | None = None) -> int:
        """Ends pending payments, of one reference or all; returns their number."""
        sql = "update payments set state = ?, at = ? where state = 'pending' and (? is null or reference = ?)"
        return self._db.execute(sql, (state, self.now.isoformat(), reference, reference)).rowcount

    def account(self, number: str) -> AccountState:
        """The state of an account: active, unless the control interface has changed it."""
        row = self._db.execute("select state from accounts where number = ?", (number,)).fetchone()
        state: AccountState = row[0] if row else "active"
        return state

    def set_account(self, number: str, state: AccountState) -> None:
        """Sets the state of an account."""
        self._db.execute("insert or replace into accounts values (?, ?)", (number, state))

    def open_accounts(self) -> None:
        """Makes all accounts active again."""
        self._db.execute("delete from accounts")

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        """Reads rows for the control interface."""
        cursor = self._db.execute(sql, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


class Journal:
    """The journal. One thread owns the connection: there is one writer, and the event loop never waits for the disk."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(SCHEMA)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dana-journal")
        self._open = True

    async def record(self, entry: Entry, decide: Callable[[JournalTransaction], Reply]) -> Reply:
        """Decides on a request and records it with its effects, in one transaction, durable on return."""

        def run(tx: JournalTransaction) -> Reply:
            new = entry.external_id is None or tx.is_new(entry.external_id)
            reply = decide(tx) if new else replies.CONFLICT
            tx.note(entry, reply)
            return reply

        return await self.within(run)

    async def within(self, do: Callable[[JournalTransaction], T]) -> T:
        """Runs `do` in a transaction, also to its end if the caller is cancelled, as DANA does."""

        def run() -> T:
            with self._transaction() as tx:
                return do(tx)

        return await asyncio.get_running_loop().run_in_executor(self._thread, run)

    def close(self) -> None:
        """Finishes the current transaction and closes the file. May be called again."""
        if self._open:
            self._open = False
            self._thread.shutdown()
            self._db.close()

    @contextmanager
    def _transaction(self) -> Iterator[JournalTransaction]:
        self._db.execute("begin immediate")
        try:
            tx = JournalTransaction(self._db, datetime.now(UTC))
            self._db.execute(
                "update payments set state = settles_as, at = settles_at where state = 'pending' and settles_at <= ?",
                (tx.now.isoformat(),),
            )
            yield tx
            self._db.execute("commit")
        except BaseException:
            self._db.execute("rollback")
            raise


def masked(number: str) -> str:
    """A phone number with its middle digits hidden."""
    return f"{number[:5]}****{number[-3:]}"
