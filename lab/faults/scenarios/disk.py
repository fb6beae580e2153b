"""The disk of the embedded database is full while orders are cancelled: no accepted cancellation is lost, and the
system recovers when there is space again."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from batalkan.keys import make_keys
from lab.faults.lab import Lab
from lab.faults.outcomes import CannotRun
from tests.harness.actors import Buyer, Seller
from tests.harness.waiting import eventually

MEGABYTES = 400
BACK = 60.0
"""Seconds until cancelling works again after there is space."""

ALERTS = {"SamplesFail"}
LONG = {"full": 30, "times": 5}


async def run(lab: Lab, full: float = 5.0, times: int = 1) -> None:
    """Cancels, so many `times` on a `full` disk for so many seconds, and checks the accepted cancellations."""
    with small_disk() as disk:
        async with lab.embedded(disk) as http:
            keys = make_keys(disk / "keys")
            seller, buyer = Seller.signed(http, keys, "seller"), Buyer.signed(http, keys, "buyer")
            product = await seller.offer(stock=10_000)
            refused = 0
            for _ in range(times):
                await live(lab, buyer, product, 5.0, enough=10)
                lab.history.note("disk full", seconds=full)
                with filled(disk):
                    refused += await live(lab, buyer, product, full)
                began = time.monotonic()
                await eventually(lambda: works(lab, buyer, product), BACK, every=0.5)
                lab.figures["back_s"] = round(time.monotonic() - began, 1)
            await lab.embedded_at_rest(disk, BACK)
            lab.hold(refused > 0, "nothing was refused: the disk was not full")
            lab.figures |= {"refused": refused, "times": times}


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
    placing = {"lines": [{"product_id": product, "quantity": 1}], "payment_method": "bank_transfer"}
    order: dict[str, Any] = {}
    for step in ("", "pay", "cancel"):
        path = f"/orders/{order['order_id']}/{step}" if order else "/orders"
        answer = await buyer.ask("POST", path, None if order else placing)
        if answer.status_code == 503:
            return False
        lab.hold(answer.is_success, f"{path} was answered {answer.status_code}: {answer.text[:300]}")
        order = answer.json()
    lab.history.accept(order["order_id"], order["cancellation"]["cancellation_id"])
    return True


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
def filled(disk: Path) -> Iterator[None]:
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
