"""The simulator inside the process of its caller, without a port."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from fastapi import FastAPI

from services.refunds.answers import Outcome
from services.refunds.snap import Dana
from simulators.dana.app import Settings, build
from simulators.dana.faults import Fault, Mode

from .partner import PHONE, new_reference, public_pem, settled


@pytest.fixture
async def app(key: RSAPrivateKey, tmp_path: Path) -> AsyncIterator[FastAPI]:
    """The simulator."""
    app = build(Settings("batalkan", public_pem(key), tmp_path / "deep" / "journal.sqlite"))
    yield app
    app.state.journal.close()


async def test_it_pays(app: FastAPI, key: RSAPrivateKey) -> None:
    """A payment goes through without a server."""
    dana = Dana("http://dana", "batalkan", key, transport=httpx.ASGITransport(app))
    assert await dana.account_inquiry(PHONE)
    reference = new_reference()
    assert (await dana.top_up(reference, PHONE, 7)).outcome is Outcome.PAID
    assert (await dana.status(reference)).outcome is Outcome.PAID
    await dana.close()


@pytest.mark.parametrize(("mode", "code"), [(Mode.TIMEOUT_AFTER, "timeout"), (Mode.DROP_AFTER, "dropped")])
async def test_a_lost_answer_is_lost_in_process_too(mode: Mode, code: str, app: FastAPI, key: RSAPrivateKey) -> None:
    """Hanging and hanging up look to the client as they do over a connection, and the payment is made."""
    app.state.faults.current = Fault(mode=mode, times=1)
    hasty = Dana("http://dana", "batalkan", key, timeout=0.25, transport=httpx.ASGITransport(app))
    reference = new_reference()
    answer = await hasty.top_up(reference, PHONE, 7)
    assert (answer.outcome, answer.code) == (Outcome.UNKNOWN, code)
    await settled(hasty, reference)
    await hasty.close()


async def test_closing_twice_is_harmless(app: FastAPI) -> None:
    """The journal may be closed by any thread."""
    app.state.journal.close()
    app.state.journal.close()
