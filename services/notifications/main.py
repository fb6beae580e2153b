"""Puts `notifications` together."""

from dataclasses import replace
from pathlib import Path

from contracts import events_from
from runtime.http.rate_limit import RateLimit
from runtime.live.updates import LiveUpdates, origins
from runtime.messaging.bus import Bus
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.notifications import api, records, store
from services.notifications.handlers import handlers
from services.notifications.notifier import Notifier
from services.notifications.receivers import Receivers
from services.notifications.sender import Sender
from services.notifications.webhooks import SEND

MAX_LOOKUPS, IN_SECONDS = 20, 600
"""How many times one seller may ask for a webhook: each time a name is looked up."""

SPEC = ServiceSpec(
    text="What has happened to one's orders and cases: a list for each person, live, and sellers' webhooks.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("notifications"),
    records=records.find,
    kept=store.KEPT,
)


def build(
    settings: Settings, env: Environment, database_url: str, bus: Bus, receivers: Receivers | None = None
) -> Service:
    """The service, ready to run. `receivers` calls webhooks in place of the usual client."""
    receivers = receivers or Receivers(env.networks("WEBHOOK_ALLOW_NETWORKS"))
    database, redis = Database(database_url), connect(settings.redis_url)
    live = LiveUpdates("notifications", database, redis, store, origins(env))
    notifier = Notifier(live)
    spec = replace(SPEC, handlers=handlers(notifier))
    service = Service(settings, database, bus, Path(env.require("TOKEN_KEYS")), spec)
    live.attach(service)
    sender = Sender(service.uow, receivers, notifier)
    service.on_deadline(SEND, sender.deadline())
    service.on_stop.append(sender.finish)
    service.app.state.notifier, service.app.state.receivers = notifier, receivers
    service.app.state.lookup_limit = RateLimit(
        redis, "notifications:lookups", MAX_LOOKUPS, IN_SECONDS, lambda: live.broadcast.away
    )
    return service
