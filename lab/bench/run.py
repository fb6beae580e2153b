"""One measured run: seeds orders, lets the clients cancel them, and waits until every order shows its refund."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

from batalkan.invariants import check
from batalkan.operate import connected
from batalkan.servers import LocalServers
from batalkan.subprocesses import Child, Reaper
from lab.bench import meters
from lab.bench.clients import Task
from lab.bench.environment import FASTSTREAM
from lab.bench.seed import seed
from lab.bench.variants import ROOT, Variant, pid_of
from tests.harness.actors import access_token

TIMEOUT = 180.0
"""Seconds for the last refund after the last answer."""
ORDERS_PER_REPEAT = 1_000_000


class RunFailed(Exception):
    """A request was refused, a refund is missing, or an invariant is broken: the figures are worthless."""


@dataclass(frozen=True)
class RunFigures:
    """The figures of a run, in milliseconds and megabytes; per saga where the name says so."""

    variant: str
    sagas: int
    rate: float
    """Requested rate per second; 0 for a closed loop."""
    sagas_per_second: float
    cpu_ms_per_saga: float
    """All processes except the clients."""
    cpu_by_process: Mapping[str, float]
    turned_away: int
    """Answers 503, after which the client retried."""
    http_ms: Mapping[str, float]
    saga_ms: Mapping[str, float]
    memory_mb: Mapping[str, float]
    statements_per_saga: float
    commits_per_saga: float
    fsyncs_per_saga: float
    wal_bytes_per_saga: float
    scanned: Mapping[str, int] = field(default_factory=dict)
    """Rows of large growing tables that sequential scans have read: there should be none."""
    statements: Sequence[tuple[str, float, float]] = field(default=())
    """The statements that cost PostgreSQL most: text, calls per saga, milliseconds per saga."""


class Run:
    """Measures a running variant."""

    def __init__(self, servers: LocalServers, variant: Variant, number: int = 0) -> None:
        self._servers = servers
        self._variant = variant
        self._seeded = number * ORDERS_PER_REPEAT

    async def warm_up(self, orders: int, clients: int) -> None:
        """Runs without measuring: fills caches, prepares statements, opens connections."""
        await self._settle(await self._clients(await self._seed(orders), clients, 0.0))

    async def measure(self, orders: int, clients: int, rate: float = 0.0, profile: Path | None = None) -> RunFigures:
        """Measures a run of so many orders. Raises `RunFailed`."""
        seeded = await self._seed(orders)
        names = [url.rpartition("/")[2] for url in self._variant.databases.values()]
        postgres, rabbitmq = (pid_of(server.child) for server in (self._servers.postgres, self._servers.rabbitmq))
        pids = {**self._variant.pids, "postgresql": postgres, "rabbitmq": rabbitmq}
        counted = await meters.count(self._servers.postgres.admin_url, names)
        scans = await meters.rows_scanned(self._variant.databases)
        cpu = {name: meters.cpu_seconds(pid) for name, pid in pids.items()}
        result = await self._clients(seeded, clients, rate, profile)
        shown = await self._settle(result)
        spent = {name: meters.cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
        after = (await meters.count(self._servers.postgres.admin_url, names)).since(counted)
        memory = {name: meters.memory(pid) for name, pid in pids.items()}
        scanned = await meters.rows_scanned(self._variant.databases)
        seconds = max(shown.values()) - min(result["began"].values())
        per_saga = {name: round(1000 * one / orders, 3) for name, one in spent.items()}
        sagas = [1000 * (shown[order_id] - began) for order_id, began in result["began"].items()]
        top = sorted(after.by_statement.items(), key=lambda item: -item[1][1])[:25]
        commits = sum(calls for query, (calls, _) in after.by_statement.items() if query.lower().startswith("commit"))
        return RunFigures(
            variant=self._variant.name,
            sagas=orders,
            rate=rate,
            sagas_per_second=round(orders / seconds, 1),
            cpu_ms_per_saga=round(sum(per_saga.values()), 3),
            cpu_by_process={**per_saga, "generator": round(1000 * result["cpu_seconds"] / orders, 3)},
            turned_away=result["statuses"].get("503", 0),
            http_ms=_cuts([1000 * one for one in result["seconds"]]),
            saga_ms=_cuts(sagas),
            memory_mb={name: round(one, 1) for name, one in memory.items()},
            statements_per_saga=round(after.statements / orders, 2),
            commits_per_saga=round(commits / orders, 2),
            fsyncs_per_saga=round(after.fsyncs / orders, 2),
            wal_bytes_per_saga=round(after.wal_bytes / orders),
            scanned={
                table: count - scans[table] for table, count in scanned.items() if count > scans.get(table, count)
            },
            statements=[(query, round(n / orders, 2), round(ms / orders, 4)) for query, (n, ms) in top],
        )

    async def _seed(self, orders: int) -> list[tuple[str, str]]:
        """Seeds the orders; returns (order, token) for each."""
        seeded = await seed(self._variant.databases, self._seeded, orders)
        self._seeded += orders
        keys, buyers = self._variant.keys, dict.fromkeys(buyer for _, buyer in seeded)
        issued = {buyer: access_token(keys, "buyer", UUID(buyer), session="bench") for buyer in buyers}
        async with connected(self._servers.postgres.admin_url) as admin:
            await admin.execute("checkpoint")  # otherwise one run would have a checkpoint and another none
        return [(order, issued[buyer]) for order, buyer in seeded]

    async def _clients(
        self, orders: list[tuple[str, str]], clients: int, rate: float, profile: Path | None = None
    ) -> dict[str, Any]:
        task = Task(self._variant.origins, orders, clients, rate)
        if profile:
            await asyncio.to_thread(FASTSTREAM.python)  # the installation takes longer than the clients
        reaper = Reaper()
        with tempfile.TemporaryDirectory() as folder:
            task_file, result_file = f"{folder}/task.json", f"{folder}/result.json"
            await asyncio.to_thread(Path(task_file).write_text, json.dumps(asdict(task)))
            argv = [sys.executable, "-m", "lab.bench.clients", task_file, result_file]
            child = Child("clients", argv, reaper=reaper, log=Path(folder, "log"), cwd=ROOT)
            child.spawn()
            profilers = await self._profile(profile, reaper) if profile else []
            code = await child.wait(600)
            for profiler in profilers:
                await profiler.wait(60)
            reaper.close()
            if code != 0:
                raise RunFailed(child.tail())
            found: dict[str, Any] = json.loads(await asyncio.to_thread(Path(result_file).read_text))
        if not {"200"} <= set(found["statuses"]) <= {"200", "503"}:
            raise RunFailed(f"{self._variant.name} answered {found['statuses']}")
        return found

    async def _profile(self, folder: Path, reaper: Reaper) -> list[Child]:
        """Starts py-spy (from the environment of `faststream`) for each of the variant's processes."""
        profilers = []
        for name, pid in self._variant.pids.items():
            out = folder / f"{self._variant.name}-{name}.txt"
            arguments = ["record", "-p", pid, "-d", "8", "-r", "200", "--gil", "-f", "raw", "-o", out]
            argv = [str(part) for part in (FASTSTREAM.program("py-spy"), *arguments)]
            profiler = Child("py-spy", argv, reaper=reaper, log=folder / "py-spy.log")
            profiler.spawn()
            profilers.append(profiler)
        return profilers

    async def _settle(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Waits until every order shows its refund; returns the commit time of each (seconds since the epoch)."""
        async with connected(self._variant.databases["orders"]) as connection:
            await connection.execute("set enable_seqscan = off")  # the benchmark's scans must not count
            await connection.execute("create temp table awaited (order_id uuid primary key)")
            await connection.copy_records_to_table("awaited", records=[(UUID(one),) for one in result["began"]])
            await connection.execute("analyze awaited")
            end = monotonic() + TIMEOUT
            while await connection.fetchval(
                "select exists (select from awaited a where not exists "
                "(select from cancellations c where c.order_id = a.order_id and c.lines is null "
                "and c.refund_state = 'issued'))"
            ):
                if monotonic() > end:
                    raise RunFailed(f"{self._variant.name}: refunds did not arrive within {TIMEOUT:g} s")
                await asyncio.sleep(0.05)
            rows = await connection.fetch(
                "select order_id::text, extract(epoch from pg_xact_commit_timestamp(c.xmin))::float8 as shown "
                "from awaited join cancellations c using (order_id) where c.lines is null"
            )
            return {row["order_id"]: row["shown"] for row in rows}


async def check_snapshot(variant: Variant) -> None:
    """Checks the variant's invariants. Raises `RunFailed`."""
    # Only these two stores: the orders were seeded without events, so that read models do not have them.
    snapshot = await check({name: variant.databases[name] for name in ("orders", "refunds")})
    if snapshot.broken or snapshot.pending or snapshot.ledger_sum or snapshot.open_refunds:
        raise RunFailed(f"{variant.name}: {[*snapshot.broken, *snapshot.pending][:3] or snapshot}")


def _cuts(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        f"p{part:g}": round(ordered[min(len(ordered) - 1, int(len(ordered) * part / 100))], 1)
        for part in (50, 99, 99.9)
    }
