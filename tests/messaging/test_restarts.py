"""Services recover automatically after their servers are killed and restarted."""

from collections.abc import AsyncIterator

import pytest

from batalkan.keys import Keys
from batalkan.servers import LocalServers
from runtime.messaging.bus.rabbitmq import RabbitBus
from runtime.storage.database_errors import is_transient
from tests.conftest import Databases
from tests.harness.waiting import becomes
from tests.messaging.test_life import ready, service
from tests.messaging.toys import Counted, Shelf, Toy, Toys, running, write_down

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
async def mortal() -> AsyncIterator[LocalServers]:
    """Servers to kill.

    Not those of the other tests, which delete queues and declare them again: RabbitMQ 3.10 does not survive SIGKILL
    soon after that.
    """
    async with LocalServers() as servers:
        yield servers


@pytest.fixture
async def toys(mortal: LocalServers) -> AsyncIterator[Toys]:
    """Services on those servers."""
    made = Toys(
        lambda service: RabbitBus(mortal.rabbitmq.url(service), service),
        Shelf(Databases(mortal.postgres.admin_url, mortal.postgres.url)),
    )
    yield made
    await made.close()


async def accepted(toy: Toy, number: int) -> bool:
    """Whether the service takes a request now."""
    try:
        await toy.say(number)
    except Exception as error:
        if not is_transient(error):
            raise
        return False
    return True


async def test_the_database_goes_away_and_comes_back(mortal: LocalServers, toys: Toys, keys: Keys) -> None:
    """A service that runs, and one that starts meanwhile, wait for PostgreSQL and go on where they were."""
    orders = await toys.orders()
    url = await toys.database("refunds")
    refunds = service(url, toys.bus("refunds"), keys, {Counted: write_down})
    late = service(await toys.database("chat"), toys.bus("chat"), keys)
    async with running(orders.relay.run()), refunds.running():
        await refunds.until_ready()
        await orders.say(*range(100))
        await mortal.postgres.kill()
        assert not await accepted(orders, 100)
        assert (await ready(refunds))["database"] is False
        async with late.running():
            assert (await ready(late))["database"] is False
            await mortal.postgres.start()
            await late.until_ready()
        await refunds.until_ready()

        async def accepted_again() -> bool:
            return await accepted(orders, 100)

        await becomes(accepted_again, True)
        watching = await toys.on(url, "refunds", {})
        await becomes(watching.effects, list(range(101)))
        await becomes(orders.outbox, 0)


async def test_the_broker_goes_away_and_comes_back(mortal: LocalServers, toys: Toys, keys: Keys) -> None:
    """Confirmed events survive; events of the outage are published after it; a service that starts meanwhile waits."""
    orders, refunds = await toys.orders(), await toys.refunds()
    late = service(await toys.database("chat"), toys.bus("chat"), keys)
    async with running(orders.relay.run()):
        async with running(refunds.consumer.run()):
            await becomes(refunds.is_consuming, True)
        await orders.say(*range(50))
        await becomes(orders.outbox, 0)
        await mortal.rabbitmq.kill()
        await orders.say(*range(50, 100))
        await becomes(orders.leads, False)
        async with late.running(), running(refunds.consumer.run()):
            assert not orders.relay.connected
            assert (await ready(late))["broker"] is False
            assert await orders.outbox() == 50
            await mortal.rabbitmq.start()
            await becomes(refunds.effects, list(range(100)))
            await becomes(orders.outbox, 0)
            await late.until_ready()
