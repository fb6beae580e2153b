"""The first step of `docker compose up`: random secrets, each in the volume of the one container that needs it.

A service's volume holds its own passwords and keys; a server's volume holds its configuration and, of the passwords,
hashes only. Run again, this keeps every secret that is there and adds what is missing: a service can be added later.
"""

import hmac
import json
import os
import secrets
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from urllib.parse import urlsplit

from batalkan.keys import jwks, new_dana_key, new_signing_key, public_pem

VHOST = "batalkan"
EXCHANGE = "batalkan.events"
SERVERS = ("gateway", "postgres", "rabbitmq", "redis")
OPERATOR = "operator"


def fill(volumes: Path, configuration: Path, services: list[str]) -> None:
    """Fill the folders in `volumes`, one per container; `configuration` holds a folder of files for each server."""
    for server in SERVERS:
        for file in (configuration / server).iterdir():
            write(volumes / server / file.name, file.read_text())
    for service in services:
        folder = volumes / service
        database = keep(folder / "database_url", f"postgresql://{service}:{password()}@postgres:5432/{service}")
        keep(folder / "broker_url", f"amqp://{service}:{password()}@rabbitmq:5672/{VHOST}")
        keep(folder / "redis_url", f"redis://{service}:{password()}@redis:6379/0")
        write(volumes / OPERATOR / f"{service}_database_url", database)
        write(volumes / "postgres" / f"{service}.scram", scram_verifier(_password_in(database)))
    keep(volumes / OPERATOR / "broker_url", f"amqp://{OPERATOR}:{password()}@rabbitmq:5672/{VHOST}")
    _keys(volumes, services)
    _broker_users(volumes, services)
    _redis_users(volumes, services)


def keep(path: Path, new: str) -> str:
    """The secret at `path`: the one that is there already, or else `new`."""
    if not path.exists():
        write(path, new)
    return path.read_text()


def write(path: Path, text: str) -> None:
    """Put `text` there whole or not at all, so that being killed leaves no half secret."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.write_text(text)
    # PostgreSQL's container runs as a user of its image, not as ours; each volume is mounted by its own container only.
    new.chmod(0o444 if path.parent.name == "postgres" else 0o400)
    new.replace(path)


def password() -> str:
    """32 random characters that need no quoting in a URL."""
    return secrets.token_urlsafe(24)


def scram_verifier(clear: str) -> str:
    """What PostgreSQL stores instead of a password (SCRAM-SHA-256, RFC 5803)."""
    salt, rounds = secrets.token_bytes(16), 4096
    salted = pbkdf2_hmac("sha256", clear.encode(), salt, rounds)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${rounds}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def broker_hash(clear: str) -> str:
    """What RabbitMQ stores instead of a password (`rabbit_password_hashing_sha256`)."""
    salt = secrets.token_bytes(4)
    return _base64(salt + sha256(salt + clear.encode()).digest())


def _keys(volumes: Path, services: list[str]) -> None:
    """Accounts alone can sign access tokens, refunds alone requests to DANA; the others get the public halves."""
    token_keys = jwks(keep(volumes / "accounts" / "signing_key.pem", new_signing_key()))
    for service in services:
        write(volumes / service / "jwks.json", token_keys)
    partner_key = public_pem(keep(volumes / "refunds" / "dana_private_key.pem", new_dana_key()))
    write(volumes / "dana" / "dana_partner_key.pem", partner_key)


def _broker_users(volumes: Path, services: list[str]) -> None:
    """The virtual host and its users. A service may touch its own queues, and publish under its own name only."""
    users, permissions, topics = [], [], []
    for name in [*services, OPERATOR]:
        clear = _password_in((volumes / name / "broker_url").read_text())
        own = ".*" if name == OPERATOR else rf"^(batalkan\.events|{name}(\.dead)?)$"
        tags = ["administrator"] if name == OPERATOR else []
        hashed = {"password_hash": broker_hash(clear), "hashing_algorithm": "rabbit_password_hashing_sha256"}
        users.append({"name": name, "tags": tags, **hashed})
        permissions.append({"user": name, "vhost": VHOST, "configure": own, "write": own, "read": own})
        if name != OPERATOR:
            topics.append({"user": name, "vhost": VHOST, "exchange": EXCHANGE, "write": rf"^{name}\.", "read": ".*"})
    definitions = {
        "vhosts": [{"name": VHOST, "default_queue_type": "quorum"}],
        "users": users,
        "permissions": permissions,
        "topic_permissions": topics,
    }
    write(volumes / "rabbitmq" / "definitions.json", json.dumps(definitions, indent=1))


def _redis_users(volumes: Path, services: list[str]) -> None:
    """A service sees the keys and channels that begin with its name. The default user, whom nobody needs, is off."""
    lines = ["user default off"]
    for service in services:
        hashed = sha256(_password_in((volumes / service / "redis_url").read_text()).encode()).hexdigest()
        # @dangerous holds what knows no keys (FLUSHALL, KEYS), so key patterns alone would not keep services apart.
        lines.append(f"user {service} on #{hashed} ~{service}:* &{service}:* +@all -@admin -@dangerous")
    hashed = sha256(keep(volumes / "redis" / "health", password()).encode()).hexdigest()
    lines.append(f"user health on #{hashed} +ping")
    write(volumes / "redis" / "users.acl", "\n".join(lines) + "\n")


def _password_in(url: str) -> str:
    return urlsplit(url).password or ""


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


if __name__ == "__main__":
    services = os.environ["SERVICES"].split()
    fill(Path("/secrets"), Path("/app/deploy"), services)
    print(f"The secrets of {', '.join(services)} are in their volumes.")
