"""The URLs in settings, of the parts that a process needs."""

import re
from urllib.parse import SplitResult, urlsplit

PORTS = {"postgresql": 5432, "postgres": 5432, "amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379}
INSIDE = {"memory", "embedded"}
"""Schemes of parts inside this process, or started by it."""

DATABASE = ("embedded", "postgresql", "postgres")
BROKER = ("memory", "amqp", "amqps")
REDIS = ("memory", "redis", "rediss")
HTTP = ("http", "https")

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@,\s\x00-\x1f]+)(:(?P<port>[0-9]{1,5}))?", re.ASCII)


def what_is_wrong(url: str, schemes: tuple[str, ...]) -> str | None:
    """What is wrong with the URL, without its password; None if it is a URL of one of the schemes."""
    try:
        whole = urlsplit(url)
    except ValueError as error:
        return f"cannot be read: {error}"
    if whole.scheme not in schemes or not url[len(whole.scheme) :].startswith("://"):
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if whole.scheme in INSIDE:
        return None
    if any(sign.isspace() or not sign.isprintable() for sign in url):
        return "must have no spaces or control characters"
    if not _hosts(whole) and whole.scheme in DATABASE and "host=" in whole.query:
        return None  # a socket of this machine
    for host in _hosts(whole).split(","):
        found = _HOST.fullmatch(host)
        if found is None:
            return "must name a host, and a port if it is not the usual one"  # the value may be a part of a password
        if found["port"] and not 0 < int(found["port"]) < 65536:
            return f"must name a port from 1 to 65535, not {found['port']}"
    return None


def host_port(url: str) -> str:
    """Hosts and ports, without a password; empty for a part inside this process."""
    whole = urlsplit(url)
    if whole.scheme in INSIDE:
        return ""
    hosts = [_HOST.fullmatch(host) for host in _hosts(whole).split(",")]
    return ",".join(f"{one['host']}:{one['port'] or PORTS.get(whole.scheme, 80)}" for one in hosts if one) or "a socket"


def addresses(url: str) -> list[tuple[str, int]]:
    """Each host with its port."""
    found = [one.rpartition(":") for one in host_port(url).split(",")]
    return [(host.strip("[]"), int(port)) for host, _, port in found if port.isdigit()]


def _hosts(whole: SplitResult) -> str:
    return whole.netloc.rpartition("@")[2]
