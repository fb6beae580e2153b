"""The HTTP interface of `accounts`."""

import hmac
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, StringConstraints

from contracts.words import Role
from runtime.errors import Unauthenticated
from runtime.http.app import Body, UnitOfWorkDep
from runtime.http.auth import Identity, SignedIn
from runtime.http.idempotency import Key, Once
from runtime.http.rate_limit import Allowance
from runtime.http.text import Printable
from runtime.messaging.unit_of_work import Transaction
from services.accounts import oauth, store
from services.accounts.limits import Limit, Limits, network_of
from services.accounts.oauth import PasswordGrant
from services.accounts.passwords import Passwords
from services.accounts.registration import Password, Registration, register
from services.accounts.sessions import Sessions
from services.accounts.signin import SignIn, TokenAnswer
from services.accounts.strength import check_password
from services.accounts.tokens import KeySet

router = APIRouter(prefix="/accounts", tags=["accounts"])


@dataclass(frozen=True)
class Dependencies:
    """What the routes work with."""

    passwords: Passwords
    sessions: Sessions
    limits: Limits
    registrations: Limit
    sign_in: SignIn
    public_keys: Path
    fingerprint_secret: bytes


async def _dependencies(request: Request) -> Dependencies:
    dependencies: Dependencies = request.app.state.dependencies
    return dependencies


Deps = Annotated[Dependencies, Depends(_dependencies)]


async def _host(request: Request) -> str:
    return request.client.host if request.client else ""


Host = Annotated[str, Depends(_host)]
"""The client's address; behind the gateway the HTTP server takes it from the gateway's header."""


async def _once(request: Request, uow: UnitOfWorkDep, dependencies: Deps, key: Key = None) -> Once:
    # The request holds a password: a plain digest of it in the database could be guessed a million times faster than
    # the password's own hash. This digest is useless without a secret that is not in the database.
    return Once(uow, key, hmac.digest(dependencies.fingerprint_secret, await request.body(), "sha256"))


class NewPassword(Body):
    """The current password, and a new one."""

    current_password: Annotated[str, StringConstraints(min_length=1, max_length=128), Printable, Field(repr=False)]
    new_password: Password


class AccountView(BaseModel):
    """An account, as its owner sees it."""

    account_id: UUID
    email: str
    name: str
    role: Role


class SellerView(BaseModel):
    """A seller, as anyone may see it."""

    account_id: UUID
    name: str


@router.post("", status_code=201, response_model=AccountView)
async def create(body: Registration, dependencies: Deps, host: Host, once: Annotated[Once, Depends(_once)]) -> Response:
    """Registers a buyer or a seller."""
    check_password(body.password, body.email, body.name)
    count, password_hash = dependencies.limits.count(dependencies.registrations, network_of(host)), ""

    async def take() -> None:
        nonlocal password_hash
        await dependencies.limits.take(count)
        password_hash = await dependencies.passwords.hash(body.password)  # the expensive work that the limit protects

    async def add(tx: Transaction) -> AccountView:
        return AccountView(**vars(await register(tx, body, Role(body.role), password_hash)))

    # The key belongs to this e-mail address: strangers may choose the same one.
    return await once(body.email, add, limit=Allowance(take, partial(dependencies.limits.give_back, count)))


@router.post("/token", response_model=TokenAnswer, **oauth.DOCUMENTED)
async def token(request: Request, dependencies: Deps, host: Host) -> Response:
    """OAuth 2: signs in with a password, or continues with a refresh token, which is valid once.

    A refresh token that is used again ends its session.
    """
    try:
        grant = await oauth.read_grant(request)
        if isinstance(grant, PasswordGrant):
            answer = await dependencies.sign_in.with_password(grant, host)
        else:
            answer = await dependencies.sign_in.with_refresh_token(grant)
    except Exception as error:
        return oauth.refuse(error)
    return JSONResponse(answer.model_dump(exclude_none=True), headers=oauth.NO_STORE)


@router.post("/logout", status_code=204)
async def logout(person: SignedIn, dependencies: Deps) -> None:
    """Ends the session: its refresh token becomes invalid, and its sockets are closed."""
    await dependencies.sessions.end(person.account_id, person.session)


@router.post("/logout-all", status_code=204)
async def logout_all(person: SignedIn, dependencies: Deps) -> None:
    """Ends all sessions of the account, this one too."""
    await _check_alive(person, dependencies)
    await dependencies.sessions.end_all(person.account_id)


@router.post("/password", status_code=204)
async def change_password(body: NewPassword, person: SignedIn, dependencies: Deps, host: Host) -> None:
    """Changes the password, and ends all other sessions. Wrong current passwords count as failed sign-ins."""
    await _check_alive(person, dependencies)
    await dependencies.sign_in.change_password(person, body.current_password, body.new_password, host)


async def _check_alive(person: Identity, dependencies: Dependencies) -> None:
    # After signing out everywhere, an access token that has not expired must not end other sessions.
    if not await dependencies.sessions.is_alive(person.session):
        raise Unauthenticated("The session is over. Sign in again.")


@router.get("/me")
async def me(person: SignedIn, uow: UnitOfWorkDep) -> AccountView:
    """The account of the caller."""
    async with uow.begin() as tx:
        found = await store.by_id(tx, person.account_id)
    if found is None:
        raise Unauthenticated("The account does not exist any more.")
    return AccountView(**vars(found.account))


@router.get("/sellers")
async def sellers(
    account_id: Annotated[list[UUID], Query(min_length=1, max_length=100)], uow: UnitOfWorkDep
) -> list[SellerView]:
    """The names of those of these accounts that sell."""
    async with uow.begin() as tx:
        return [SellerView(account_id=one, name=name) for one, name in await store.sellers(tx, account_id)]


@router.get("/jwks.json")
async def public_keys(response: Response, dependencies: Deps) -> KeySet:
    """The keys that access tokens can be checked with."""
    response.headers["Cache-Control"] = "public, max-age=300"
    return KeySet.read(dependencies.public_keys)
