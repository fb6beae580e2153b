"""Live: notifications come at once, to all of one's devices, and a hint for those that a frame has missed."""

from collections.abc import AsyncIterator
from secrets import token_hex

import httpx
import pytest

from batalkan.keys import Keys
from runtime.live import sockets
from tests.harness.actors import Actors, Person
from tests.harness.live_client import end_session, listening
from tests.harness.notifications import NotificationsHarness, running, told
from tests.harness.serving import served

SERVICE = "notifications"


@pytest.fixture(scope="module")
async def origin(harness: NotificationsHarness) -> AsyncIterator[str]:
    """The address of the service."""
    async with served(harness.service.app) as url:
        yield url.removeprefix("http://")


async def test_a_notification_comes_at_once(harness: NotificationsHarness, origin: str) -> None:
    """A frame has the notification as the list has it, and the unread count; what was read shows on other devices."""
    deal = await harness.sold()
    async with listening(deal.seller, origin, service=SERVICE) as phone:
        await harness.deliver(deal.cancelled("app"))
        frame = await phone.first("notification")
        assert frame == {"type": "notification", "notification": (await told(deal.seller))[-1], "unread": 2}
        await deal.seller.post("/notifications/read", {"seq": 2})
        assert await phone.first("read") == {"type": "read", "seq": 2, "unread": 0}


async def test_others_are_sent_nothing(harness: NotificationsHarness, origin: str) -> None:
    """A socket is sent its own account's notifications; another's cannot be followed."""
    deal, stranger = await harness.sold(), harness.actors.person("buyer")
    async with listening(stranger, origin, service=SERVICE) as outside:
        await outside.send(type="follow", conversations=[str(deal.buyer.account_id)])
        assert (await outside.first("error"))["code"] == "not_found"
        await harness.deliver(deal.cancelled("app"))
        await outside.echo()
        assert outside.of("notification") == []


async def test_a_missed_frame_is_hinted_at(harness: NotificationsHarness, keys: Keys) -> None:
    """A replica that no frame reaches, because it shares no Redis with the other, hints at what is in the database."""
    deal = await harness.sold()
    url = harness.service.uow.database.url
    async with (
        running(url, keys, redis_url=f"memory://{token_hex(4)}") as replica,
        served(replica.app) as there,
        httpx.AsyncClient(base_url=there) as http,
    ):
        same = Person.signed(http, keys, "seller", account_id=deal.seller.account_id)
        async with listening(same, there.removeprefix("http://"), service=SERVICE) as phone:
            await harness.deliver(deal.cancelled("app"))
            await replica.app.state.live.sweep()
            hint = {"type": "hint", "conversation": str(deal.seller.account_id), "seq": 2}
            await phone.until(lambda phone: hint in phone.of("hint"))
            assert phone.of("notification") == []


async def test_the_end_of_the_session_closes_the_socket(
    harness: NotificationsHarness, origin: str, actors: Actors
) -> None:
    """A socket lives no longer than the session in which its ticket was issued."""
    person = actors.person("seller", session="gone")
    async with listening(person, origin, service=SERVICE) as phone:
        await end_session(harness.service.app.state.live.redis, person.account_id, "gone")
        assert await phone.closed() == sockets.OVER


@pytest.fixture
def actors(harness: NotificationsHarness) -> Actors:
    """Makes accounts."""
    return harness.actors
