"""Builds the service `refunds`."""

from functools import partial
from pathlib import Path

import httpx

from contracts import events_from
from runtime import urls
from runtime.http.app import add_routes
from runtime.messaging.bus import Bus
from runtime.messaging.samples import query
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from services.refunds import api, demonstration, hold, metrics, operator, records
from services.refunds.handlers import HANDLERS
from services.refunds.payer import Payer
from services.refunds.snap import TIMEOUT, Dana, private_key
from services.refunds.store import PAY_DANA

STOPPING = 1.0
"""Seconds that calls under way may take when the service stops, after up to eight for requests and events. After the
restart a cancelled call is inquired."""

SPEC = ServiceSpec(
    text="The ledger, Lazada Credit, and refunds to DANA. The only service that moves money.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("refunds"),
    handlers=HANDLERS,
    records=records.find,
)


def build(
    settings: Settings,
    env: Environment,
    database_url: str,
    bus: Bus,
    dana_transport: httpx.AsyncBaseTransport | None = None,
) -> Service:
    """The service, ready to run. `dana_transport` leads to a DANA in this process."""
    url, timeout = env.url("DANA_URL", "", urls.HTTP), env.seconds("DANA_TIMEOUT", TIMEOUT, 0.01, 300)
    service = Service(settings, Database(database_url), bus, Path(env.require("TOKEN_KEYS")), SPEC)
    dana = Dana(
        url,
        env.get("DANA_PARTNER_ID", "batalkan"),
        private_key(Path(env.require("DANA_PRIVATE_KEY")).read_bytes()),
        timeout=timeout,
        transport=dana_transport,
        tracing=service.uow.tracing,
    )
    database, sampler = service.uow.database, service.sampler
    ages = metrics.NOT_ISSUED_AGE
    sampler.add(query(database, metrics.STATES), metrics.NOT_ISSUED, ages, growing=[ages])
    sampler.add(query(database, metrics.CALLS), metrics.UNCERTAIN)
    sampler.add(metrics.Ledger(database).read, metrics.LEDGER)
    payer = Payer(service.uow, dana)
    service.on_deadline(PAY_DANA, payer.due)
    service.on_stop += [lambda: payer.finish(STOPPING), dana.close]
    service.app.state.dana = dana
    add_routes(service.app, operator.router)
    service.on_start.append(partial(hold.adopt, service.uow))
    service.optional_checks["payments"] = partial(hold.may_pay, service.uow)
    if settings.demonstration:
        control = demonstration.control_of(url, dana_transport)
        service.on_stop.append(control.aclose)
        add_routes(service.app, demonstration.routes(control, timeout))
    return service
