"""The step that makes the secrets, without Docker."""

import base64
import hashlib
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batalkan.secrets import OPERATOR, SERVERS, fill, share_cookie
from services import SERVICES
from tests.compose.stack import ROOT


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """The volumes after the first `up`."""
    for name in (*SERVICES, *SERVERS, OPERATOR, "dana", "later"):
        (tmp_path / name).mkdir()
    fill(tmp_path, ROOT / "deploy", list(SERVICES), ["rabbitmq"], ["postgres"])
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    """Every file in a folder."""
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_a_second_run_keeps_every_secret(volumes: Path) -> None:
    """Stopping and starting again changes no password and no key."""
    folders = [volumes / name for name in (*SERVICES, OPERATOR, "dana")]
    before = [contents(folder) for folder in folders]
    fill(volumes, ROOT / "deploy", list(SERVICES), ["rabbitmq"], ["postgres"])
    assert [contents(folder) for folder in folders] == before


def test_a_service_can_be_added_later(volumes: Path) -> None:
    """A service that is new in the list gets secrets of its own, and the servers get to know it."""
    fill(volumes, ROOT / "deploy", [*SERVICES, "later"], ["rabbitmq"], ["postgres"])
    assert contents(volumes / "later").keys() == {"broker_url", "database_url", "redis_url", "jwks.json"}
    assert (volumes / "postgres" / "later.scram").exists()
    assert "user later on #" in (volumes / "redis" / "users.acl").read_text()


def test_an_interrupted_run_is_completed_by_the_next(volumes: Path) -> None:
    """What an earlier run left half done is made good by the next."""
    (volumes / "orders" / "broker_url").unlink()
    (volumes / "orders" / ".broker_url.new").write_text("amqp://ord")
    (volumes / "orders" / ".broker_url.new").chmod(0o400)
    fill(volumes, ROOT / "deploy", list(SERVICES), ["rabbitmq"], ["postgres"])
    assert (volumes / "orders" / "broker_url").read_text().startswith("amqp://orders:")
    assert not (volumes / "orders" / ".broker_url.new").exists()


def test_one_server_can_become_several_later(volumes: Path) -> None:
    """With more nodes in the lists, every URL names them all, and no password changes."""
    before = contents(volumes / "orders")
    fill(volumes, ROOT / "deploy", list(SERVICES), ["rabbitmq", "rabbitmq-2"], ["postgres", "postgres-2"])
    password = {name: urlsplit(url).password for name, url in before.items() if name.endswith("_url")}
    assert contents(volumes / "orders") == before | {
        "broker_url": f"amqp://orders:{password['broker_url']}@rabbitmq:5672,rabbitmq-2:5672/batalkan",
        "database_url": f"postgresql://orders:{password['database_url']}@postgres:5432,postgres-2:5432/orders"
        "?target_session_attrs=read-write",
    }
    assert (volumes / OPERATOR / "orders_database_url").read_text().endswith("target_session_attrs=read-write")


def test_the_broker_knows_the_passwords_of_the_urls(volumes: Path) -> None:
    """RabbitMQ's hash of a password is base64(salt + sha256(salt + password)), with a salt of four bytes. It is
    the same at the next start, when RabbitMQ skips the definitions, which have not changed."""
    definitions = (volumes / "rabbitmq" / "definitions.json").read_text()
    fill(volumes, ROOT / "deploy", list(SERVICES), ["rabbitmq"], ["postgres"])
    assert (volumes / "rabbitmq" / "definitions.json").read_text() == definitions
    users = json.loads(definitions)["users"]
    hashes = {user["name"]: base64.b64decode(user["password_hash"]) for user in users}
    for service in SERVICES:
        password = urlsplit((volumes / service / "broker_url").read_text()).password or ""
        assert hashlib.sha256(hashes[service][:4] + password.encode()).digest() == hashes[service][4:]


def test_the_nodes_of_a_cluster_have_one_cookie(tmp_path: Path) -> None:
    """A node that joins gets the cookie of the first, also when that one has run alone before and made its own."""
    for node in ("rabbitmq", "rabbitmq-2"):
        (tmp_path / node).mkdir()
    (tmp_path / "rabbitmq" / ".erlang.cookie").write_text("MADEBYERLANG")
    share_cookie(tmp_path, ["rabbitmq", "rabbitmq-2"])
    assert (tmp_path / "rabbitmq-2" / ".erlang.cookie").read_text() == "MADEBYERLANG"
    assert (tmp_path / "rabbitmq-2" / ".erlang.cookie").stat().st_mode & 0o777 == 0o400


def test_a_node_that_lost_its_volume_gets_the_cookie_of_the_others(tmp_path: Path) -> None:
    """A first node without data joins the nodes that run: their cookie stays, and becomes its own."""
    nodes = ["rabbitmq", "rabbitmq-2", "rabbitmq-3"]
    for node in nodes:
        (tmp_path / node).mkdir()
    share_cookie(tmp_path, nodes)
    cookie = (tmp_path / "rabbitmq" / ".erlang.cookie").read_text()
    (tmp_path / "rabbitmq" / ".erlang.cookie").unlink()
    share_cookie(tmp_path, nodes)
    assert {(tmp_path / node / ".erlang.cookie").read_text() for node in nodes} == {cookie}


def test_private_keys_are_with_one_service_each(volumes: Path) -> None:
    """Only accounts can sign tokens, and only refunds requests to DANA."""
    holders = {path.parent.name for path in volumes.glob("*/*") if "PRIVATE KEY" in path.read_text()}
    assert holders == {"accounts", "refunds"}
