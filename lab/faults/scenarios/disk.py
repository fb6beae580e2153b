"""The disk of the embedded database is full while orders are cancelled: no accepted cancellation is lost, and the
system recovers when there is space again."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx

from batalkan.invariants import Evidence, check
from batalkan.keys import make_keys
from batalkan.operate import database_urls
from batalkan.servers.data_folder import free_ports
from batalkan.subprocesses import Child, Reaper
from lab.faults.lab import Lab
from lab.faults.outcomes import CannotRun
from runtime.settings import Environment
from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

MEGABYTES = 400
BACK = 60.0
"""Seconds until cancelling works again after there is space."""


@dataclass(frozen=True)
class Size:
    """Seconds for which the disk is full, and how often."""

    full: float
    times: int


SHORT = Size(5, 1)
LONG = Size(30, 5)


async def run(lab: Lab, size: Size) -> None:
    """Fills the disk, cancels, frees it, and checks the accepted cancellations."""
    with small_disk() as disk:
        async with serving(disk, lab.history.folder) as http:
            keys = make_keys(disk / "keys")
            seller, buyer = Seller.signed(http, keys, "seller"), Buyer.signed(http, keys, "buyer")
            product = await seller.offer(stock=10_000)
            refused = 0
            for _ in range(size.times):
                await live(lab, buyer, product, 5.0, enough=10)
                lab.history.note("disk full", seconds=size.full)
                with full(disk):
                    refused += await live(lab, buyer, product, size.full)
                began = time.monotonic()
                await eventually(lambda: works(lab, buyer, product), BACK, every=0.5)
                lab.figures["back_s"] = round(time.monotonic() - began, 1)
            async with database_urls(Environment({}), disk) as urls:
                evidence = Evidence(lab.history.accepted)

                async def rests() -> bool:
                    return not (await check(urls, evidence=evidence)).pending

                await eventually(rests, BACK, every=0.5)
                snapshot = await check(
                    urls, evidence=evidence
                )  # check again: changes during the first check look like violations
            lab.hold(not snapshot.broken, "; ".join(snapshot.broken))
            lab.hold(refused > 0, "nothing was refused: the disk was not full")
            lab.figures |= {"cancels": len(lab.history.accepted), "refused": refused, "times": size.times}


async def live(lab: Lab, buyer: Buyer, product: str, seconds: float, enough: int = 10**9) -> int:
    """Orders, pays and cancels for so many seconds; the number of 503 answers."""
    end, refused, done = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end and done < enough:
        if await works(lab, buyer, product):
            done += 1
        else:
            refused += 1
            await asyncio.sleep(0.1)
    return refused


async def works(lab: Lab, buyer: Buyer, product: str) -> bool:
    """Whether one order can be placed, paid and cancelled; any error but 503 is a violation."""
    placed = await asked(lab, buyer, "/orders", placing(product))
    order_id = placed.get("order_id")
    if not placed or not await asked(lab, buyer, f"/orders/{order_id}/pay"):
        return False
    done = await asked(lab, buyer, f"/orders/{order_id}/cancel")
    if done:
        lab.history.accept(done["order_id"], done["cancellation"]["cancellation_id"])
    return bool(done)


def placing(product: str) -> dict[str, object]:
    """A request for one piece."""
    return {"lines": [{"product_id": product, "quantity": 1}], "payment_method": "bank_transfer"}


async def asked(lab: Lab, buyer: Buyer, path: str, body: object = None) -> dict[str, Any]:
    """The answer; empty for a 503."""
    answer = await buyer.ask("POST", path, body)
    if answer.status_code == 503:
        return {}
    lab.hold(answer.is_success, f"{path} was answered {answer.status_code}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def small_disk() -> Iterator[Path]:
    """A small disk in memory. Raises `CannotRun` if it cannot be mounted."""
    folder = Path(mkdtemp(prefix="batalkan-disk-"))
    folder.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,mode=755", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:  # noqa: S603
        folder.rmdir()
        raise CannotRun("the scenario mounts a small disk, which needs root and a container that allows it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607
        folder.rmdir()


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Fills the disk with a file, for the duration of the block."""
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        filling = memoryview(bytes(1024 * 1024))
        for piece in (len(filling), 4096):
            try:
                while True:
                    os.write(file.fileno(), filling[:piece])
            except OSError:
                continue
    try:
        yield
    finally:
        ballast.unlink()


@asynccontextmanager
async def serving(disk: Path, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Runs `batalkan up` with its data on the disk; its log is stored with the history."""
    reaper, port = Reaper(), next(free_ports())
    command = [sys.executable, "-m", "batalkan", "up", "--data", str(disk), "--port", str(port)]
    child = Child("batalkan up", command, reaper=reaper, log=folder / "up.log", env=dict(os.environ))
    child.spawn()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as http:

            async def ready() -> bool:
                answers = [await http.get(f"/{name}/health/ready") for name in ("orders", "refunds")]
                return all(answer.status_code == 200 for answer in answers)

            await child.until(lambda: _quietly(ready), timeout=120)
            yield http
    finally:
        await child.stop(20)
        reaper.close()


async def _quietly(look: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await look()
    except httpx.TransportError:
        return False
