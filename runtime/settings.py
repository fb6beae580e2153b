"""Settings from the environment, read once in each `__main__`."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from runtime import urls
from runtime.numbers import whole

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")

MOST_PARTITIONS = 64

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?", re.ASCII)


class SettingMissing(Exception):
    """A required setting is not in the environment."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not set (nor {name}_FILE, the path of a file that holds it)")


class SettingInvalid(Exception):
    """The value of a setting is not valid."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")


_NAME = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
"""A host as in a URL: a name, an IPv4 address, or an IPv6 address in brackets."""
_ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 - not a name of this process


@dataclass(frozen=True)
class Environment:
    """The settings of a process: variables, or files named by variables with the suffix `_FILE`."""

    variables: Mapping[str, str]

    @classmethod
    def of_process(cls) -> "Environment":
        """The environment of this process."""
        return cls(os.environ)

    def get(self, name: str, default: str) -> str:
        """The setting, or `default`. Raises `SettingInvalid` for an unreadable file."""
        if path := self.variables.get(f"{name}_FILE"):
            try:
                return Path(path).read_text().strip()
            except (OSError, ValueError) as error:
                raise SettingInvalid(f"{name}_FILE", f"it cannot be read: {error}") from error
        return self.variables.get(name) or default

    def require(self, name: str) -> str:
        """The setting; raises `SettingMissing`."""
        value = self.get(name, "")
        if not value:
            raise SettingMissing(name)
        return value

    def flag(self, name: str, default: str = "0") -> bool:
        """Whether the setting is one of 1, true, yes, on, and not 0, false, no, off. Raises `SettingInvalid`."""
        value = self.get(name, default).lower()
        if value not in {"1", "true", "yes", "on", "0", "false", "no", "off"}:
            raise SettingInvalid(name, f"{value!r} is neither 1, true, yes, on nor 0, false, no, off")
        return value in {"1", "true", "yes", "on"}

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        """A URL of one of these schemes. Raises `SettingInvalid`, and `SettingMissing` for an empty default."""
        value = self.get(name, default) or self.require(name)
        if wrong := urls.what_is_wrong(value, schemes):
            raise SettingInvalid(name, wrong)
        return value

    def number(self, name: str, default: int, minimum: int, maximum: int) -> int:
        """A whole number from `minimum` to `maximum`. Raises `SettingInvalid`."""
        number = whole(value := self.get(name, str(default)))
        if number is None or not minimum <= number <= maximum:
            raise SettingInvalid(name, f"{value!r} is not a whole number from {minimum} to {maximum}")
        return number

    def seconds(self, name: str, default: float, minimum: float, maximum: float) -> float:
        """A time in seconds, also with a fraction. Raises `SettingInvalid`."""
        value = self.get(name, f"{default:g}")
        if not _SECONDS.fullmatch(value) or not minimum <= float(value) <= maximum:
            raise SettingInvalid(name, f"{value!r} is no number of seconds from {minimum:g} to {maximum:g}")
        return float(value)

    def one_of(self, name: str, default: str, *words: str) -> str:
        """One of these words, in upper or lower case. Raises `SettingInvalid`."""
        value = self.get(name, default).lower()
        if value not in words:
            raise SettingInvalid(name, f"{value!r} is none of {', '.join(words)}")
        return value

    def traced(self) -> bool:
        """Whether spans are exported. OpenTelemetry's SDK reads its variables itself, so that none may be a file.

        Raises `SettingInvalid`.
        """
        url = self.variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
        if not url or self.variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
            return False
        if wrong := urls.what_is_wrong(url, urls.HTTP):
            raise SettingInvalid("OTEL_EXPORTER_OTLP_ENDPOINT", wrong)
        if find_spec("opentelemetry.sdk") is None:
            raise SettingInvalid("OTEL_EXPORTER_OTLP_ENDPOINT", "install the extra `tracing`: pip install .[tracing]")
        return True

    def trusted_proxies(self) -> tuple[str, ...]:
        """TRUSTED_PROXIES: networks, separated by commas, from which headers about a client's address and scheme are
        trusted.

        Raises `SettingInvalid`.
        """
        return tuple(map(str, self.networks("TRUSTED_PROXIES")))

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        """Networks or addresses, separated by commas. Raises `SettingInvalid`."""
        return tuple(network for one in self._list(name) for network in _networks(name, one))

    def allowed_hosts(self, listening: str) -> frozenset[str]:
        """ALLOWED_HOSTS: further hosts, separated by commas, that requests may name; and the address `listening`, if it
        is one. Raises `SettingInvalid`."""
        names = [one.lower() for one in self._list("ALLOWED_HOSTS")]
        for name in names:
            if not _NAME.fullmatch(name):
                raise SettingInvalid("ALLOWED_HOSTS", f"{name!r} is no host (no scheme, port or path: shop.example)")
        own = f"[{listening}]" if ":" in listening else listening
        return frozenset(names) | ({own.lower()} - _ANY_ADDRESS - {"[::]"})

    def _list(self, name: str) -> list[str]:
        return [one.strip() for one in self.get(name, "").split(",") if one.strip()]


def _networks(name: str, text: str) -> Iterator[IPv4Network | IPv6Network]:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise SettingInvalid(name, f"{error} (10.0.0.0/8, or an address)") from None
    yield network
    if isinstance(network, IPv4Network):  # as a socket for both kinds of addresses reports it
        yield IPv6Network(f"::ffff:{network.network_address}/{96 + network.prefixlen}")


@dataclass(frozen=True)
class Settings:
    """The settings of every service. The URLs choose its database, broker and Redis."""

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
    partitions: int = 1
    traced: bool = False
    """Whether spans are exported."""

    @classmethod
    def read(cls, service: str, env: Environment, port: int = 0) -> "Settings":
        """Reads the settings of `service`; `port` is the default of PORT. Raises `SettingInvalid`."""
        host = env.get("HOST", "127.0.0.1")
        return cls(
            service=service,
            database_url=env.url("DATABASE_URL", f"embedded://{Path('.batalkan').absolute()}", urls.DATABASE),
            broker_url=env.url("BROKER_URL", "memory://", urls.BROKER),
            redis_url=env.url("REDIS_URL", "memory://", urls.REDIS),
            host=host,
            port=env.number("PORT", port, 0, 65535),
            demonstration=env.flag("DEMONSTRATION"),
            log_level=env.one_of("LOG_LEVEL", "info", *LOG_LEVELS),
            trusted_proxies=env.trusted_proxies(),
            allowed_hosts=env.allowed_hosts(host),
            partitions=env.number("PARTITIONS", 1, 1, MOST_PARTITIONS),
            traced=env.traced(),
        )
