"""The settings of a process: what is read, and what is refused."""

import pytest

from runtime import urls
from runtime.settings import Environment, SettingInvalid, Settings

WRONG = [
    ("DATABASE_URL", "mysql://x/y", "must begin with embedded:// or postgresql:// or postgres://"),
    ("DATABASE_URL", "postgresql://me:secret@/x", "must name a host"),
    ("DATABASE_URL", "postgresql://me:sec/ret@host/x", "must name a host"),
    ("BROKER_URL", "http://x", "must begin with memory:// or amqp:// or amqps://"),
    ("BROKER_URL", "amqp:host", "must begin with"),
    ("BROKER_URL", "amqp://orders:secret@one:5672,two:70000/x", "must name a port from 1 to 65535, not 70000"),
    ("BROKER_URL", "amqp://orders:secret@one:5672,/x", "must name a host"),
    ("REDIS_URL", "redis://me:secret@host:0/0", "must name a port from 1 to 65535"),
    ("REDIS_URL", "redis://[::1/0", "cannot be read"),
    ("REDIS_URL", "redis://ho st/0", "must have no spaces"),
    ("PORT", "80000", "'80000' is not a whole number from 0 to 65535"),
    ("PORT", " 8_080", "is not a whole number"),
    ("LOG_LEVEL", "loud", "'loud' is none of debug, info, warning, error, critical"),
    ("DEMONSTRATION", "maybe", "'maybe' is neither"),
    ("BROKER_URL_FILE", "/no/such/file", "cannot be read"),
    ("TRUSTED_PROXIES", "10.0.0.0/33", "does not appear to be"),
    ("TRUSTED_PROXIES", "10.0.0.1/8", "has host bits set"),
    ("TRUSTED_PROXIES", "*", "does not appear to be"),
    ("TRUSTED_PROXIES", "127.0.0.1, proxy", "does not appear to be"),
    ("ALLOWED_HOSTS", "http://shop.example", "is no host"),
    ("ALLOWED_HOSTS", "shop.example:8080", "is no host"),
    ("ALLOWED_HOSTS", "shop.example,*", "is no host"),
    ("ALLOWED_HOSTS", "::1", "is no host"),
]


@pytest.mark.parametrize(("name", "value", "complaint"), WRONG)
def test_invalid_settings_are_refused(name: str, value: str, complaint: str) -> None:
    """The complaint names the setting and what it must be, and holds no password."""
    with pytest.raises(SettingInvalid, match=f"^{name}: ") as refused:
        Settings.read("orders", Environment({name: value}))
    assert complaint in str(refused.value)
    assert "sec" not in str(refused.value)


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "-1", "1e9", "", "99999999"])
def test_invalid_times_are_refused(text: str) -> None:
    """Seconds are digits, perhaps with a fraction, and within bounds; an empty setting is none."""
    env = Environment({"AGENT_GRACE": text})
    if not text:
        assert env.seconds("AGENT_GRACE", 60, 1, 100) == 60
        return
    with pytest.raises(SettingInvalid, match="AGENT_GRACE"):
        env.seconds("AGENT_GRACE", 60, 1, 100)


@pytest.mark.parametrize(
    ("url", "schemes"),
    [
        ("postgresql://orders:p%40ss@one,two:5433/orders?sslmode=require", urls.DATABASE),
        ("postgresql://postgres@/orders?host=/run/postgresql", urls.DATABASE),
        ("amqp://orders:p@rabbit-1:5672,[::1]:5673/vhost", urls.BROKER),
        ("memory://", urls.BROKER),
        ("rediss://me:p@redis.example:6380/0", urls.REDIS),
        ("http://dana", urls.HTTP),
    ],
)
def test_valid_urls_are_accepted(url: str, schemes: tuple[str, ...]) -> None:
    """Several hosts, ports, IPv6 addresses, sockets and options are no obstacle."""
    assert urls.what_is_wrong(url, schemes) is None


def test_networks_and_hosts_are_read() -> None:
    """Networks and addresses of both kinds, names in any case, and the address that the process listens on."""
    text = {"TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1,fd00::/8", "ALLOWED_HOSTS": " Shop.Example, 10.1.2.3 ,[fd00::1]"}
    read = Settings.read("orders", Environment({**text, "HOST": "192.0.2.7"}))
    assert set(read.trusted_proxies) == {
        *("10.0.0.0/8", "::ffff:a00:0/104", "192.0.2.1/32", "::ffff:c000:201/128", "fd00::/8")
    }
    assert read.allowed_hosts == {"shop.example", "10.1.2.3", "[fd00::1]", "192.0.2.7"}
    plain = Settings.read("orders", Environment({"HOST": "0.0.0.0"}))  # noqa: S104 - not listened on
    assert (plain.trusted_proxies, plain.allowed_hosts) == ((), frozenset())
