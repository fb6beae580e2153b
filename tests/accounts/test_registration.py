"""Registering."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from batalkan.keys import Keys
from contracts.accounts import AccountRegistered
from runtime.http.problems import Problem
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import EventReader
from runtime.storage.database import connect
from services.accounts.demonstration import PASSWORD as DEMONSTRATION
from services.accounts.domain import WeakPassword
from services.accounts.strength import check_password
from tests.harness.accounts import PASSWORD, QUICK, AccountsHarness, Visitor, open_harness


async def test_the_answer_shows_the_account(visitor: Visitor) -> None:
    """Registration returns the account without the password, and the account can sign in."""
    answer = await visitor.register(name="  Siti Nur Halimah ", role="seller")
    assert answer.status_code == 201
    account = answer.json()
    assert account.pop("account_id")
    assert account == {"email": visitor.email, "name": "Siti Nur Halimah", "role": "seller"}
    assert (await visitor.sign_in()).status_code == 200


async def test_one_email_is_one_account(visitor: Visitor) -> None:
    """An address that differs in upper and lower case only is taken."""
    assert (await visitor.register()).status_code == 201
    again = await visitor.register(email=visitor.email.upper(), password="another password")
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert (await visitor.sign_in(username=visitor.email.upper())).status_code == 200


async def test_of_many_who_want_an_email_at_once_one_gets_it(visitor: Visitor) -> None:
    """Twenty registrations of one address at the same time make one account."""
    answers = await asyncio.gather(*(visitor.register(name=f"Siti {number}") for number in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19


async def test_sending_it_again_is_harmless(visitor: Visitor) -> None:
    """The same key and body get the stored answer, also at once; another body under the key is refused."""
    headers = {"Idempotency-Key": str(uuid4())}
    answers = await asyncio.gather(*(visitor.register(headers) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert sum("idempotent-replayed" in answer.headers for answer in answers) == 4
    other = await visitor.register(headers, password="another password")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_strangers_may_have_the_same_key(harness: AccountsHarness) -> None:
    """A key belongs to an e-mail address: with the same key another address is registered, or refused as taken, and no
    answer is given to another address."""
    keyed = {"Idempotency-Key": "1"}
    async with harness.visitor() as one, harness.visitor() as other:
        first, second = await one.register(keyed), await other.register(keyed)
        assert [answer.status_code for answer in (first, second)] == [201, 201]
        assert first.json()["account_id"] != second.json()["account_id"]
        assert second.json()["email"] == other.email
        assert (await other.register(keyed)).text == second.text
        other.email = one.email
        stolen = await other.register(keyed, password="not the password of Siti")
        assert (stolen.status_code, "account_id" in stolen.json()) == (422, False)


async def test_the_database_has_nothing_to_guess_passwords_with(database_url: str, keys: Keys) -> None:
    """Nothing stored depends on the password alone, except the argon2id hash."""
    async with open_harness(database_url, keys) as harness, harness.visitor() as visitor:
        await visitor.register({"Idempotency-Key": "k"})
        request = {"email": visitor.email, "password": PASSWORD, "name": "Siti", "role": "buyer"}
        one = await fetch(database_url, "select fingerprint from idempotency")
        async with open_harness(database_url, keys) as other, other.visitor() as stranger:
            stranger.email = visitor.email
            assert (await stranger.register({"Idempotency-Key": "k"})).headers["Idempotent-Replayed"] == "true"
        sent = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
        assert one[0]["fingerprint"] != hashlib.sha256(sent).digest()
        kept = await fetch(database_url, "select password_hash from accounts")
        assert kept[0]["password_hash"].startswith("$argon2id$")


async def fetch(url: str, query: str) -> list[asyncpg.Record]:
    """Asks the database past the service."""
    connection = await connect(url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


async def test_it_is_published_once(database_url: str, keys: Keys) -> None:
    """Of each account that was made one AccountRegistered is published; of refused registrations none."""
    bus = MemoryBus()
    listening = await bus.subscribe("witness", ["accounts.AccountRegistered"])
    async with open_harness(database_url, keys, bus=bus) as harness, harness.visitor() as visitor:
        headers = {"Idempotency-Key": "key"}
        made = (await visitor.register(headers)).json()
        await asyncio.gather(*(visitor.register(headers) for _ in range(3)), visitor.register())
        visitor.email = "last@example.com"
        last = (await visitor.register()).json()
        events: list[AccountRegistered] = []
        while len(events) < 2 or events[-1].account_id.hex != last["account_id"].replace("-", ""):
            for delivery in await listening.take(10):
                envelope = EventReader({"AccountRegistered": AccountRegistered}).read(
                    delivery.body, delivery.routing_key
                )
                events.append(envelope.data)
                await listening.acknowledge(delivery)
    assert [str(event.account_id) for event in events] == [made["account_id"], last["account_id"]]
    assert (events[0].role, events[0].name) == ("buyer", "Siti")


@pytest.mark.parametrize(
    "fields",
    [
        {"email": "siti"},
        {"email": "siti@localhost"},
        {"email": "siti@example.com\n"},
        {"email": "si ti@example.com"},
        {"email": "siti@exa\u212aple.com"},
        {"email": "siti\x00@example.com"},
        {"email": f"{'a' * 65}@example.com"},
        {"email": f"a@{'a.' * 130}com"},
        {"email": ["siti@example.com"]},
        {"password": "x" * 129},
        {"password": "rahasia\x00sekali"},
        {"password": 12345678},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 101},
        {"name": "Siti\x00"},
        {"name": "Siti\nNur"},
        {"name": "Siti\u202eitiS"},
        {"role": "agent"},
        {"role": "Buyer"},
        {"role": None},
        {"account_id": "0190d3a0-0000-7000-8000-00000000abcd"},
    ],
    ids=ascii,
)
async def test_what_cannot_be_is_refused(visitor: Visitor, fields: dict[str, Any]) -> None:
    """Fields that are malformed, too long, unprintable, unknown, or ask for a role that is not allowed, get a 422."""
    answer = await visitor.register(**fields)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert "rahasia" not in answer.text


@pytest.mark.parametrize(
    "password",
    [
        "",
        "1234567",
        " " * 8,
        "\u200b" * 12,
        "abcd" + "\u200b" * 8,
        "\u3164" * 8,
        "aaaaaaaa",
        "abababababab",
        "        a",
        "password",
        "Password",
        "P@ssw0rd",
        "password123!",
        "passwordpassword",
        "ｐａｓｓｗｏｒｄ",
        "12345678",
        "1234567890",
        "87654321",
        "abcdefgh",
        "qwertyuiop",
        "Indonesia2026",
        "bismillah",
        "sayangku1",
        "siti.nur@example.com",
        "SITI.NUR@EXAMPLE.COM",
        "siti.nur",
        "run.itis",
        "Siti Nur Halimah",
        "sitinurhalimah",
        "halimah1",
        "Halimah2001",
    ],
    ids=ascii,
)
def test_what_is_guessed_first_is_no_password(password: str) -> None:
    """Short, invisible, one pattern, very common, or one's own e-mail or name, however it is written: refused."""
    with pytest.raises(WeakPassword) as refused:
        check_password(password, "siti.nur@example.com", "Siti Nur Halimah")
    assert (Problem.of(refused.value).status, refused.value.code) == (422, "weak_password")


@pytest.mark.parametrize(
    "password",
    [
        DEMONSTRATION,
        PASSWORD,
        "another password",
        "correct horse battery staple",
        "kucing oranye di atap",
        "ကျော်ကျော်အောင်",
        "我的密码很长很安全",
        "👨\u200d👩\u200d👧🐈🐕🐓🦆🐢🐍🦎",
        "7f3k9q2m",
        "x" * 60 + "yz!",
        "halimah menanam padi",
    ],
    ids=ascii,
)
def test_everything_else_is_a_password(password: str) -> None:
    """Long phrases, random characters and every script are fine."""
    check_password(password, "siti.nur@example.com", "Siti Nur Halimah")


async def test_weak_passwords_are_refused_at_registration(visitor: Visitor, harness: AccountsHarness) -> None:
    """A registration with it is refused, and does not count as a registration."""
    redis = harness.dependencies.limits._redis
    before = await redis.dbsize()
    for password in ("password", " " * 8, visitor.email, "1234567"):
        answer = await visitor.register(password=password)
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
    assert await redis.dbsize() == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b"[" * 60_000, 400),
        (b'{"email": "\\ud800@example.com", "password": "\\ud800aaaaaaaa", "name": "\\ud800", "role": "buyer"}', 422),
        (b'{"\\ud800": 1}', 422),
        (b"\xff\xfe", 422),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
    ],
    ids=lambda value: ascii(value)[:20],
)
async def test_broken_bodies_are_refused(visitor: Visitor, body: bytes, status: int) -> None:
    """What is no JSON object, not even text, or far too long, gets problem details and breaks nothing."""
    answer = await visitor.http.post("/accounts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_names_are_stored_as_they_were_written(visitor: Visitor) -> None:
    """Letters of any script are fine, with the invisible joiners that some need."""
    for number, name in enumerate(("Ñusta O'Brien-Ōta", "ကျော်", "نی\u200cلوفر", "Keluarga 👨\u200d👩\u200d👧")):
        assert (await visitor.register(email=f"{number}{visitor.email}", name=name)).json()["name"] == name


async def test_an_address_registers_so_often_in_an_hour(database_url: str, keys: Keys) -> None:
    """Beyond REGISTRATIONS_PER_HOUR an address is refused with a time to wait; other addresses are not."""
    async with open_harness(database_url, keys, REGISTRATIONS_PER_HOUR="3") as harness:
        async with harness.visitor() as greedy:
            answers = await asyncio.gather(*(greedy.register(email=f"{n}@example.com") for n in range(5)))
            assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 429, 429]
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert refused.json()["code"] == "rate_limited"
            assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
        async with harness.visitor() as modest:
            assert (await modest.register()).status_code == 201


async def test_a_registration_that_is_sent_again_under_its_key_counts_once(database_url: str, keys: Keys) -> None:
    """A repeat gets its answer, also when its address has reached the limit."""
    async with open_harness(database_url, keys, REGISTRATIONS_PER_HOUR="2") as harness, harness.visitor() as visitor:
        keyed = {"Idempotency-Key": "k"}
        answers = [await visitor.register(keyed) for _ in range(4)]
        answers += [await visitor.register(email=f"{n}{visitor.email}") for n in range(2)]
        assert [answer.status_code for answer in answers] == [201] * 5 + [429]
        last = await visitor.register(keyed)
        assert (last.status_code, last.text) == (201, answers[0].text)


async def test_the_password_is_hashed_before_the_transaction(harness: AccountsHarness, visitor: Visitor) -> None:
    """While a password is hashed, no database connection is held."""
    seen = []

    class Watching(type(harness.dependencies.passwords)):  # type: ignore[misc]
        async def hash(self, password: str) -> str:
            connection = await connect(harness.service.uow.database.url)
            seen.append(
                await connection.fetchval(
                    "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"
                )
            )
            await connection.close()
            return str(await super().hash(password))

    before = harness.dependencies.passwords
    harness.use(Watching(QUICK))
    assert (await visitor.register({"Idempotency-Key": str(uuid4())})).status_code == 201
    harness.use(before)
    assert seen == [0]
