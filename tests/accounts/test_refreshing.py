"""The refresh token grant, and logging out."""

import asyncio
from uuid import UUID

import jwt

from services.accounts import store
from tests.accounts.house import House, Visitor


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


async def test_an_account_that_is_gone_gets_no_further(visitor: Visitor, house: House) -> None:
    """When an account was removed, its sessions end, and its tokens say so."""
    tokens = await visitor.signed_in()
    account_id = UUID((await visitor.me(tokens["access_token"])).json()["account_id"])
    async with house.service.work.begin() as tx:
        await store.remove(tx, [account_id])
    assert (await visitor.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    gone = await visitor.me(tokens["access_token"])
    assert (gone.status_code, gone.json()["code"]) == (401, "unauthenticated")


async def test_logging_out_ends_the_session(visitor: Visitor) -> None:
    """After logging out the refresh token is worth nothing; doing it twice is harmless; other sessions go on."""
    tokens = await visitor.signed_in()
    other = (await visitor.sign_in()).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    for _ in range(2):
        answer = await visitor.http.post("/accounts/logout", headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
    assert (await visitor.refresh(tokens["refresh_token"])).status_code == 400
    assert (await visitor.refresh(other["refresh_token"])).status_code == 200


async def test_logging_out_takes_a_token(visitor: Visitor) -> None:
    """Who is not signed in cannot end anything."""
    answer = await visitor.http.post("/accounts/logout")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"
