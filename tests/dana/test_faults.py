"""The client's result for every way in which DANA can answer or not, over a real connection."""

import asyncio
import socket
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from services.refunds.answers import Outcome
from services.refunds.snap import Dana, DanaUnreachable
from simulators.dana.app import Settings, build
from simulators.dana.server import running
from tests.harness.waiting import eventually

from .conftest import Control
from .partner import NUMBER, PHONE, new_reference, public_pem, settled


async def test_a_top_up_is_paid(dana: Dana, control: Control) -> None:
    """A payment that DANA confirms is PAID, is in its journal with a masked number, and an inquiry returns the same."""
    reference = new_reference()
    answer = await dana.top_up(reference, PHONE, 150_000)
    assert (answer.outcome, answer.code) == (Outcome.PAID, "2003800")
    [payment] = await control.payments(reference)
    assert payment["amount"] == 150_000
    assert payment["phone"] == "62812****890"
    status = await dana.status(reference)
    assert (status.outcome, status.code) == (Outcome.PAID, "00")


async def test_an_unknown_reference_is_not_found(dana: Dana) -> None:
    """An inquiry about a reference that DANA has never seen returns NOT_FOUND."""
    answer = await dana.status(new_reference())
    assert (answer.outcome, answer.code) == (Outcome.NOT_FOUND, "4043901")


async def test_a_failure_is_definite_and_stays(dana: Dana, control: Control) -> None:
    """5003800 is FAILED, the inquiry agrees, and the same reference fails again after DANA has recovered."""
    await control.fault("fail", times=1)
    reference = new_reference()
    answer = await dana.top_up(reference, PHONE, 1)
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "5003800")
    status = await dana.status(reference)
    assert (status.outcome, status.code) == (Outcome.FAILED, "06")
    assert (await dana.top_up(reference, PHONE, 1)).outcome is Outcome.FAILED
    assert await control.payments(reference) == []


async def test_an_unrecorded_failure_can_be_repaired(dana: Dana, control: Control) -> None:
    """A failure that DANA did not keep leaves the reference free, and sending it again pays."""
    await control.fault("fail", times=2, recorded=False)
    reference = new_reference()
    outcomes = [(await dana.top_up(reference, PHONE, 1)).outcome for _ in range(3)]
    assert outcomes == [Outcome.FAILED, Outcome.FAILED, Outcome.PAID]


@pytest.mark.parametrize("mode", ["timeout_after", "drop_after"])
async def test_paid_without_an_answer(mode: str, hasty: Dana, dana: Dana, control: Control) -> None:
    """A payment whose answer is lost is UNKNOWN, the inquiry finds it PAID, and sending it again pays nothing more."""
    await control.fault(mode, times=1)
    reference = new_reference()
    answer = await hasty.top_up(reference, PHONE, 7)
    assert answer.outcome is Outcome.UNKNOWN
    assert answer.code == ("timeout" if mode == "timeout_after" else "dropped")
    await settled(dana, reference)
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID
    assert len(await control.payments(reference)) == 1


@pytest.mark.parametrize("mode", ["timeout_before", "drop_before"])
async def test_not_paid_without_an_answer(mode: str, hasty: Dana, dana: Dana, control: Control) -> None:
    """A call that is lost before DANA pays is UNKNOWN all the same; the inquiry does not find it; again, it is paid."""
    await control.fault(mode, times=1)
    reference = new_reference()
    assert (await hasty.top_up(reference, PHONE, 7)).outcome is Outcome.UNKNOWN
    await eventually(control.requests, enough=lambda items: items[0]["fault"] == mode)
    assert (await dana.status(reference)).outcome is Outcome.NOT_FOUND
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID


async def test_a_slow_dana_pays_after_the_client_has_gone(hasty: Dana, dana: Dana, control: Control) -> None:
    """NOT_FOUND is not the last word: a call that timed out can still be on its way and is paid later."""
    await control.fault("slow", seconds=0.6, times=1)
    reference = new_reference()
    assert (await hasty.top_up(reference, PHONE, 7)).outcome is Outcome.UNKNOWN
    assert (await dana.status(reference)).outcome is Outcome.NOT_FOUND
    await settled(dana, reference)


async def test_throttled_is_not_sent(dana: Dana, control: Control) -> None:
    """429 is NOT_SENT: DANA has done nothing."""
    await control.fault("throttle", times=1)
    reference = new_reference()
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.NOT_SENT
    assert (await dana.status(reference)).outcome is Outcome.NOT_FOUND


async def test_a_dana_that_is_down_leaves_everything_unknown(dana: Dana, control: Control) -> None:
    """503 from a gateway is UNKNOWN, for a payment and for an account."""
    await control.fault("down")
    assert (await dana.top_up(new_reference(), PHONE, 7)).outcome is Outcome.UNKNOWN
    assert (await dana.status(new_reference())).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)


async def test_a_gateway_timeout_is_unknown(dana: Dana, control: Control) -> None:
    """504, which ends a hang shorter than the client's patience, is UNKNOWN."""
    await control.fault("timeout_after", seconds=0, times=1)
    reference = new_reference()
    answer = await dana.top_up(reference, PHONE, 7)
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, "5043800")
    assert (await dana.status(reference)).outcome is Outcome.PAID


@pytest.mark.parametrize(("state", "outcome"), [("paid", Outcome.PAID), ("failed", Outcome.FAILED)])
async def test_pending_settles_on_demand(state: str, outcome: Outcome, dana: Dana, control: Control) -> None:
    """2023800 is PENDING, again for the same reference, until DANA settles it one way or the other."""
    await control.fault("pending", times=1)
    reference = new_reference()
    answer = await dana.top_up(reference, PHONE, 7)
    assert (answer.outcome, answer.code) == (Outcome.PENDING, "2023800")
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PENDING
    assert (await dana.status(reference)).code == "03"
    assert await control.post("settle", reference=reference, state=state) == {"settled": 1}
    assert (await dana.status(reference)).outcome is outcome
    assert (await dana.top_up(reference, PHONE, 7)).outcome is outcome


async def test_pending_settles_later(dana: Dana, control: Control) -> None:
    """A pending payment with a time to it is paid by itself when the time has come."""
    await control.fault("pending", seconds=0.1, times=1)
    reference = new_reference()
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PENDING
    await settled(dana, reference)


async def test_faults_of_everything_strike_inquiries(hasty: Dana, dana: Dana, control: Control) -> None:
    """With `applies_to: all` the inquiries are struck too, and a lost inquiry is UNKNOWN, never NOT_SENT."""
    await control.fault("drop_before", applies_to="all", times=2)
    assert (await dana.status(new_reference())).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)
    await control.fault("throttle", applies_to="all", times=1)
    assert (await dana.status(new_reference())).outcome is Outcome.UNKNOWN
    await control.fault("timeout_before", applies_to="all", times=1)
    assert (await hasty.status(new_reference())).code == "timeout"


async def test_faults_count_down(dana: Dana, control: Control) -> None:
    """A fault affects the given number of top-ups, no inquiry, and then ends."""
    await control.fault("throttle", times=2)
    assert (await dana.account_inquiry(PHONE)).active
    outcomes = [(await dana.top_up(new_reference(), PHONE, 7)).outcome for _ in range(3)]
    assert outcomes == [Outcome.NOT_SENT, Outcome.NOT_SENT, Outcome.PAID]
    assert (await control.current())["mode"] == "none"


async def test_a_refused_connection_is_not_sent(key: RSAPrivateKey) -> None:
    """A refused connection is NOT_SENT for a payment, and UNKNOWN for an inquiry and for an account."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    dana = Dana(f"http://127.0.0.1:{port}", "batalkan", key)
    answer = await dana.top_up(new_reference(), PHONE, 7)
    assert (answer.outcome, answer.code) == (Outcome.NOT_SENT, "not_connected")
    assert (await dana.status(new_reference())).outcome is Outcome.UNKNOWN
    with pytest.raises(DanaUnreachable):
        await dana.account_inquiry(PHONE)
    await dana.close()


async def test_accounts(dana: Dana, control: Control) -> None:
    """Open accounts are active, frozen ones exist, closed ones and odd numbers do not; only open ones are paid."""
    found = await dana.account_inquiry("+6281234567890")
    assert (found.exists, found.active, found.code) == (True, True, "2003700")
    await control.account(NUMBER, "frozen")
    found = await dana.account_inquiry(PHONE)
    assert (found.exists, found.active, found.code) == (True, False, "4033705")
    answer = await dana.top_up(new_reference(), PHONE, 7)
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "4033805")
    await control.account(NUMBER, "closed")
    found = await dana.account_inquiry(PHONE)
    assert (found.exists, found.active) == (False, False)
    assert (await dana.top_up(new_reference(), PHONE, 7)).outcome is Outcome.FAILED
    assert not (await dana.account_inquiry("02112345678")).exists
    assert (await dana.top_up(new_reference(), "02112345678", 7)).code == "4043811"


async def test_a_paid_reference_stays_paid_when_the_account_is_closed(dana: Dana, control: Control) -> None:
    """The first result of a reference stays, also if the account's state changes afterwards."""
    reference = new_reference()
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID
    await control.account(NUMBER, "closed")
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID


async def test_too_much_money_is_refused(dana: Dana) -> None:
    """More than a DANA account may hold is a definite refusal."""
    answer = await dana.top_up(new_reference(), PHONE, 20_000_001)
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "4033802")


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
    await dana.close()


async def test_linking_does_not_starve_paying(url: str, key: RSAPrivateKey, control: Control) -> None:
    """While a slow DANA serves 300 account inquiries at once, payments are made without delay."""
    await control.fault("slow", seconds=0.2, applies_to="all")
    dana = Dana(url, "batalkan", key, timeout=3)
    inquiries = [asyncio.ensure_future(dana.account_inquiry(PHONE)) for _ in range(300)]
    await asyncio.sleep(0.1)
    answers = await asyncio.gather(*(dana.top_up(new_reference(), PHONE, 1) for _ in range(24)))
    assert [answer.outcome for answer in answers] == [Outcome.PAID] * 24
    for inquiry in inquiries:
        inquiry.cancel()
    await asyncio.gather(*inquiries, return_exceptions=True)
    await dana.close()
