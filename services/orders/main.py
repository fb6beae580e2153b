"""Puts `orders` together."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from contracts.orders import (
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderDelivered,
    OrderPacked,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
)
from runtime.bus import Bus
from runtime.database import Database
from runtime.service import Description, Service
from runtime.settings import Environment, Settings
from services.orders import api, catalogue, demonstration
from services.orders.handlers import HANDLERS
from services.orders.reminding import AFTER, remind

DESCRIPTION = Description(
    text="Products and orders, and the one decision whether an order is cancelled.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=(
        OrderPlaced,
        OrderPaid,
        OrderPacked,
        OrderShipped,
        OrderDelivered,
        OrderCancelRequested,
        OrderCancelled,
        OrderCancelRejected,
    ),
    handlers=HANDLERS,
)


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), DESCRIPTION)
    after = env.get("REMIND_AFTER", "")
    service.background.append(partial(remind, service.work, timedelta(seconds=float(after)) if after else AFTER))
    if settings.demonstration:
        service.on_start.append(lambda: catalogue.seed(service.work))
        service.app.include_router(demonstration.router)
    return service
