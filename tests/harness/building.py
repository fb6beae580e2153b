"""Services that are built and not started."""

from collections.abc import Callable
from importlib import import_module

from batalkan.keys import Keys
from runtime.messaging.bus.memory import MemoryBus
from runtime.service import Service
from runtime.settings import Environment, Settings


def built(name: str, keys: Keys) -> Service:
    """The service of this name."""
    env = Environment(
        {
            "TOKEN_KEYS": str(keys.token_keys),
            "SIGNING_KEY": str(keys.signing_key),
            "DANA_PRIVATE_KEY": str(keys.dana_private_key),
            "DANA_URL": "http://127.0.0.1:1",
        }
    )
    build: Callable[..., Service] = import_module(f"services.{name}.main").build
    return build(Settings.read(name, env), env, "postgresql://nowhere", MemoryBus())
