"""Puts `cs` together."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from contracts.cs import CaseClosed, SellerContacted
from contracts.orders import OrderCancelRequested
from runtime.http.rate_limit import Throttle
from runtime.live.updates import Live, origins
from runtime.messaging.bus import Bus
from runtime.messaging.consumer import UNHURRIED
from runtime.service import Description, Service
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect
from services.cs import api
from services.cs.agent_presence import Presence
from services.cs.handlers import deadlines, handlers
from services.cs.live import Cases
from services.cs.office import Office
from services.cs.queue_positions import Places
from services.cs.router import Rounds
from services.cs.stability import Flight

MOST_MESSAGES, IN_SECONDS = 30, 10
"""How much one account may say."""

DESCRIPTION = Description(
    text="Customer service: the queue, the agents, the cases, and the 24 hours that a silent seller has.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=(SellerContacted, CaseClosed, OrderCancelRequested),
    pace=UNHURRIED,
)
"""Its handlers come with the office in which they work."""


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    settling = env.seconds("SETTLING", 2, 0, 3600)
    flight = Flight(settling)
    office = Office(flight, most=env.number("CASES_PER_AGENT", 3, 1, 1000), settling=timedelta(seconds=settling))
    description = replace(DESCRIPTION, handlers=handlers(office))
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), description)
    redis = connect(settings.redis_url)
    live = Live(service.work, redis, Cases(), origins(env))
    live.attach(service)
    throttle = Throttle(redis, "cs:messages", MOST_MESSAGES, IN_SECONDS, lambda: live.fanout.away)
    grace = timedelta(seconds=env.seconds("AGENT_GRACE", 60, 0.01, 86400))
    presence = Presence(service.work, office, grace, lambda: live.people)
    rounds = Rounds(service.work, office)
    places = Places(service.work, office, live, redis)
    for kind, fire in deadlines(office).items():
        service.on_deadline(kind, fire)
    service.background += [
        rounds.route,
        places.run,
        presence.watch,
        partial(flight.watch, service.parts["broker"]),
    ]
    service.app.state.parts = api.Parts(office, presence, live, throttle)
    return service
