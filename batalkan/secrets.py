"""The first step of `docker compose up`: creates random secrets, each in the volume of the container that needs it; for
Kubernetes, in a folder for each Secret.

A service's volume holds its own passwords and keys; a server's volume holds its configuration and the hashes of the
passwords. A second run keeps all existing secrets and adds the missing ones: a service can be added later.
"""

import hmac
import json
import os
import secrets
import sys
from base64 import b64encode
from hashlib import pbkdf2_hmac, sha256
from pathlib import Path
from urllib.parse import urlsplit

from batalkan.keys import jwks, new_dana_key, new_signing_key, public_pem
from batalkan.nginx import entrance
from batalkan.permissions import VHOST, broker_queues, broker_users, redis_user
from runtime.settings import Environment, SettingInvalid

SERVERS = ("postgres", "rabbitmq", "redis")
OPERATOR = "operator"
CONFIGURATION = Path(__file__).parents[1] / "deploy"


def fill(volumes: Path, configuration: Path, services: list[str], brokers: list[str], databases: list[str]) -> None:
    """Fills the folders in `volumes`, one per container; `configuration` holds a folder of files for each of SERVERS.

    `brokers` are RabbitMQ's nodes, `databases` PostgreSQL's. Nodes can be added later: passwords stay, and the URLs
    name all nodes.
    """
    hosts = ",".join(f"{broker}:5672" for broker in brokers)
    servers = ",".join(f"{database}:5432" for database in databases)
    any_primary = "?target_session_attrs=read-write" if len(databases) > 1 else ""
    for server in SERVERS:
        copy_configuration(configuration / server, volumes / server)
    for service in services:
        folder = volumes / service
        database = f"postgresql://{service}:{_kept_password(folder / 'database_url')}@{servers}/{service}{any_primary}"
        write(folder / "database_url", database)
        write(folder / "broker_url", f"amqp://{service}:{_kept_password(folder / 'broker_url')}@{hosts}/{VHOST}")
        ensure(folder / "redis_url", f"redis://{service}:{password()}@redis:6379/0")
        write(volumes / OPERATOR / f"{service}_database_url", database)
        write(volumes / "postgres" / f"{service}.scram", scram_verifier(_password_in(database)))
    broker_url = volumes / OPERATOR / "broker_url"
    write(broker_url, f"amqp://{OPERATOR}:{_kept_password(broker_url)}@{hosts}/{VHOST}")
    for role in ("replicator", "rewind", "restapi"):  # of PostgreSQL's nodes among each other
        ensure(volumes / "postgres" / role, password())
    _keys(volumes, services)
    _broker(volumes, services)
    _redis_users(volumes, services)


def fill_folder(folder: Path, services: list[str]) -> None:
    """A folder of files for each Secret of Kubernetes. The gateway's Pod makes its configuration itself."""
    for name in (*SERVERS, *services, OPERATOR, "dana"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    fill(folder, CONFIGURATION, services, ["rabbitmq"], ["postgres"])


def copy_configuration(source: Path, folder: Path) -> None:
    """Copies a server's files into its folder."""
    for file in source.iterdir():
        write(folder / file.name, file.read_text())


def ensure(path: Path, new: str) -> str:
    """The existing secret at `path`; if there is none, writes and returns `new`."""
    if not path.exists():
        write(path, new)
    return path.read_text()


def write(path: Path, text: str) -> None:
    """Writes `text` completely or not at all, so that a kill leaves no incomplete secret."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    new.write_text(text)
    # PostgreSQL's container runs as a user of its image; each volume is mounted by its own container only.
    new.chmod(0o444 if path.parent.name == "postgres" else 0o400)
    new.replace(path)


def password() -> str:
    """32 random characters that need no escaping in a URL."""
    return secrets.token_urlsafe(24)


def scram_verifier(clear: str) -> str:
    """The verifier that PostgreSQL stores for a password (SCRAM-SHA-256, RFC 5803)."""
    salt, iterations = secrets.token_bytes(16), 4096
    salted = pbkdf2_hmac("sha256", clear.encode(), salt, iterations)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    return f"SCRAM-SHA-256${iterations}:{_base64(salt)}${_base64(stored)}:{_base64(server)}"


def _keys(volumes: Path, services: list[str]) -> None:
    """Only accounts can sign access tokens, and only refunds requests to DANA; the others get the public keys."""
    token_keys = jwks(ensure(volumes / "accounts" / "signing_key.pem", new_signing_key()))
    for service in services:
        write(volumes / service / "jwks.json", token_keys)
    partner_key = public_pem(ensure(volumes / "refunds" / "dana_private_key.pem", new_dana_key()))
    write(volumes / "dana" / "dana_partner_key.pem", partner_key)


def _broker(volumes: Path, services: list[str]) -> None:
    """The virtual host with its users and queues, so that on the first start no publisher waits for a consumer."""
    names = [*services, OPERATOR]
    passwords = {name: _password_in((volumes / name / "broker_url").read_text()) for name in names}
    definitions = broker_users(passwords, admin=OPERATOR) | broker_queues(services)
    write(volumes / "rabbitmq" / "definitions.json", json.dumps(definitions, indent=1))


def _redis_users(volumes: Path, services: list[str]) -> None:
    """The services' users, and one for the health check, which may only PING. The default user is off."""
    lines = ["user default off"]
    for service in services:
        lines.append(redis_user(service, _password_in((volumes / service / "redis_url").read_text())))
    hashed = sha256(ensure(volumes / "redis" / "health", password()).encode()).hexdigest()
    lines.append(f"user health on #{hashed} +ping")
    write(volumes / "redis" / "users.acl", "\n".join(lines) + "\n")


def share_cookie(data: Path, brokers: list[str]) -> None:
    """Gives all nodes the Erlang cookie that the first of them has: the nodes of a cluster authenticate with it.

    A node without one may have lost its volume while the others run.
    """
    paths = [data / broker / ".erlang.cookie" for broker in brokers]
    cookie = next((path.read_text() for path in paths if path.exists()), None) or password()
    for path in paths:
        write(path, cookie)


def _kept_password(url: Path) -> str:
    return _password_in(url.read_text()) if url.exists() else password()


def _password_in(url: str) -> str:
    return urlsplit(url).password or ""


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


if __name__ == "__main__":
    services, brokers, databases = (os.environ[name].split() for name in ("SERVICES", "BROKERS", "DATABASES"))
    fill(Path("/secrets"), CONFIGURATION, services, brokers, databases)
    copy_configuration(CONFIGURATION / "gateway", Path("/secrets/gateway"))
    try:
        write(Path("/secrets/gateway/entrance.conf"), entrance(Environment.of_process()))
    except SettingInvalid as invalid:
        sys.exit(f"init: {invalid}")
    share_cookie(Path("/data"), brokers)
    print(f"The secrets of {', '.join(services)} are in their volumes.")
