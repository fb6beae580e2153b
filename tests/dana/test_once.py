"""One reference is paid once: asked twenty times at a time, or across a simulator that is killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.refunds.answers import Answer, Outcome
from services.refunds.snap import Dana
from tests.harness.waiting import eventually

from .conftest import Control
from .partner import PHONE, Partner, new_reference, public_pem


async def test_twenty_at_a_time_pay_once(dana: Dana, control: Control) -> None:
    """Twenty identical payments at the same time are all PAID, and the journal has one."""
    reference = new_reference()
    answers = await asyncio.gather(*(dana.top_up(reference, PHONE, 42_000) for _ in range(20)))
    assert {answer.outcome for answer in answers} == {Outcome.PAID}
    [payment] = await control.payments(reference)
    assert (payment["amount"], payment["calls"], payment["phone"]) == (42_000, 20, "62812****890")


async def test_a_reference_with_another_content_is_inconsistent(dana: Dana, control: Control) -> None:
    """The same reference with another amount or number is 4043818, which is UNKNOWN: DANA has something under it."""
    reference = new_reference()
    assert (await dana.top_up(reference, PHONE, 42_000)).outcome is Outcome.PAID
    for phone, amount in ((PHONE, 42_001), ("6281298765432", 42_000)):
        assert await dana.top_up(reference, phone, amount) == Answer(Outcome.UNKNOWN, "4043818")
    [payment] = await control.payments(reference)
    assert payment["amount"] == 42_000


@asynccontextmanager
async def process(journal: Path, key: RSAPrivateKey) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The simulator as a process of its own, once it answers."""
    pem = journal.with_suffix(".pem")
    pem.write_bytes(public_pem(key))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    settings = {"DANA_PARTNER_KEY": str(pem), "DANA_JOURNAL": str(journal), "PORT": str(port), "LOG_LEVEL": "error"}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.dana", env={**os.environ, **settings}
    )
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        assert running.returncode is None, "the simulator has ended"
        try:
            return (await http.get("/health/live")).is_success
        except httpx.ConnectError:
            return False

    try:
        async with client(url) as http:
            await eventually(answers)
        yield url, running
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


def client(url: str) -> httpx.AsyncClient:
    """A client for requests by hand."""
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=20)


async def paid(http: httpx.AsyncClient) -> list[str]:
    """The references that are paid in the journal."""
    return [item["reference"] for item in (await http.get("/control/journal")).json()["items"]]


@pytest.mark.processes
async def test_answered_payments_survive_a_kill(tmp_path: Path, key: RSAPrivateKey) -> None:
    """After a kill amid 120 payments, of which one hangs after it was paid, every PAID payment and that one are PAID,
    sending all again pays each once, and an X-EXTERNAL-ID of before is still used up."""
    journal, references = tmp_path / "journal.sqlite", [new_reference() for _ in range(120)]
    answers: dict[str, Answer] = {}
    once = {"X-EXTERNAL-ID": uuid4().hex}
    async with process(journal, key) as (url, simulator), client(url) as http:
        dana = Dana(url, "batalkan", key)

        async def pay(reference: str) -> None:
            answers[reference] = await dana.top_up(reference, PHONE, 1_000)
            if len(answers) == 30:
                simulator.send_signal(signal.SIGKILL)

        await Partner(http, key).top_up("refund-by-hand", headers=once)
        await http.put("/control/faults", json={"mode": "timeout_after", "seconds": 60, "times": 1})
        hanging = asyncio.create_task(pay(references[0]))
        await eventually(lambda: paid(http), enough=lambda found: references[0] in found)
        await asyncio.gather(hanging, *map(pay, references[1:]))
        await dana.close()
    outcomes = {reference: answer.outcome for reference, answer in answers.items()}
    assert set(outcomes.values()) <= {Outcome.PAID, Outcome.UNKNOWN, Outcome.NOT_SENT}
    assert outcomes[references[0]] is Outcome.UNKNOWN
    async with process(journal, key) as (url, _), client(url) as http:
        before = set(await paid(http))
        assert {reference for reference, outcome in outcomes.items() if outcome is Outcome.PAID} <= before
        assert not {reference for reference, outcome in outcomes.items() if outcome is Outcome.NOT_SENT} & before
        dana = Dana(url, "batalkan", key)
        assert await dana.status(references[0], 1_000) == Answer(Outcome.PAID, "00")
        again = await asyncio.gather(*(dana.top_up(reference, PHONE, 1_000) for reference in references))
        assert {answer.outcome for answer in again} == {Outcome.PAID}
        assert sorted(await paid(http)) == sorted(["refund-by-hand", *references])
        repeated = await Partner(http, key).top_up(new_reference(), headers=once)
        assert repeated.json()["responseCode"] == "4093800"
        await dana.close()


@pytest.mark.processes
def test_a_missing_setting_gets_one_line(tmp_path: Path, key: RSAPrivateKey) -> None:
    """Started without its journal, the process ends with an error of one line."""
    pem = tmp_path / "key.pem"
    pem.write_bytes(public_pem(key))
    env = {**os.environ, "DANA_PARTNER_KEY": str(pem), "DANA_JOURNAL": ""}
    started = subprocess.run([sys.executable, "-m", "simulators.dana"], env=env, capture_output=True, check=False)
    assert (started.returncode, started.stderr.count(b"\n")) == (1, 1)
    assert b"DANA_JOURNAL" in started.stderr
