"""The client's result for every way in which DANA can answer or not, over a real connection."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.refunds.answers import Answer, Outcome
from services.refunds.snap import Dana, DanaUnreachable
from simulators.dana.app import Settings, build
from simulators.dana.server import running
from tests.harness.waiting import becomes, eventually

from .conftest import Control
from .partner import PHONE, new_reference, public_pem, settled

PAID, NOT_FOUND = Answer(Outcome.PAID, "00"), Answer(Outcome.NOT_FOUND, "4043901")


@pytest.mark.parametrize(
    ("fault", "first", "status", "again"),
    [
        ({"mode": "none"}, Answer(Outcome.PAID, "2003800"), PAID, Outcome.PAID),
        ({"mode": "fail"}, Answer(Outcome.FAILED, "5003800"), Answer(Outcome.FAILED, "06"), Outcome.FAILED),
        ({"mode": "fail", "recorded": False}, Answer(Outcome.FAILED, "5003800"), NOT_FOUND, Outcome.PAID),
        ({"mode": "timeout_before"}, Answer(Outcome.UNKNOWN, "timeout"), NOT_FOUND, Outcome.PAID),
        ({"mode": "timeout_after"}, Answer(Outcome.UNKNOWN, "timeout"), PAID, Outcome.PAID),
        ({"mode": "timeout_after", "seconds": 0}, Answer(Outcome.UNKNOWN, "5043800"), PAID, Outcome.PAID),
        ({"mode": "drop_before"}, Answer(Outcome.UNKNOWN, "dropped"), NOT_FOUND, Outcome.PAID),
        ({"mode": "drop_after"}, Answer(Outcome.UNKNOWN, "dropped"), PAID, Outcome.PAID),
        ({"mode": "throttle"}, Answer(Outcome.NOT_SENT, "throttled"), NOT_FOUND, Outcome.PAID),
        ({"mode": "down"}, Answer(Outcome.UNKNOWN, "unreadable"), NOT_FOUND, Outcome.PAID),
        ({"mode": "pending", "seconds": 0.1}, Answer(Outcome.PENDING, "2023800"), PAID, Outcome.PAID),
    ],
    ids=str,
)
async def test_a_payment_under_a_fault(
    fault: dict[str, Any], first: Answer, status: Answer, again: Outcome, hasty: Dana, dana: Dana, control: Control
) -> None:
    """A fault decides what the client makes of a payment, and what an inquiry returns after it; the same payment again
    has the first result or pays, and it is paid once at most."""
    await control.fault(**fault, times=1)
    reference = new_reference()
    assert await (hasty if first.code == "timeout" else dana).top_up(reference, PHONE, 7) == first
    await eventually(control.requests, enough=lambda items: items[0]["fault"] == fault["mode"])
    await becomes(lambda: dana.status(reference, 7), status)
    assert (await dana.top_up(reference, PHONE, 7)).outcome is again
    assert len(await control.payments(reference)) == (1 if again is Outcome.PAID else 0)


async def test_a_slow_dana_pays_after_the_client_has_gone(hasty: Dana, dana: Dana, control: Control) -> None:
    """NOT_FOUND is not the last word: a call that timed out can still be on its way and is paid later."""
    await control.fault("slow", seconds=0.6, times=1)
    reference = new_reference()
    assert (await hasty.top_up(reference, PHONE, 7)).outcome is Outcome.UNKNOWN
    assert (await dana.status(reference, 7)).outcome is Outcome.NOT_FOUND
    await settled(dana, reference)


@pytest.mark.parametrize(("state", "outcome"), [("paid", Outcome.PAID), ("failed", Outcome.FAILED)])
async def test_pending_settles_on_demand(state: str, outcome: Outcome, dana: Dana, control: Control) -> None:
    """2023800 is PENDING, again for the same reference, until DANA settles it one way or the other."""
    await control.fault("pending", times=1)
    reference = new_reference()
    for _ in range(2):
        assert await dana.top_up(reference, PHONE, 7) == Answer(Outcome.PENDING, "2023800")
    assert (await dana.status(reference, 7)).code == "03"
    assert await control.send("POST", "settle", reference=reference, state=state) == {"settled": 1}
    assert (await dana.status(reference, 7)).outcome is outcome
    assert (await dana.top_up(reference, PHONE, 7)).outcome is outcome


@pytest.mark.parametrize(
    ("mode", "code"),
    [("drop_before", "dropped"), ("throttle", "4293900"), ("timeout_before", "timeout"), ("down", "unreadable")],
)
async def test_faults_of_everything_strike_inquiries(
    mode: str, code: str, hasty: Dana, dana: Dana, control: Control
) -> None:
    """With `applies_to: all` the inquiries are struck too, and a lost inquiry is UNKNOWN, never NOT_SENT."""
    client = hasty if mode == "timeout_before" else dana
    await control.fault(mode, applies_to="all")
    assert await client.status(new_reference(), 7) == Answer(Outcome.UNKNOWN, code)
    with pytest.raises(DanaUnreachable):
        await client.account_inquiry(PHONE)


async def test_faults_count_down(dana: Dana, control: Control) -> None:
    """A fault affects the given number of top-ups, no inquiry, and then ends."""
    await control.fault("throttle", times=2)
    assert await dana.account_inquiry(PHONE)
    outcomes = [(await dana.top_up(new_reference(), PHONE, 7)).outcome for _ in range(3)]
    assert outcomes == [Outcome.NOT_SENT, Outcome.NOT_SENT, Outcome.PAID]
    assert (await control.send("GET", "faults"))["mode"] == "none"


async def test_a_refused_connection_is_not_sent(key: RSAPrivateKey) -> None:
    """A refused connection is NOT_SENT for a payment, and UNKNOWN for an inquiry and for an account."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    dana = Dana(f"http://127.0.0.1:{port}", "batalkan", key)
    assert await dana.top_up(new_reference(), PHONE, 7) == Answer(Outcome.NOT_SENT, "not_connected")
    assert (await dana.status(new_reference(), 7)).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)
    await dana.close()


async def test_accounts(dana: Dana, control: Control) -> None:
    """Open accounts are active, frozen, closed and odd ones are not; only open ones are paid, and what was paid before
    stays paid."""
    reference = new_reference()
    assert await dana.account_inquiry(PHONE)
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID
    for state in ("frozen", "closed"):
        await control.send("POST", "accounts", phone=PHONE, state=state)
        assert not await dana.account_inquiry(PHONE)
        assert await dana.top_up(new_reference(), PHONE, 7) == Answer(Outcome.FAILED, "4033805")
        assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID
    assert not await dana.account_inquiry("02112345678")
    assert (await dana.top_up(new_reference(), "02112345678", 7)).code == "4043811"


async def test_a_hang_does_not_hold_up_the_end(key: RSAPrivateKey, tmp_path: Path) -> None:
    """A simulator that gets SIGTERM while a call hangs stops at once, and the call ends."""
    app = build(Settings("batalkan", public_pem(key), tmp_path / "journal.sqlite"))
    async with asyncio.timeout(10):
        async with running(app) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:
            await http.put("/control/faults", json={"mode": "timeout_after", "seconds": 60})
            dana = Dana(url, "batalkan", key)
            hanging = asyncio.create_task(dana.top_up(new_reference(), PHONE, 7))
            await eventually(lambda: http.get("/control/journal"), enough=lambda found: found.json()["count"] == 1)
        assert (await hanging).outcome is Outcome.UNKNOWN
    app.state.journal.close()  # again, which is harmless
    await dana.close()


async def test_linking_does_not_starve_paying(url: str, key: RSAPrivateKey, control: Control) -> None:
    """While a slow DANA serves 100 account inquiries at once, payments are made without delay."""
    await control.fault("slow", seconds=0.5, applies_to="all")
    dana = Dana(url, "batalkan", key, timeout=3)
    inquiries = [asyncio.ensure_future(dana.account_inquiry(PHONE)) for _ in range(100)]
    await asyncio.sleep(0.1)
    answers = await asyncio.gather(*(dana.top_up(new_reference(), PHONE, 1) for _ in range(24)))
    assert [answer.outcome for answer in answers] == [Outcome.PAID] * 24
    for inquiry in inquiries:
        inquiry.cancel()
    await asyncio.gather(*inquiries, return_exceptions=True)
    await dana.close()
