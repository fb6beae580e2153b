"""The refresh token grant, logging out, and what else ends sessions."""

import asyncio
from typing import Any
from uuid import UUID

import jwt
import pytest

from services.accounts import store
from services.accounts.sessions import Session
from tests.harness.accounts import PASSWORD, AccountsHarness, Visitor

NEW = "kucing oranye di atap"


async def test_a_session_goes_on(visitor: Visitor) -> None:
    """A refresh token makes new tokens, of the same session, account and client; the app cannot use the website's, so
    that no cancellation comes through the wrong channel."""
    first = await visitor.signed_in("web")
    refused = await visitor.refresh(first["refresh_token"], "app")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    answer = await visitor.refresh(first["refresh_token"], "web")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    old, new = (jwt.decode(one["access_token"], options={"verify_signature": False}) for one in (first, second))
    assert all(old[name] == new[name] for name in ("sub", "sid", "role", "client_id"))
    assert old["jti"] != new["jti"]
    assert (await visitor.me(second["access_token"])).json()["email"] == visitor.email


async def test_a_replayed_token_ends_its_session(visitor: Visitor) -> None:
    """A refresh token that comes twice was in two hands: neither gets any further. The same person's session on another
    device goes on."""
    phone = await visitor.signed_in()
    browser = (await visitor.sign_in("web")).json()
    second = (await visitor.refresh(phone["refresh_token"])).json()
    replayed = await visitor.refresh(phone["refresh_token"])
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert (await visitor.refresh(second["refresh_token"])).status_code == 400
    assert (await visitor.refresh(browser["refresh_token"], "web")).status_code == 200


async def test_an_account_that_is_gone_gets_no_further(visitor: Visitor, harness: AccountsHarness) -> None:
    """When an account was removed, its sessions end, and its tokens say so."""
    tokens = await visitor.signed_in()
    account_id = UUID((await visitor.me(tokens["access_token"])).json()["account_id"])
    async with harness.service.uow.begin() as tx:
        await store.remove(tx, [account_id])
    assert (await visitor.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    gone = await visitor.me(tokens["access_token"])
    assert (gone.status_code, gone.json()["code"]) == (401, "unauthenticated")


async def test_logging_out_ends_the_session(visitor: Visitor) -> None:
    """After logging out the refresh token is invalid; a second logout succeeds; other sessions continue."""
    tokens = await visitor.signed_in()
    other = (await visitor.sign_in()).json()
    for _ in range(2):
        answer = await visitor.post("logout", tokens["access_token"])
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await visitor.refresh(tokens["refresh_token"])).status_code == 400
    assert (await visitor.refresh(other["refresh_token"])).status_code == 200


async def test_logging_out_takes_a_token(visitor: Visitor) -> None:
    """Without a sign-in no session can be ended."""
    answer = await visitor.http.post("/accounts/logout")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_logging_out_everywhere_ends_all_sessions(visitor: Visitor, harness: AccountsHarness) -> None:
    """All sessions of the account end, this one too, and no other account's; an ended session cannot end others."""
    first, second = await visitor.signed_in(), (await visitor.sign_in("web")).json()
    async with harness.visitor() as other:
        theirs = await other.signed_in()
        answer = await visitor.post("logout-all", first["access_token"])
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await visitor.refresh(first["refresh_token"])).status_code == 400
        assert (await visitor.refresh(second["refresh_token"], "web")).status_code == 400
        assert (await other.refresh(theirs["refresh_token"])).status_code == 200
    new = (await visitor.sign_in()).json()
    for again in (
        await visitor.post("logout-all", first["access_token"]),
        await visitor.change_password(first["access_token"], PASSWORD, NEW),
    ):
        assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")
    assert (await visitor.refresh(new["refresh_token"])).status_code == 200


async def test_a_changed_password_ends_the_other_sessions(visitor: Visitor) -> None:
    """Only the new password signs in, and only the session that changed it stays."""
    mine, other = await visitor.signed_in(), (await visitor.sign_in()).json()
    answer = await visitor.change_password(mine["access_token"], PASSWORD, NEW)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await visitor.refresh(mine["refresh_token"])).status_code == 200
    assert (await visitor.refresh(other["refresh_token"])).status_code == 400
    assert (await visitor.sign_in()).status_code == 400
    assert (await visitor.sign_in(password=NEW)).status_code == 200


async def test_changing_a_password_takes_the_current_one(visitor: Visitor) -> None:
    """A weak one is refused; a wrong current one is a try to sign in like others, limited together with them, and says
    no more than that; nothing has changed then."""
    tokens = await visitor.signed_in()
    weak = await visitor.change_password(tokens["access_token"], PASSWORD, "password")
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    for _ in range(5):
        wrong = await visitor.change_password(tokens["access_token"], "not the password", NEW)
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        assert (await visitor.sign_in(password="not the password")).status_code == 400
    assert (await visitor.change_password(tokens["access_token"], "not the password", NEW)).status_code == 429
    assert (await visitor.sign_in()).status_code == 429
    assert (await visitor.sign_in(device_token=tokens["device_token"])).status_code == 200
    assert (await visitor.http.post("/accounts/password", json={})).status_code == 401


async def test_one_of_two_concurrent_password_changes_wins(visitor: Visitor) -> None:
    """The second finds that its current password is not that any more."""
    access = (await visitor.signed_in())["access_token"]
    news = [f"{NEW} {number}" for number in range(2)]
    answers = await asyncio.gather(*(visitor.change_password(access, PASSWORD, new) for new in news))
    assert sorted(answer.status_code for answer in answers) == [204, 403]
    for new, answer in zip(news, answers, strict=True):
        assert (await visitor.sign_in(password=new)).status_code == (200 if answer.status_code == 204 else 400)


async def test_a_session_that_begins_while_the_password_changes_does_not_last(
    visitor: Visitor, harness: AccountsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sign-in with the old password at the moment of the change is ended as well."""
    access, sessions = (await visitor.signed_in())["access_token"], harness.dependencies.sessions
    started: list[Session] = []
    start = sessions.start

    async def start_late(*arguments: Any) -> Session:
        assert (await visitor.change_password(access, PASSWORD, NEW)).status_code == 204
        started.append(await start(*arguments))
        return started[0]

    monkeypatch.setattr(sessions, "start", start_late)
    assert (await visitor.sign_in()).status_code == 400
    assert not await sessions.is_alive(started[0].session_id)
