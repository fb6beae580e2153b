"""Builds the service `accounts`."""

import logging
from pathlib import Path

from contracts import events_from
from runtime.messaging.bus import Bus
from runtime.service import Service, ServiceSpec
from runtime.settings import Environment, Settings
from runtime.storage.database import Database
from runtime.storage.redis import connect, writes
from services.accounts import api, demonstration
from services.accounts.devices import Devices
from services.accounts.limits import Limit, Limits
from services.accounts.passwords import Passwords
from services.accounts.sessions import Sessions
from services.accounts.signin import SignIn
from services.accounts.tokens import AccessTokens, KeySet

SPEC = ServiceSpec(
    text="Buyers, sellers, agents and operators, and the tokens by which every service knows them.",
    router=api.router,
    migrations=Path(__file__).parent / "migrations",
    publishes=events_from("accounts"),
)

log = logging.getLogger(__name__)


def build(settings: Settings, env: Environment, database_url: str, bus: Bus) -> Service:
    """The service, ready to run."""
    public_keys = Path(env.require("TOKEN_KEYS"))
    tokens = AccessTokens.read(Path(env.require("SIGNING_KEY")))
    service = Service(settings, Database(database_url), bus, public_keys, SPEC)
    registrations = 100_000 if settings.demonstration else 60  # many visitors may share one address
    redis = connect(settings.redis_url)
    passwords, sessions, limits = Passwords(), Sessions(redis), Limits(redis, tokens.secret("limits"))
    devices = Devices(tokens.secret("devices"))
    shared = frozenset(one.email for one in demonstration.ACCOUNTS) if settings.demonstration else frozenset[str]()
    service.app.state.dependencies = api.Dependencies(
        passwords=passwords,
        sessions=sessions,
        limits=limits,
        registrations=Limit("registrations", env.number("REGISTRATIONS_PER_HOUR", registrations, 1, 10**9), 3600),
        sign_in=SignIn(service.uow, passwords, sessions, limits, devices, tokens, shared),
        public_keys=public_keys,
        fingerprint_secret=tokens.secret("idempotency"),
    )

    async def redis_writes() -> bool:
        return await writes(redis, service.name)

    async def key_is_published() -> bool:
        try:
            return tokens.key_id in KeySet.read(public_keys)
        except (OSError, ValueError):
            return False

    async def prepare() -> None:
        if not await key_is_published():
            log.error("no service can verify a token signed here: add key %s to %s", tokens.key_id, public_keys)
        if settings.demonstration:
            await demonstration.seed(service.uow, passwords)
        else:
            await demonstration.remove(service.uow)

    service.health_checks |= {"redis": redis_writes, "keys": key_is_published}
    service.on_start.append(prepare)
    service.on_stop.append(redis.aclose)
    return service
