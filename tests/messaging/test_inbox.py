"""Every event has its effect once."""

from tests.messaging.toys import Toys, becomes, running


async def test_an_event_has_its_effect_in_another_service(toys: Toys) -> None:
    """What one service publishes, the other acts on, in order; its own events wait for nobody."""
    orders, refunds = await toys.orders(), await toys.refunds()
    async with running(orders.relay.run(), refunds.consumer.run(), refunds.relay.run()):
        await orders.say(*range(10))
        await becomes(refunds.effects, list(range(10)))
        await becomes(orders.outbox, 0)
        await becomes(refunds.outbox, 0)
