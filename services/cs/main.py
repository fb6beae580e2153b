"""Puts `cs` together."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from contracts import events_from
from runtime.http.rate_limit import RateLimit
from runtime.live.updates import LiveUpdates, origins
from runtime.messaging.bus import Bus
from runtime.messaging.samples import query
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.cs import api, metrics, records, store
from services.cs.cases import Cases
from services.cs.handlers import BrokerStability, deadlines, handlers
from services.cs.live import AgentPresence, Dependencies, QueuePositions, route_cases

MAX_MESSAGES, IN_SECONDS = 30, 10
"""How many messages one account may send."""

SPEC = ServiceSpec(
    text="Customer service: the queue, the agents, the cases, and the 24 hours that a silent seller has.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("cs"),
    records=records.find,
)
"""Its handlers come with the cases on which they work."""


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    settling = env.seconds("SETTLING", 2, 0, 3600)
    stability = BrokerStability(settling)
    database, redis = Database(database_url), connect(settings.redis_url)
    live = LiveUpdates("cs", database, redis, store, origins(env))
    max_cases = env.number("CASES_PER_AGENT", 3, 1, 1000)
    cases = Cases(live, stability.has_settled, max_cases=max_cases, settling=timedelta(seconds=settling))
    spec = replace(SPEC, handlers=handlers(cases))
    service = Service(settings, database, bus, Path(env.require("TOKEN_KEYS")), spec)
    live.attach(service)
    wait = metrics.LONGEST_WAIT
    service.sampler.add(query(database, metrics.ON_DUTY), metrics.AGENTS)
    service.sampler.add(query(database, metrics.QUEUE), metrics.WAITING, wait, growing=[wait])
    rate_limit = RateLimit(redis, "cs:messages", MAX_MESSAGES, IN_SECONDS, lambda: live.broadcast.away)
    grace = timedelta(seconds=env.seconds("AGENT_GRACE", 60, 0.01, 86400))
    presence = AgentPresence(service.uow, cases, grace, lambda: live.connected)
    for kind, fire in deadlines(cases).items():
        service.on_deadline(kind, fire)
    service.background += [
        partial(route_cases, service.uow, cases),
        QueuePositions(service.uow, cases, live, redis).run,
        presence.run,
        partial(stability.watch, service.health_checks["broker"]),
    ]
    service.app.state.dependencies = Dependencies(cases, presence, live, rate_limit)
    return service
