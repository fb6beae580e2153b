"""Registering."""

import asyncio
import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from batalkan.keys import Keys
from runtime.storage.database import connect
from tests.harness.accounts import PASSWORD, AccountsHarness, Visitor, open_harness

KEYED = {"Idempotency-Key": "key"}


async def test_the_answer_shows_the_account(visitor: Visitor) -> None:
    """Registration returns the account without the password, and the account can sign in."""
    answer = await visitor.register(name="  Siti Nur Halimah ", role="seller")
    assert answer.status_code == 201
    account = answer.json()
    assert account.pop("account_id")
    assert account == {"email": visitor.email, "name": "Siti Nur Halimah", "role": "seller"}
    assert (await visitor.sign_in()).status_code == 200


async def test_the_names_of_sellers_are_public(harness: AccountsHarness) -> None:
    """Of the accounts that are asked for, those that sell are named; no other is."""
    async with harness.visitor() as one, harness.visitor() as other:
        seller, buyer = await one.register(name="Toko Sari", role="seller"), await other.register()
        ids = [answer.json()["account_id"] for answer in (seller, buyer)]
        named = await one.http.get("/accounts/sellers", params={"account_id": [*ids, str(uuid4())]})
    assert named.json() == [{"account_id": ids[0], "name": "Toko Sari"}]


async def test_one_email_is_one_account(visitor: Visitor) -> None:
    """An address that differs in upper and lower case only is taken."""
    assert (await visitor.register()).status_code == 201
    again = await visitor.register(email=visitor.email.upper(), password="another password")
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert (await visitor.sign_in(username=visitor.email.upper())).status_code == 200


async def test_one_of_many_concurrent_registrations_wins(visitor: Visitor) -> None:
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


async def test_the_database_has_nothing_to_guess_passwords_with(
    harness: AccountsHarness, visitor: Visitor, keys: Keys
) -> None:
    """Nothing stored depends on the password alone, except the argon2id hash; each replica finds what was stored."""
    await visitor.register(KEYED)
    async with open_harness(harness.database_url, keys) as other, other.visitor() as stranger:
        stranger.email = visitor.email
        assert (await stranger.register(KEYED)).headers["Idempotent-Replayed"] == "true"
    async with harness.service.uow.begin() as tx:
        query = "select fingerprint, password_hash from idempotency, accounts where owner = $1 and email = $1"
        stored = await tx.connection.fetchrow(query, visitor.email)
    request = {"email": visitor.email, "password": PASSWORD, "name": "Siti", "role": "buyer"}
    sent = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
    assert stored is not None
    assert stored["fingerprint"] != hashlib.sha256(sent).digest()
    assert stored["password_hash"].startswith("$argon2id$")


async def test_it_is_published_once(harness: AccountsHarness, visitor: Visitor) -> None:
    """Of each account that was made one AccountRegistered is published; of refused registrations none."""
    name = visitor.email
    made = (await visitor.register(KEYED, name=name)).json()
    await asyncio.gather(*(visitor.register(KEYED, name=name) for _ in range(3)), visitor.register(name=name))
    last = (await visitor.register(email=f"last.{visitor.email}", name=name)).json()
    await harness.recorder.wait_for(last["account_id"], "AccountRegistered")
    published = [event["data"] for event in harness.recorder.events if event["data"]["name"] == name]
    assert published == [{"account_id": one["account_id"], "role": "buyer", "name": name} for one in (made, last)]


REFUSED: dict[str, list[Any]] = {
    "email": [
        *("siti", "siti@localhost", "siti@example.com\n", "si ti@example.com", "siti@exa\u212aple.com"),
        *("siti\x00@example.com", f"{'a' * 65}@example.com", f"a@{'a.' * 130}com", ["siti@example.com"]),
    ],
    "password": ["x" * 129, "rahasia\x00sekali", 12345678],
    "name": ["", "   ", "x" * 101, "Siti\x00", "Siti\nNur", "Siti\u202eitiS"],
    "role": ["agent", "Buyer", None],
    "account_id": ["0190d3a0-0000-7000-8000-00000000abcd"],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in REFUSED.items() for value in values], ids=ascii
)
async def test_invalid_fields_are_refused(visitor: Visitor, field: str, value: Any) -> None:
    """Fields that are malformed, too long, unprintable, unknown, or ask for a role that is not allowed, get a 422."""
    answer = await visitor.register(**{field: value})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid_request"
    assert "rahasia" not in answer.text


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


async def test_an_address_registers_so_often_in_an_hour(harness: AccountsHarness, keys: Keys) -> None:
    """Beyond REGISTRATIONS_PER_HOUR an address is refused with a time to wait; other addresses are not. A registration
    that is sent again under its key counts once, and gets its answer also beyond the limit."""
    async with open_harness(harness.database_url, keys, REGISTRATIONS_PER_HOUR="3") as strict:
        async with strict.visitor() as greedy:
            first, *repeats = [await greedy.register(KEYED) for _ in range(4)]
            assert [answer.status_code for answer in (first, *repeats)] == [201] * 4
            answers = await asyncio.gather(*(greedy.register(email=f"{n}.{greedy.email}") for n in range(4)))
            assert sorted(answer.status_code for answer in answers) == [201, 201, 429, 429]
            refused = next(answer for answer in answers if answer.status_code == 429)
            assert refused.json()["code"] == "rate_limited"
            assert 3590 <= int(refused.headers["Retry-After"]) <= 3600
            last = await greedy.register(KEYED)
            assert (last.status_code, last.text) == (201, first.text)
        async with strict.visitor() as modest:
            assert (await modest.register()).status_code == 201


async def test_the_password_is_hashed_before_the_transaction(
    harness: AccountsHarness, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a password is hashed, no database connection is held."""
    seen, passwords = [], harness.dependencies.passwords
    hash_password = passwords.hash
    query = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'"

    async def watched(password: str) -> str:
        connection = await connect(harness.service.uow.database.url)
        seen.append(await connection.fetchval(query))
        await connection.close()
        return await hash_password(password)

    monkeypatch.setattr(passwords, "hash", watched)
    assert (await visitor.register({"Idempotency-Key": str(uuid4())})).status_code == 201
    assert seen == [0]
