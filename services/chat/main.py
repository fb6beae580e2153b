"""Puts `chat` together."""

from pathlib import Path

from contracts.chat import SellerReplied
from contracts.orders import OrderCancelRequested
from runtime.http.rate_limit import RateLimit
from runtime.live.updates import Live, origins
from runtime.messaging.bus import Bus
from runtime.messaging.consumer import BATCH_INTERVAL
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.chat import api
from services.chat.asking import DEADLINES
from services.chat.conversations import Threads
from services.chat.handlers import HANDLERS

MAX_MESSAGES, IN_SECONDS = 30, 10
"""How much one account may say."""

SPEC = ServiceSpec(
    text="Conversations between buyers and sellers, one for each order, live and kept.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=(OrderCancelRequested, SellerReplied),
    handlers=HANDLERS,
    pace=BATCH_INTERVAL,
)


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), SPEC)
    redis = connect(settings.redis_url)
    live = Live(service.uow, redis, Threads(service.uow), origins(env))
    live.attach(service)
    for kind, fire in DEADLINES.items():
        service.on_deadline(kind, fire)
    service.app.state.rate_limit = RateLimit(
        redis, "chat:messages", MAX_MESSAGES, IN_SECONDS, lambda: live.broadcast.away
    )
    return service
