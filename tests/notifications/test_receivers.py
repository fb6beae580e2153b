"""Calls to receivers: to the public internet only, and bounded."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from batalkan.keys import Keys
from services.notifications.addresses import LOOKUPS, NotResolved, PublicNetwork, may_be_called
from services.notifications.domain import MAX_WEBHOOKS, Answer
from services.notifications.main import MAX_LOOKUPS
from services.notifications.receivers import Receivers
from tests.harness.actors import Person, assert_problem
from tests.harness.notifications import (
    LOCAL,
    NotificationsHarness,
    Receiver,
    delivered,
    make_webhook,
    receiving,
    running,
)
from tests.harness.waiting import becomes
from tests.machine.nginx import self_signed
from tests.machine.test_loop import cannot_start

INSIDE = [
    *("127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),  # noqa: S104
    *("100.100.100.200", "192.0.0.192", "168.63.129.16", "192.88.99.1", "198.18.0.1", "203.0.113.1", "224.0.0.1"),
    *("240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254"),
    *("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::8.8.8.8", "2002:7f00:1::", "2002:808:808::1"),
    *("2001:0:7f00:1::", "2001:db8::1", "fd00:ec2::254", "fc00::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1"),
]
OUTSIDE = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_not_called(address: str) -> None:
    """Loopback, private, shared, link-local, metadata, reserved and multicast addresses are refused in every form."""
    assert not may_be_called(address)


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_outside_is_called(address: str) -> None:
    """Global addresses are allowed, also those of IPv4 in a form of IPv6."""
    assert may_be_called(address)


def test_networks_can_be_allowed() -> None:
    """WEBHOOK_ALLOW_NETWORKS allows the addresses of its networks, and no others."""
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert all(may_be_called(one, allowed) for one in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "8.8.8.8"))
    assert not any(may_be_called(one, allowed) for one in ("10.2.0.1", "127.0.0.1", "::1", "fe80::1"))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "0x7f000001", "0177.0.0.1", "2130706433", "localhost", "localhost.", "0", "0.0.0.0"),  # noqa: S104
        *(
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::127.0.0.1]",
            "１２７.0.0.1",
            "127。0。0。1",
        ),
    ],
)
async def test_a_private_host_is_never_called(receiver: Receiver, host: str) -> None:
    """A host that means this machine is not called, in any form of writing it."""
    port = receiver.url.rpartition(":")[2]
    client = Receivers()
    answer = await client.post(f"http://{host}:{port}", b"secret", "msg_1", b"{}")
    await client.close()
    assert answer.error in ("address_not_allowed", "not_resolved", "wrong_url"), answer
    assert receiver.got == []


async def test_a_private_host_is_refused_at_once(harness: NotificationsHarness, keys: Keys, receiver: Receiver) -> None:
    """A webhook for a host that is known to be inside is not made; an unknown one may come to exist later."""
    async with running(harness.service.uow.database.url, keys, receivers=Receivers()) as strict:
        transport = httpx.ASGITransport(strict.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://notifications") as http:
            there = Person.signed(http, keys, "seller")
            for url in (receiver.url, "http://[::ffff:127.0.0.1]/", "http://2130706433/", "https://localhost/"):
                answer = await there.ask("POST", "/notifications/webhooks", {"url": url, "kinds": ["OrderPaid"]})
                assert_problem(answer, 422, "address_not_allowed")
            await make_webhook(there, "https://receiver.invalid/")


class Resolver:
    """A name server that gives its answers one after the other, and then the last one again."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, host: str, port: int) -> Sequence[Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [found for one in answer for found in socket.getaddrinfo(one, port, type=socket.SOCK_STREAM)]


async def test_a_changed_answer_leads_nowhere_else(receiver: Receiver) -> None:
    """A name is looked up once for each call, and its address is checked then: a server that gives a public address
    first and a private one later leads to the public one in the first call, and nowhere in the second."""
    port = receiver.url.rpartition(":")[2].partition("/")[0]
    resolver = Resolver(["192.0.2.1"], ["127.0.0.1"])
    client = Receivers([ip_network("192.0.2.0/24")], resolve=resolver, timeout=0.5)  # nothing is there, by RFC 5737
    answers = [await client.post(f"http://receiver.example:{port}/", b"secret", "msg_1", b"{}") for _ in range(2)]
    await client.close()
    assert answers[0].error in ("timeout", "not_connected")
    assert answers[1] == Answer(error="address_not_allowed")
    assert (resolver.asked, receiver.got) == (2, [])


async def test_one_private_address_is_enough(receiver: Receiver) -> None:
    """A name with a public and a private address is not called at all."""
    client = Receivers(resolve=Resolver(["8.8.8.8", "127.0.0.1"]))
    assert (await client.post("http://receiver.example/", b"s", "msg_1", b"{}")).error == "address_not_allowed"
    await client.close()


async def test_the_checked_address_is_called(receiver: Receiver) -> None:
    """A call goes to an address that was checked, with the name in `Host`; if one refuses, the next one is tried."""
    port = receiver.url.rpartition(":")[2].partition("/")[0]
    client = Receivers([ip_network("127.0.0.0/30")], resolve=Resolver(["127.0.0.2", "127.0.0.1"]))
    assert await client.post(f"http://receiver.example:{port}/a?b=c", b"s", "msg_1", b"{}") == Answer(204)
    await client.close()
    assert receiver.got[0][0]["host"] == f"receiver.example:{port}"


async def test_the_certificate_is_that_of_the_name(tmp_path: Path) -> None:
    """TLS checks the certificate against the name of the URL, not against the address that is called."""
    self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    trust = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    client = Receivers(LOCAL, resolve=Resolver(["127.0.0.1"]), verify=trust)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", tls=context) as url:
        port = url.rpartition(":")[2]
        names = ("shop.example", "other.example")
        answers = [await client.post(f"https://{name}:{port}", b"s", "msg_1", b"{}") for name in names]
    await client.close()
    assert answers == [Answer(200), Answer(error="tls")]


async def test_a_name_server_that_hangs_delays_one_call() -> None:
    """A call whose name server does not answer times out; meanwhile others are made."""
    hanging = threading.Event()

    def resolve(host: str, port: int) -> Sequence[Any]:
        if host == "slow.example":
            hanging.wait()
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        client = Receivers(LOCAL, resolve=resolve, timeout=1.0)
        slow = [asyncio.create_task(client.post("http://slow.example/", b"s", "msg_1", b"{}")) for _ in range(8)]
        assert (await client.post(f"http://quick.example:{port}/", b"s", "msg_1", b"{}")).error is None
        assert {answer.error for answer in await asyncio.gather(*slow)} == {"timeout"}
        hanging.set()
        await client.close()


async def test_lookups_are_bounded_in_number() -> None:
    """Lookups that hang keep their threads after the calls have given up: above `LOOKUPS` a name counts as not
    resolved, and once the threads have ended names are looked up again."""
    hanging, resolver = threading.Event(), Resolver(["127.0.0.1"])

    def resolve(host: str, port: int) -> Sequence[Any]:
        found = resolver(host, port)
        hanging.wait(20)
        return found

    network = PublicNetwork(LOCAL, resolve)
    slow = [asyncio.create_task(network.addresses(f"{n}.example", 443)) for n in range(LOOKUPS + 8)]
    done, pending = await asyncio.wait(slow, timeout=1)
    assert [type(one.exception()) for one in done] == [NotResolved] * 8
    for one in pending:
        one.cancel()
    with pytest.raises(NotResolved):
        await network.addresses("one.more.example", 443)
    assert resolver.asked == LOOKUPS
    hanging.set()

    async def found() -> list[str]:
        with suppress(NotResolved):
            return await network.addresses("receiver.example", 443)
        return []

    await becomes(found, ["127.0.0.1"])


async def test_without_a_thread_a_name_is_not_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """When no thread can be started, a call fails as for a name without an address, as often as it is made; once there
    are threads again, names are looked up."""
    client, network = Receivers(LOCAL, resolve=Resolver(["127.0.0.1"])), PublicNetwork(LOCAL, Resolver(["127.0.0.1"]))
    with monkeypatch.context() as few:
        few.setattr(threading.Thread, "start", cannot_start)
        assert (await client.post("http://a.example/", b"s", "msg_1", b"{}")).error == "not_resolved"
        for _ in range(LOOKUPS + 1):
            with pytest.raises(NotResolved):
                await network.addresses("a.example", 443)
    assert await network.addresses("a.example", 443) == ["127.0.0.1"]
    await client.close()


async def test_a_seller_has_few_lookups(harness: NotificationsHarness, keys: Keys) -> None:
    """A seller with all webhooks, or with too many requests, is refused before a name is looked up; a repeat gets its
    answer in both cases, and counts, but a URL that cannot be one does not."""
    resolver = Resolver(["127.0.0.1"])
    receivers = Receivers(LOCAL, resolve=resolver)
    async with running(harness.service.uow.database.url, keys, receivers=receivers) as service:
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://notifications") as http:
            while service.app.state.live.broadcast.away:  # then nothing would be counted
                await asyncio.sleep(0.01)
            seller, path = Person.signed(http, keys, "seller"), "/notifications/webhooks"
            body = {"url": "https://receiver.example/", "kinds": ["OrderPaid"]}
            for _ in range(MAX_LOOKUPS):
                assert_problem(await seller.ask("POST", path, body | {"url": "receiver.example"}), 422, "wrong_url")
            made = [await seller.ask("POST", path, body, key=str(n)) for n in range(MAX_WEBHOOKS)]
            assert [one.status_code for one in made] == [201] * MAX_WEBHOOKS
            for _ in range(MAX_LOOKUPS - MAX_WEBHOOKS - 1):
                assert_problem(await seller.ask("POST", path, body), 409, "too_many_webhooks")
            repeats = [await seller.ask("POST", path, body, key="0") for _ in range(2)]
            assert [one.json() for one in repeats] == [made[0].json()] * 2
            assert_problem(await seller.ask("POST", path, body), 429, "rate_limited")
            assert resolver.asked == MAX_WEBHOOKS
            await make_webhook(Person.signed(http, keys, "seller"), "https://receiver.example/")


@asynccontextmanager
async def answering(head: bytes, more: bytes = b"", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that answers with this, and then with `more` again and again until its client is gone."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        try:
            while more:
                writer.write(more)
                await writer.drain()
            await reader.read()
        except OSError:
            pass
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


@pytest.mark.parametrize(
    ("head", "more", "expected"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536, Answer(200), id="a body without an end is not read"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 9999, Answer(error="dropped"), id="a head without an end"),
        pytest.param(b"", b"", Answer(error="timeout"), id="no answer"),
        pytest.param(b"SSH-2.0-x\r\n\r\n", b"", Answer(error="dropped"), id="not HTTP"),
    ],
)
async def test_odd_answers(head: bytes, more: bytes, expected: Answer) -> None:
    """What a receiver answers is read up to the end of its head, which is bounded in size and time."""
    client = Receivers(LOCAL, timeout=1.0)
    async with answering(head, more) as url:
        assert await client.post(url, b"s", "msg_1", b"{}") == expected
    await client.close()


async def test_nothing_listens(harness: NotificationsHarness) -> None:
    """A receiver that cannot be reached is a failure with a word of its own."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    deal = harness.deal()
    webhook = await make_webhook(deal.seller, f"http://127.0.0.1:{port}/")
    await harness.deliver(deal.placed(), deal.moved("processing"))
    await delivered(deal.seller, webhook, "pending", error="not_connected")
