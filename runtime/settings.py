"""Reading the environment, once, in each `__main__`."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PORTS = {"accounts": 8001, "orders": 8002, "refunds": 8003, "chat": 8004, "cs": 8005, "web": 8006, "dana": 8090}
"""Where the services listen when nothing else is said."""


class SettingMissing(Exception):
    """The environment does not hold a setting that this process cannot do without."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not set (nor {name}_FILE, the path of a file that holds it)")


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

    def flag(self, name: str) -> bool:
        """Whether the setting is one of 1, true, yes, on."""
        return self.get(name, "0").lower() in {"1", "true", "yes", "on"}


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

    @classmethod
    def read(cls, service: str, env: Environment) -> "Settings":
        """The settings of `service` out of the environment."""
        return cls(
            service=service,
            database_url=env.get("DATABASE_URL", f"embedded://{Path('.batalkan').absolute()}"),
            broker_url=env.get("BROKER_URL", "memory://"),
            redis_url=env.get("REDIS_URL", "memory://"),
            host=env.get("HOST", "127.0.0.1"),
            port=int(env.get("PORT", str(PORTS[service]))),
            demonstration=env.flag("DEMONSTRATION"),
            log_level=env.get("LOG_LEVEL", "info"),
        )
