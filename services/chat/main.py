"""Puts `chat` together."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from contracts import events_from
from runtime.http.rate_limit import RateLimit
from runtime.live.updates import LiveUpdates, origins
from runtime.messaging.bus import Bus
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.chat import api, records, store
from services.chat.asking import DEADLINES
from services.chat.handlers import handlers
from services.chat.thread_writer import ThreadWriter

MAX_MESSAGES, IN_SECONDS = 30, 10
"""How many messages one account may send."""

SPEC = ServiceSpec(
    text="Conversations between buyers and sellers, one for each order, live and kept.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("chat"),
    records=records.find,
)


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    database, redis = Database(database_url), connect(settings.redis_url)
    live = LiveUpdates("chat", database, redis, store, origins(env))
    threads = ThreadWriter(live)
    spec = replace(SPEC, handlers=handlers(threads))
    service = Service(settings, database, bus, Path(env.require("TOKEN_KEYS")), spec)
    live.attach(service)
    live.on_frame["read"] = partial(api.read_frame, threads, service.uow)
    service.app.state.threads = threads
    for kind, fire in DEADLINES.items():
        service.on_deadline(kind, fire)
    service.app.state.rate_limit = RateLimit(
        redis, "chat:messages", MAX_MESSAGES, IN_SECONDS, lambda: live.broadcast.away
    )
    return service
