"""The permissions at the servers: users of RabbitMQ and Redis, in the servers' own formats.

A service may touch its own queues, publish under its own name only, and see the Redis keys that begin with its name.
"""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from contracts import events_for
from runtime.demo.recorder import STREAM
from runtime.http.revocations import ENDED
from runtime.messaging.bus.topology import queue_arguments
from runtime.messaging.envelope import EXCHANGE

VHOST = "batalkan"
READER = "web"
"""The service that may read the stream of the demonstration."""


def broker_users(passwords: Mapping[str, str], *, admin: str) -> dict[str, Any]:
    """Definitions for RabbitMQ: the virtual host, and a user for each of `passwords`; `admin` has all permissions."""
    users, permissions, topics = [], [], []
    for name, password in passwords.items():
        own = ".*" if name == admin else rf"^(batalkan\.events|{name}(\.dead|\.partitions|\.[0-9]+)?)$"
        hashed = {"password_hash": broker_hash(password), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        users.append({"name": name, "tags": ["administrator"] if name == admin else [], **hashed})
        permissions.append({"user": name, "vhost": VHOST, "configure": own, "write": own, "read": own})
        if name != admin:
            topics.append({"user": name, "vhost": VHOST, "exchange": EXCHANGE, "write": rf"^{name}\.", "read": ".*"})
    return {
        "vhosts": [{"name": VHOST, "default_queue_type": "quorum"}],
        "users": users,
        "permissions": permissions,
        "topic_permissions": topics,
    }


def broker_queues(services: Iterable[str]) -> dict[str, Any]:
    """Definitions for RabbitMQ: the queues of these services, exactly as the services declare them. A service with
    partitions deletes its one."""
    queues, bindings = [], []
    exchanges = [_exchange(EXCHANGE, "topic")]
    for service in services:
        keys = sorted(key for event in events_for(service) for key in event.routing_keys(service))
        if not keys:
            continue
        dead = f"{service}.dead"
        exchanges.append(_exchange(dead, "fanout"))
        queues.append(_queue(service, queue_arguments(service)))
        queues.append(_queue(dead, {"x-queue-type": "quorum"}))
        bindings += [_binding(EXCHANGE, service, key) for key in keys]
        bindings.append(_binding(dead, dead, ""))
    return {"exchanges": exchanges, "queues": queues, "bindings": bindings}


def _exchange(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "vhost": VHOST, "type": kind, "durable": True, "auto_delete": False, "internal": False}


def _queue(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "vhost": VHOST, "durable": True, "auto_delete": False, "arguments": dict(arguments)}


def _binding(exchange: str, queue: str, key: str) -> dict[str, Any]:
    return {
        "source": exchange,
        "vhost": VHOST,
        "destination": queue,
        "destination_type": "queue",
        "routing_key": key,
        "arguments": {},
    }


def broker_hash(password: str) -> str:
    """The hash that RabbitMQ stores for a password (`rabbit_password_hashing_sha256`); always the same for the same
    password, so that the definitions stay the same, too."""
    salt = hashlib.sha256(password.encode()).digest()[:4]
    return b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def redis_user(name: str, password: str) -> str:
    """A line of Redis's ACL file, for a service. FLUSHALL and its like know no keys, so key patterns are not enough.
    SCAN and its like would show the names of others' keys, which are secrets.

    All may read which sessions `accounts` has ended, and subscribe to it. In demonstration mode every service writes
    into one stream, and `web` reads it.
    """
    hashed = hashlib.sha256(password.encode()).hexdigest()
    keys = f"~{name}:* %R~{ENDED} %{'RW' if name == READER else 'W'}~{STREAM}"
    rules = f"resetkeys {keys} resetchannels &{name}:* +@all -@admin -@dangerous -scan -randomkey -dbsize"
    return f"user {name} on #{hashed} {rules} (&{ENDED} +subscribe)"
