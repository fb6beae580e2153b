"""The password grant."""

import asyncio

import jwt
import pytest
from argon2 import PasswordHasher

from services.accounts import store
from services.accounts.passwords import Passwords
from services.accounts.signin import (
    FAILURES_FROM_ADDRESS,
    FAILURES_OF_EMAIL,
    FAILURES_OF_PAIR,
    PASSWORD_CHANGES,
    SIGN_INS,
)
from tests.harness.accounts import PASSWORD, QUICK, AccountsHarness, Visitor

pytestmark = pytest.mark.usefixtures("patient")


@pytest.fixture
def checked(harness: AccountsHarness, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords were checked against."""
    passwords, hashes = harness.dependencies.passwords, list[str]()
    verify = passwords._verify

    def watched(password_hash: str, password: str) -> bool:
        hashes.append(password_hash)
        return verify(password_hash, password)

    monkeypatch.setattr(passwords, "_verify", watched)
    return hashes


async def test_signing_in_gives_tokens_that_are_not_stored(visitor: Visitor) -> None:
    """The answer is OAuth 2's, for a quarter of an hour, and must not be cached on its way."""
    await visitor.register()
    answer = await visitor.sign_in("web")
    tokens = answer.json()
    assert set(tokens) == {"access_token", "refresh_token", "token_type", "expires_in", "device_token"}
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    assert jwt.decode(tokens["access_token"], options={"verify_signature": False})["client_id"] == "web"
    assert (await visitor.me(tokens["access_token"])).json()["email"] == visitor.email


async def test_answers_do_not_reveal_which_accounts_exist(visitor: Visitor, checked: list[str]) -> None:
    """A wrong password and an unknown e-mail get the same answer, for the same work."""
    await visitor.register()
    wrong = await visitor.sign_in(password="not the password")
    unknown = await visitor.sign_in(username="unknown@example.com")
    assert wrong.status_code == unknown.status_code == 400
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "invalid_grant"
    real, dummy = checked
    assert real != dummy
    assert real.split("$")[:4] == dummy.split("$")[:4]  # algorithm, version, parameters
    assert [*map(len, real.split("$"))] == [*map(len, dummy.split("$"))]  # also the length of salt and hash


async def test_passwords_are_the_same_on_every_keyboard(visitor: Visitor) -> None:
    """An é is an é, whether it is sent as one character or as two."""
    await visitor.register(password="caf\N{LATIN SMALL LETTER E WITH ACUTE} sekali")
    assert (await visitor.sign_in(password="cafe\N{COMBINING ACUTE ACCENT} sekali")).status_code == 200


@pytest.mark.parametrize("exists", [True, False])
async def test_guesses_made_at_once_are_limited(visitor: Visitor, checked: list[str], exists: bool) -> None:
    """Of fifty wrong guesses at once ten are looked at, whether there is such an account or not."""
    if exists:
        await visitor.register()
    answers = await asyncio.gather(*(visitor.sign_in(password=f"guess {n}") for n in range(50)))
    assert len(checked) == FAILURES_OF_PAIR.limit
    assert sorted(answer.status_code for answer in answers) == [400] * 10 + [429] * 40
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"] == refused.json()["code"] == "rate_limited"
    assert 890 <= int(refused.headers["retry-after"]) <= 900
    assert (await visitor.sign_in()).status_code == 429


async def test_an_address_is_limited_over_all_emails(visitor: Visitor, harness: AccountsHarness) -> None:
    """An address that tries one password on many accounts is refused after a hundred."""
    assert (FAILURES_FROM_ADDRESS.limit, FAILURES_FROM_ADDRESS.seconds) == (100, 15 * 60)
    answers = [await visitor.sign_in(username=f"{n}@example.com") for n in range(101)]
    assert [answer.status_code for answer in answers] == [400] * 100 + [429]
    async with harness.visitor() as elsewhere:
        await elsewhere.signed_in()


async def test_a_stranger_does_not_lock_an_account(visitor: Visitor, harness: AccountsHarness) -> None:
    """Failures from one address leave an account open from every other; failures from many addresses only slow down
    devices that are new; a device that has signed in before gets in at once, also from a stranger's address."""
    tokens = await visitor.signed_in()
    async with harness.visitor() as stranger:
        for _ in range(15):
            await stranger.sign_in(username=visitor.email, password="a guess")
        assert (await stranger.sign_in(username=visitor.email)).status_code == 429
        assert (await visitor.sign_in()).status_code == 200
        for _ in range(3):
            async with harness.visitor() as other:
                for _ in range(FAILURES_OF_PAIR.limit):
                    await other.sign_in(username=visitor.email, password="a guess")
        slowed = await visitor.sign_in()
        assert slowed.status_code == 429
        assert int(slowed.headers["retry-after"]) <= FAILURES_OF_EMAIL.spacing <= 60
        for device in (visitor, stranger):
            known = await device.sign_in(username=visitor.email, device_token=tokens["device_token"])
            assert known.status_code == 200
            assert known.json()["device_token"] == tokens["device_token"]


async def test_a_device_token_is_no_way_around_the_limits(visitor: Visitor, harness: AccountsHarness) -> None:
    """With a device token ten guesses are checked, for its own account alone; an invalid one changes nothing."""
    token = (await visitor.signed_in())["device_token"]
    answers = [await visitor.sign_in(password=f"guess {n}", device_token=token) for n in range(11)]
    assert [answer.status_code for answer in answers] == [400] * 10 + [429]
    number, _, mac = token.partition(".")
    async with harness.visitor() as other:
        await other.register()
        for made_up in (token, "", ".", "x", f"{number}.", f"99.{mac}", f"١.{mac}", "0.é", "0" * 999):
            assert (await other.sign_in(password="a guess", device_token=made_up)).status_code == 400
        assert (await other.sign_in(password="a guess", device_token=token)).status_code == 400
        assert (await other.sign_in(device_token=token)).status_code == 429


async def test_sign_ins_that_succeed_are_limited(visitor: Visitor) -> None:
    """Sign-ins of an account are limited in a quarter of an hour; further ones are refused with a time to wait."""
    await visitor.register()
    answers = [await visitor.sign_in() for _ in range(SIGN_INS.limit + 1)]
    assert [answer.status_code for answer in answers] == [200] * SIGN_INS.limit + [429]
    assert 880 <= int(answers[-1].headers["retry-after"]) <= 900


async def test_old_hashes_are_renewed(
    visitor: Visitor, harness: AccountsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When hashing has become harder, a password is hashed anew as its owner signs in."""
    await visitor.register()
    harder = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
    monkeypatch.setattr(harness.dependencies.passwords, "_hasher", harder)
    assert (await visitor.sign_in()).status_code == 200
    async with harness.service.uow.begin() as tx:
        found = await store.by_email(tx, visitor.email)
    assert found is not None
    assert "t=2" in found.password_hash
    assert (await visitor.sign_in()).status_code == 200


async def test_the_parameters_are_those_of_the_rfc() -> None:
    """Passwords are hashed as RFC 9106 advises where memory is limited: argon2id, 64 MiB, three passes."""
    assert (await Passwords().hash(PASSWORD)).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_hashing_leaves_the_event_loop_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a password is checked, the process serves other requests."""
    passwords, hashing, go_on = Passwords(QUICK), asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(password_hash: str, password: str) -> bool:
        loop.call_soon_threadsafe(hashing.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return True

    monkeypatch.setattr(passwords, "_verify", slow)
    checking = asyncio.create_task(passwords.verify(None, PASSWORD))
    await hashing.wait()
    go_on.set()
    assert await checking


async def test_a_fault_of_the_service_is_no_failed_sign_in(visitor: Visitor, harness: AccountsHarness) -> None:
    """Tries while sessions cannot be stored do not count as failures."""
    await visitor.register()

    async def fail(*_: object) -> None:
        raise ConnectionResetError

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(harness.dependencies.sessions, "start", fail)
        for _ in range(FAILURES_OF_PAIR.limit + 2):
            answer = await visitor.sign_in()
            assert (answer.status_code, answer.json()["error"]) == (503, "database_unavailable")
    assert (await visitor.sign_in()).status_code == 200


async def test_changes_of_a_password_are_limited(visitor: Visitor, checked: list[str]) -> None:
    """An account changes its password ten times in a quarter of an hour, with right current passwords as well; a
    request beyond that, or for the password that it has, costs no hash."""
    access, current = (await visitor.signed_in())["access_token"], "caf\N{LATIN SMALL LETTER E WITH ACUTE} sekali"
    assert (await visitor.change_password(access, PASSWORD, current)).status_code == 204
    checked.clear()
    for same in (current, "cafe\N{COMBINING ACUTE ACCENT} sekali"):
        answer = await visitor.change_password(access, current, same)
        assert (answer.status_code, answer.json()["code"]) == (422, "weak_password")
    assert checked == []
    for number in range(1, PASSWORD_CHANGES.limit):
        assert (await visitor.change_password(access, current, f"kucing oranye {number}")).status_code == 204
        current = f"kucing oranye {number}"
    checked.clear()
    answer = await visitor.change_password(access, current, "kucing oranye")
    assert (answer.status_code, answer.json()["code"], checked) == (429, "rate_limited", [])
    assert (await visitor.sign_in(password=current)).status_code == 200
