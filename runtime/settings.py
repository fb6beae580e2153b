"""Reading the environment, once, in each `__main__`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

PORTS = {"accounts": 8001, "orders": 8002, "refunds": 8003, "chat": 8004, "cs": 8005, "web": 8006, "dana": 8090}
"""Where the services listen when nothing else is said."""


class SettingMissing(Exception):
    """The environment does not hold a setting that this process cannot do without."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not set (nor {name}_FILE, the path of a file that holds it)")


class SettingInvalid(Exception):
    """A setting holds something that cannot be meant."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")


_NAME = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
"""A host as it stands in a URL: a name, an IPv4 address, or an IPv6 address in brackets."""
_ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 - what a process listens on then is no name of it


@dataclass(frozen=True)
class Environment:
    """The settings of a process: variables, or files named by variables with `_FILE` behind the name."""

    variables: Mapping[str, str]

    @classmethod
    def of_process(cls) -> "Environment":
        """The environment that this process was started with."""
        return cls(os.environ)

    def get(self, name: str, default: str) -> str:
        """The setting, or `default`."""
        if path := self.variables.get(f"{name}_FILE"):
            return Path(path).read_text().strip()
        return self.variables.get(name) or default

    def require(self, name: str) -> str:
        """The setting; raises `SettingMissing`."""
        value = self.get(name, "")
        if not value:
            raise SettingMissing(name)
        return value

    def flag(self, name: str, default: str = "0") -> bool:
        """Whether the setting is one of 1, true, yes, on."""
        return self.get(name, default).lower() in {"1", "true", "yes", "on"}

    def trusted_proxies(self) -> tuple[str, ...]:
        """TRUSTED_PROXIES: networks, separated by commas, whose word on a client's address and scheme is believed.

        Raises `SettingInvalid`.
        """
        return tuple(str(network) for one in self._list("TRUSTED_PROXIES") for network in _networks(one))

    def allowed_hosts(self, listening: str) -> frozenset[str]:
        """ALLOWED_HOSTS: further hosts, separated by commas, by which clients may call this; and the address that it
        listens on, if that is one. Raises `SettingInvalid`."""
        names = [one.lower() for one in self._list("ALLOWED_HOSTS")]
        for name in names:
            if not _NAME.fullmatch(name):
                raise SettingInvalid("ALLOWED_HOSTS", f"{name!r} is no host (no scheme, port or path: shop.example)")
        own = f"[{listening}]" if ":" in listening else listening
        return frozenset(names) | ({own.lower()} - _ANY_ADDRESS - {"[::]"})

    def _list(self, name: str) -> list[str]:
        return [one.strip() for one in self.get(name, "").split(",") if one.strip()]


def _networks(text: str) -> Iterator[IPv4Network | IPv6Network]:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise SettingInvalid("TRUSTED_PROXIES", f"{error} (10.0.0.0/8, or an address)") from None
    yield network
    if isinstance(network, IPv4Network):  # as a socket that takes both kinds of addresses sees it
        yield IPv6Network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")


@dataclass(frozen=True)
class Settings:
    """What every service is told: the URLs choose the parts that it stands on."""

    service: str
    database_url: str
    broker_url: str
    redis_url: str
    host: str
    port: int
    demonstration: bool
    log_level: str
    trusted_proxies: tuple[str, ...] = ()
    allowed_hosts: frozenset[str] = frozenset()

    @classmethod
    def read(cls, service: str, env: Environment) -> "Settings":
        """The settings of `service` out of the environment."""
        host = env.get("HOST", "127.0.0.1")
        return cls(
            service=service,
            database_url=env.get("DATABASE_URL", f"embedded://{Path('.batalkan').absolute()}"),
            broker_url=env.get("BROKER_URL", "memory://"),
            redis_url=env.get("REDIS_URL", "memory://"),
            host=host,
            port=int(env.get("PORT", str(PORTS[service]))),
            demonstration=env.flag("DEMONSTRATION"),
            log_level=env.get("LOG_LEVEL", "info"),
            trusted_proxies=env.trusted_proxies(),
            allowed_hosts=env.allowed_hosts(host),
        )
