"""Builds the service `orders`."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from contracts import events_from
from runtime.http.app import add_routes
from runtime.messaging.bus import Bus
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from services.orders import api, catalogue, demonstration, metrics, records, store
from services.orders.domain import Terms
from services.orders.handlers import DEADLINES, HANDLERS
from services.orders.refund_reminders import AFTER, remind

SPEC = ServiceSpec(
    text="Products and orders, and the one decision whether an order is cancelled.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("orders"),
    handlers=HANDLERS,
    records=records.find,
)

PAY_WITHIN, MAX_PAY_WITHIN = 3600, 86400
"""Seconds to pay an order: the default and the maximum."""
SHIP_WITHIN, MAX_SHIP_WITHIN = 259_200, 2_592_000
"""Seconds to ship it: the default and the maximum."""
MAX_SHIPPING_FEE = 100_000_000
"""Whole rupiah."""


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), SPEC)
    after = timedelta(seconds=env.seconds("REMIND_AFTER", AFTER.total_seconds(), 0.01, 86400))
    service.background.append(partial(remind, service.uow, after))
    ages, read = metrics.WITHOUT_MONEY_AGE, partial(metrics.without_money, service.uow.database)
    service.sampler.add(read, metrics.WITHOUT_MONEY, ages, growing=[ages])
    metrics.prepare()
    terms = Terms(
        timedelta(seconds=env.number("PAY_WITHIN", PAY_WITHIN, 1, MAX_PAY_WITHIN)),
        timedelta(seconds=env.number("SHIP_WITHIN", SHIP_WITHIN, 1, MAX_SHIP_WITHIN)),
        env.number("SHIPPING_FEE", 0, 0, MAX_SHIPPING_FEE),
    )
    service.app.state.terms = terms
    for kind, deadline in DEADLINES.items():
        service.on_deadline(kind, deadline)

    async def adopt() -> None:
        async with service.uow.begin() as tx:
            await store.adopt(tx, terms)

    service.on_start.append(adopt)
    if settings.demonstration:
        service.on_start.append(lambda: catalogue.seed(service.uow))
        add_routes(service.app, demonstration.router)
    return service
