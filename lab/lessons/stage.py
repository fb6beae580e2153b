"""What the plays of the lessons stand on: the services in this process, people, steps, and the verdict."""

import asyncio
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, TypeVar
from unittest.mock import patch
from uuid import UUID, uuid4

from batalkan.invariants import Snapshot, check
from lab.faults.mutations import TREE
from runtime.messaging.bus.memory import MemoryBus
from runtime.storage import embedded
from runtime.storage.database import connect
from services import SERVICES
from tests.harness.actors import Agent, Buyer, Person, Seller
from tests.harness.system import SystemUnderTest
from tests.harness.system import embedded as services_running
from tests.harness.waiting import eventually

P = TypeVar("P", bound=Person)
Tell = Callable[[dict[str, Any]], object]
"""Takes a line: a step, or the verdict."""

ACTING = tuple(name for name in SERVICES if name != "web")
"""The services without the pages, which have no part in events."""
PREPARED = TREE / ".batalkan" / "lessons"
PRICE = 145_000
CALM, LONGEST = 1.0, 6.0
"""Seconds without work in flight after which a wrong state counts as final; seconds until any state does."""


@dataclass
class Stage:
    """The running services of one lesson, in a folder of their own."""

    folder: Path
    tell: Tell
    owed: int = 0
    """What the buyer has coming, in rupiah."""
    figures: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What the play itself has found wrong."""
    running: AsyncExitStack = field(default_factory=AsyncExitStack)
    _ids: dict[type[Person], UUID] = field(default_factory=dict)
    _system: SystemUnderTest | None = None

    @property
    def system(self) -> SystemUnderTest:
        """The running services."""
        assert self._system is not None
        return self._system

    @property
    def bus(self) -> MemoryBus:
        """Their broker."""
        bus = self.system.bus("")
        assert isinstance(bus, MemoryBus)
        return bus

    def step(self, key: str, **fields: object) -> None:
        """Tells a step."""
        self.tell({"step": key, "fields": {name: _plain(value) for name, value in fields.items()}})

    async def start(self) -> None:
        """Starts the services."""
        with patch("batalkan.system.SERVICES", ACTING):
            self._system = await self.running.enter_async_context(services_running(self.folder, ""))

    async def stop(self) -> None:
        """Ends the services; the databases run on."""
        await self.running.aclose()

    async def restart(self) -> None:
        """Ends the services, if they run, and starts them anew on the same databases."""
        await self.stop()
        await self.start()
        self.step("restarted")

    def _person(self, kind: type[P], role: str) -> P:
        account_id = self._ids.setdefault(kind, uuid4())
        return kind.signed(self.system.http, self.system.keys, role, account_id=account_id)

    @property
    def buyer(self) -> Buyer:
        """The one buyer."""
        return self._person(Buyer, "buyer")

    @property
    def seller(self) -> Seller:
        """The one seller."""
        return self._person(Seller, "seller")

    @property
    def agent(self) -> Agent:
        """The one agent of customer service."""
        return self._person(Agent, "agent")

    async def paid_order(self) -> str:
        """An order of one piece, paid; returns its id."""
        order_id = await self.buyer.buy(await self.seller.offer(price=PRICE, stock=10))
        self.step("ordered", order_id=order_id, paid=PRICE)
        return order_id

    async def cancel(self, order_id: str) -> None:
        """The buyer cancels in the app: the money is owed."""
        (await self.buyer.cancel(order_id)).raise_for_status()
        self.owed += PRICE
        self.step("cancelled", order_id=order_id, owed=PRICE)

    async def later(self, hours: int = 0, seconds: int = 0) -> None:
        """Moves the clock of all services."""
        await self.system.advance(timedelta(hours=hours, seconds=seconds))
        self.step("clock_moved", hours=hours, seconds=seconds)

    async def value(self, service: str, query: str, *arguments: object) -> Any:
        """The single value of a query on a service's database."""
        return await on_database(self.system.database_urls[service], query, *arguments)

    async def until(self, service: str, query: str, *arguments: object, within: float = 20.0) -> Any:
        """As `value`, once it is true. Raises TimeoutError."""
        return await eventually(lambda: self.value(service, query, *arguments), within)

    async def back(self) -> int:
        """What has reached the buyer, in rupiah: Lazada Credit, and what DANA has paid."""
        credit = await self.value(
            "refunds", "select coalesce(sum(amount), 0)::bigint from ledger_entries where account = 'lazada_credit'"
        )
        paid: int = sum(payment["amount"] for payment in await self.system.dana_payments())
        return int(credit) + paid

    async def verdict(self) -> bool:
        """Waits until nothing is in flight, asks the invariants, and tells the verdict; returns whether the promise was
        kept."""
        began = calm_since = monotonic()
        while True:
            snapshot, back = await self._look(), await self.back()
            now = monotonic()
            calm_since = now if snapshot.pending else calm_since
            kept = not snapshot.broken and back == self.owed and not self.wrong
            if (kept and not snapshot.pending) or now - calm_since > CALM or now - began > LONGEST:
                break
            await asyncio.sleep(0.1)
        figures = {"owed": self.owed, "back": back, "parked": snapshot.parked, **self.figures}
        broken = [*snapshot.broken, *self.wrong]
        self.tell({"verdict": {"promise_kept": kept, "broken": broken, "figures": figures}})
        return kept

    async def _look(self) -> Snapshot:
        return await check(self.system.database_urls, self.system.dana)


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else str(value)


async def on_database(url: str, query: str, *arguments: object) -> Any:
    """The single value of a query."""
    connection = await connect(url)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


@asynccontextmanager
async def opened(tell: Tell, prepare: Callable[[Any], Awaitable[None]]) -> AsyncIterator[Stage]:
    """A stage with a copy of the prepared databases, which `prepare` may change before the services start. The
    databases run on while the services start anew; at the end the folder is deleted."""
    made_before = await prepared()
    with tempfile.TemporaryDirectory(prefix="batalkan-lesson-", ignore_cleanup_errors=True) as made:
        folder = Path(made) / "data"
        await asyncio.to_thread(copy, made_before, folder)
        async with embedded.running(f"{embedded.SCHEME}{folder}", ACTING) as urls:
            await prepare(urls)
            stage = Stage(folder, tell)
            try:
                yield stage
            finally:
                await stage.stop()


def copy(source: Path, target: Path) -> None:
    """Copies the folder with the owners of its files."""
    subprocess.run(["cp", "-a", source, target], check=True)  # noqa: S603, S607


async def prepared() -> Path:
    """The folder with keys and migrated databases; made once for each state of the migrations, which takes seconds."""
    files = sorted([*TREE.glob("services/*/migrations/*.py"), *TREE.glob("runtime/storage/migrations/**/*.py")])
    state = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]
    if (folder := PREPARED / state).exists():
        return folder
    for old in PREPARED.glob("[!n]*"):
        shutil.rmtree(old, ignore_errors=True)
    new = PREPARED / f"new-{uuid4().hex}"
    async with embedded.running(f"{embedded.SCHEME}{new}", ACTING) as urls:
        async with services_running(new, ""):
            pass
        await on_database(urls["orders"], "checkpoint")  # it ends at once then, and its copies need no recovery
    with (new / "postgres" / "postgresql.conf").open("a") as settings:
        settings.write("\nfsync = off\n")  # what a lesson writes need not survive a power cut
    try:
        new.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(new)
    return folder
