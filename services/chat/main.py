"""Puts `chat` together."""

from pathlib import Path

from contracts.chat import SellerReplied
from contracts.orders import OrderCancelRequested
from runtime.http.rate_limit import Throttle
from runtime.live.updates import Live, origins
from runtime.messaging.bus import Bus
from runtime.messaging.consumer import UNHURRIED
from runtime.service import Description, Service
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.chat import api
from services.chat.asking import DEADLINES
from services.chat.conversations import Threads
from services.chat.handlers import HANDLERS

MOST_MESSAGES, IN_SECONDS = 30, 10
"""How much one account may say."""

DESCRIPTION = Description(
    text="Conversations between buyers and sellers, one for each order, live and kept.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=(OrderCancelRequested, SellerReplied),
    handlers=HANDLERS,
    pace=UNHURRIED,
)


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), DESCRIPTION)
    redis = connect(settings.redis_url)
    live = Live(service.work, redis, Threads(service.work), origins(env))
    live.attach(service)
    for kind, fire in DEADLINES.items():
        service.on_deadline(kind, fire)
    service.app.state.throttle = Throttle(redis, "chat:messages", MOST_MESSAGES, IN_SECONDS, lambda: live.fanout.away)
    return service
