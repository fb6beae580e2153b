"""Meters: CPU and memory of processes from /proc, statements and fsyncs from PostgreSQL's statistics."""

import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from batalkan.operate import connected
from batalkan.subprocesses import descendants

TICKS = os.sysconf("SC_CLK_TCK")
MEGABYTE = 1024 * 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of the process and its descendants, including ended ones."""
    total = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return total / TICKS


def memory(pid: int) -> float:
    """Megabytes of the process and its descendants; shared memory counts once (PSS)."""
    total = 0
    for one in (pid, *descendants(pid)):
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


@dataclass(frozen=True)
class Counted:
    """Counters of some databases, and of the whole PostgreSQL server (`fsyncs`, `wal_bytes`)."""

    statements: int
    commits: int
    fsyncs: int
    wal_bytes: int
    by_statement: Mapping[str, tuple[int, float]]
    """Calls and milliseconds of each statement."""

    def since(self, before: "Counted") -> "Counted":
        """The difference to `before`, with the statements that ran meanwhile."""
        by_statement = {}
        for query, (calls, milliseconds) in self.by_statement.items():
            old_calls, old_milliseconds = before.by_statement.get(query, (0, 0.0))
            if calls > old_calls:
                by_statement[query] = (calls - old_calls, milliseconds - old_milliseconds)
        return Counted(
            self.statements - before.statements,
            self.commits - before.commits,
            self.fsyncs - before.fsyncs,
            self.wal_bytes - before.wal_bytes,
            by_statement,
        )


async def count(admin_url: str, databases: list[str]) -> Counted:
    """The current counters."""
    async with connected(admin_url) as connection:
        statements = await connection.fetch(
            "select query, sum(calls)::bigint as calls, sum(total_exec_time + total_plan_time) as ms "
            "from pg_stat_statements s join pg_database d on d.oid = s.dbid "
            "where d.datname = any($1) group by query",
            databases,
        )
        commits = await connection.fetchval(
            "select sum(xact_commit)::bigint from pg_stat_database where datname = any($1)", databases
        )
        wal = await connection.fetchrow("select wal_sync, wal_bytes::bigint from pg_stat_wal")
        by_statement = {row["query"]: (row["calls"], row["ms"]) for row in statements}
        calls = sum(calls for calls, _ in by_statement.values())
        return Counted(calls, commits, wal["wal_sync"], wal["wal_bytes"], by_statement)


async def disk_space(url: str) -> tuple[float, float]:
    """Megabytes of all tables and of all indexes of a database."""
    async with connected(url) as connection:
        row = await connection.fetchrow(
            "select sum(pg_table_size(relid)) / $1 as tables, sum(pg_indexes_size(relid)) / $1 as indexes "
            "from pg_stat_user_tables",
            MEGABYTE,
        )
        return float(row["tables"]), float(row["indexes"])


BOUNDED = ("clock", "consumed_until", "agents", "outbox", "deadlines", "parked", "failures", "alembic_version")
"""Tables that do not grow with the number of orders, or are emptied continuously."""
LARGE = 30_000
"""Rows. For a smaller table a sequential scan is right; from about this size a BRIN index pays off."""


async def rows_scanned(urls: Mapping[str, str]) -> dict[str, int]:
    """Rows of each large table that grows that sequential scans have read so far, by `service.table`.

    It counts rows, not scans: idle sessions report the scans of tables that were empty at the start up to ten seconds
    late.
    """
    found = {}
    for service, url in urls.items():
        async with connected(url) as connection:
            rows = await connection.fetch(
                "select relname, seq_tup_read from pg_stat_user_tables where n_live_tup >= $1 and relname <> all($2)",
                LARGE,
                BOUNDED,
            )
            found.update({f"{service}.{row['relname']}": row["seq_tup_read"] for row in rows})
    return found


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and maximum, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else (list(seconds) or [0.0]) * 99
    figures = {"p50": cuts[49], "p99": cuts[98], "max": max(seconds, default=0.0)}
    return {name: round(1000 * figure, 1) for name, figure in figures.items()}
