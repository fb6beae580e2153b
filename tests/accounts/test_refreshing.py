"""The refresh token grant, logging out, and what else ends sessions."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import jwt

from services.accounts import store
from services.accounts.sessions import Session, Sessions
from tests.harness.accounts import PASSWORD, AccountsHarness, Visitor

NEW = "kucing oranye di atap"


async def test_a_session_goes_on(visitor: Visitor) -> None:
    """A refresh token makes new tokens, of the same session, account and client."""
    first = await visitor.signed_in("web")
    answer = await visitor.refresh(first["refresh_token"], "web")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    old, new = (jwt.decode(one["access_token"], options={"verify_signature": False}) for one in (first, second))
    assert all(old[name] == new[name] for name in ("sub", "sid", "role", "client_id"))
    assert old["jti"] != new["jti"]
    assert (await visitor.me(second["access_token"])).json()["email"] == visitor.email


async def test_a_replayed_token_ends_the_session(visitor: Visitor) -> None:
    """A refresh token that comes twice was in two hands: neither gets any further."""
    first = await visitor.signed_in()
    second = (await visitor.refresh(first["refresh_token"])).json()
    replayed = await visitor.refresh(first["refresh_token"])
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_grant")
    assert (await visitor.refresh(second["refresh_token"])).status_code == 400


async def test_of_two_at_once_one_gets_tokens_that_do_not_last(visitor: Visitor) -> None:
    """Of simultaneous uses of one token one at the most succeeds, and the session is over."""
    first = await visitor.signed_in()
    answers = await asyncio.gather(*(visitor.refresh(first["refresh_token"]) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    won = next(answer for answer in answers if answer.status_code == 200)
    assert (await visitor.refresh(won.json()["refresh_token"])).status_code == 400


async def test_a_replay_ends_one_session_only(visitor: Visitor) -> None:
    """The same person's session on another device goes on."""
    phone = await visitor.signed_in("app")
    browser = (await visitor.sign_in("web")).json()
    await visitor.refresh(phone["refresh_token"])
    await visitor.refresh(phone["refresh_token"])
    assert (await visitor.refresh(browser["refresh_token"], "web")).status_code == 200


async def test_the_website_cannot_use_what_the_app_was_given(visitor: Visitor) -> None:
    """A refresh token is for the client that signed in, so that no cancellation comes through the wrong channel."""
    tokens = await visitor.signed_in("app")
    refused = await visitor.refresh(tokens["refresh_token"], "web")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


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
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for _ in range(2):
        answer = await visitor.http.post("/accounts/logout", headers=headers)
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
        headers = {"Authorization": f"Bearer {first['access_token']}"}
        answer = await visitor.http.post("/accounts/logout-all", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert (await visitor.refresh(first["refresh_token"])).status_code == 400
        assert (await visitor.refresh(second["refresh_token"], "web")).status_code == 400
        assert (await other.refresh(theirs["refresh_token"])).status_code == 200
    new = (await visitor.sign_in()).json()
    for path, body in (("logout-all", None), ("password", {"current_password": PASSWORD, "new_password": NEW})):
        again = await visitor.http.post(f"/accounts/{path}", json=body, headers=headers)
        assert (again.status_code, again.json()["code"]) == (401, "unauthenticated")
    assert (await visitor.refresh(new["refresh_token"])).status_code == 200


async def change(visitor: Visitor, tokens: dict[str, Any], current: str, new: str) -> httpx.Response:
    """Asks for another password."""
    body = {"current_password": current, "new_password": new}
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return await visitor.http.post("/accounts/password", json=body, headers=headers)


async def test_a_changed_password_ends_the_other_sessions(visitor: Visitor) -> None:
    """Only the new password signs in, and only the session that changed it stays."""
    mine, other = await visitor.signed_in(), (await visitor.sign_in()).json()
    answer = await change(visitor, mine, PASSWORD, NEW)
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await visitor.refresh(mine["refresh_token"])).status_code == 200
    assert (await visitor.refresh(other["refresh_token"])).status_code == 400
    assert (await visitor.sign_in()).status_code == 400
    assert (await visitor.sign_in(password=NEW)).status_code == 200


async def test_a_password_is_changed_by_who_knows_it(visitor: Visitor) -> None:
    """A weak one is refused; a wrong current one is a try to sign in like others, limited together with them, and says
    no more than that; nothing has changed then."""
    tokens = await visitor.signed_in()
    weak = await change(visitor, tokens, PASSWORD, "password")
    assert (weak.status_code, weak.json()["code"]) == (422, "weak_password")
    for _ in range(5):
        wrong = await change(visitor, tokens, "not the password", NEW)
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        assert (await visitor.sign_in(password="not the password")).status_code == 400
    assert (await change(visitor, tokens, "not the password", NEW)).status_code == 429
    assert (await visitor.sign_in()).status_code == 429
    assert (await visitor.sign_in(device_token=tokens["device_token"])).status_code == 200
    assert (await visitor.http.post("/accounts/password", json={})).status_code == 401


async def test_of_two_changes_at_once_one_wins(visitor: Visitor) -> None:
    """The second finds that its current password is not that any more."""
    tokens = await visitor.signed_in()
    news = [f"{NEW} {number}" for number in range(2)]
    answers = await asyncio.gather(*(change(visitor, tokens, PASSWORD, new) for new in news))
    assert sorted(answer.status_code for answer in answers) == [204, 403]
    for new, answer in zip(news, answers, strict=True):
        assert (await visitor.sign_in(password=new)).status_code == (200 if answer.status_code == 204 else 400)


async def test_a_session_that_begins_while_the_password_changes_does_not_last(
    visitor: Visitor, harness: AccountsHarness
) -> None:
    """A sign-in with the old password at the moment of the change is ended as well."""
    tokens, sessions, whole = await visitor.signed_in(), harness.dependencies.sessions, harness.dependencies

    class Slow(Sessions):
        async def start(self, *arguments: Any) -> Session:
            assert (await change(visitor, tokens, PASSWORD, NEW)).status_code == 204
            started.append(await sessions.start(*arguments))
            return started[0]

    started: list[Session] = []
    harness.service.app.state.dependencies = replace(
        whole, sign_in=replace(whole.sign_in, sessions=Slow(sessions._redis))
    )
    try:
        assert (await visitor.sign_in()).status_code == 400
    finally:
        harness.service.app.state.dependencies = whole
    assert not await sessions.is_alive(started[0].session_id)
