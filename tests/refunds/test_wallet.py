"""The wallet: Lazada Credit, and the link to DANA."""

import asyncio
from datetime import timedelta

import pytest

from simulators.dana.journal import AccountState
from tests.harness.actors import assert_problem
from tests.harness.refunds import RefundsHarness


async def test_a_wallet_is_linked_and_unlinked(harness: RefundsHarness) -> None:
    """A number is linked once DANA has confirmed it, shown and published masked, replaced and unlinked."""
    buyer, other = await harness.buyer(), await harness.buyer()
    assert (await buyer.wallet())["dana"] == {"linked": False, "phone": None}
    for form in (f"+{buyer.phone}", f"\u202a+62 (0){buyer.phone[2:5]}\u00a0{buyer.phone[5:]}\u202c", buyer.phone):
        linked = await buyer.link(form)
        assert linked["dana"]["linked"]
        assert linked["dana"]["phone"].endswith(buyer.phone[-4:])
        assert buyer.phone[2:] not in linked["dana"]["phone"]
    assert (await buyer.link(other.phone))["dana"]["phone"].endswith(other.phone[-4:])
    for _ in range(2):
        assert (await buyer.unlink())["dana"] == {"linked": False, "phone": None}
    subject = str(buyer.person.account_id)
    await harness.recorder.wait_for(subject, "WalletUnlinked")
    assert harness.recorder.names(subject) == ["WalletLinked", "WalletLinked", "WalletUnlinked"]
    assert buyer.phone[2:] not in str(harness.recorder.about(subject))


@pytest.mark.parametrize("state", ["frozen", "closed"])
async def test_a_wallet_that_cannot_receive_is_not_linked(state: AccountState, harness: RefundsHarness) -> None:
    """A number that DANA does not know or has frozen is refused, and the link stays as it was."""
    buyer = await harness.buyer()
    await harness.dana.account(buyer.phone, state)
    assert_problem(await buyer.ask_to_link(buyer.phone), 422, "dana_account_not_found")
    assert not (await buyer.wallet())["dana"]["linked"]


@pytest.mark.parametrize("mode", ["down", "drop_before", "timeout_before", "throttle"])
async def test_no_wallet_is_linked_while_dana_does_not_answer(mode: str, harness: RefundsHarness) -> None:
    """When DANA does not answer, linking is refused for now, as often as it is tried; unlinking and reading work."""
    buyer = await harness.buyer(linked=True)
    harness.dana.fails(mode, applies_to="all", seconds=0)
    for _ in range(6):
        assert_problem(await buyer.ask_to_link("081234567890"), 503, "dana_unreachable")
    assert (await buyer.wallet())["dana"]["phone"].endswith(buyer.phone[-4:])
    assert not (await buyer.unlink())["dana"]["linked"]


NUMBERS = ("", "08123", "+1 555 0100", "0812345678901234", "081234567890\0", "٠٨١٢٣٤٥٦٧٨٩٠", None, 6281234567890)


@pytest.mark.parametrize(
    "body", [*({"phone": phone} for phone in NUMBERS), {}, {"phone": "081234567890", "extra": 1}, []]
)
async def test_an_invalid_number_is_refused(body: object, harness: RefundsHarness) -> None:
    """Only Indonesian mobile numbers, as text."""
    buyer = await harness.buyer()
    assert_problem(await buyer.person.ask("PUT", "/refunds/wallet/dana", body), 422, "invalid_request")


@pytest.mark.parametrize(
    "path",
    [
        *("/refunds/x", "/refunds/%00", "/refunds?cursor=%00", "/refunds?cursor=x"),
        *(f"/refunds?limit={limit}" for limit in ("0", "101", "1_0", "%205", "%2B5", "5.0", "05")),
    ],
)
async def test_malformed_paths_and_queries_are_refused(path: str, harness: RefundsHarness) -> None:
    """Ids that are none, NUL bytes, limits out of range: 422."""
    assert_problem(await harness.actors.person("buyer").ask("GET", path), 422, "invalid_request")


async def test_linking_is_limited(harness: RefundsHarness) -> None:
    """One buyer causes at most five account inquiries at DANA an hour, with any answers; a further try is refused with
    the time to wait and does not count. Other buyers are not affected."""
    buyer, other = await harness.buyer(), await harness.buyer()
    await harness.dana.account("6281111111111", "closed")
    before = await harness.dana.called("37")
    assert_problem(await buyer.ask_to_link("0812"), 422, "invalid_request")
    phones = ["081111111111", *(f"08122222000{n}" for n in range(9))]
    answers = await asyncio.gather(*map(buyer.ask_to_link, phones))
    assert sorted(answer.status_code for answer in answers).count(429) == 5
    assert await harness.dana.called("37") == before + 5
    refused = await buyer.ask_to_link(buyer.phone)
    assert_problem(refused, 429, "rate_limited")
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    counted = "select cardinality(at) as count from dana_inquiries where buyer_id = $1"
    assert [row["count"] for row in await harness.fetch(counted, buyer.person.account_id)] == [5]
    assert (await other.link())["dana"]["linked"]
    await buyer.unlink()
    await harness.later(timedelta(minutes=59))
    assert (await buyer.ask_to_link(buyer.phone)).status_code == 429
    await harness.later(timedelta(minutes=1))
    for _ in range(9):  # repeats, of which DANA is not asked
        await buyer.link()
    assert await harness.dana.called("37") == before + 7
    assert [row["count"] for row in await harness.fetch(counted, buyer.person.account_id)] == [1]
