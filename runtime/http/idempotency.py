"""Idempotency keys: a request that repeats an `Idempotency-Key` gets the stored answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import asyncpg
from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel, StringConstraints

from runtime.errors import InvalidRequest, Refusal
from runtime.http.app import UnitOfWorkDep
from runtime.http.rate_limit import Allowance
from runtime.messaging.unit_of_work import Transaction, UnitOfWork

_FORM = r"^[\x21-\x7e]{1,200}$"
Key = Annotated[
    Annotated[str, StringConstraints(pattern=_FORM)] | None,
    Header(alias="Idempotency-Key", description="makes sending the request again harmless"),
]
KEY_DOCUMENTED = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"anyOf": [{"type": "string", "pattern": _FORM}, {"type": "null"}], "title": "Idempotency-Key"},
            "description": "makes sending the request again harmless",
        }
    ]
}
"""`openapi_extra` of a route that calls `key_of`."""


_KEEP = "update idempotency set status = $3, body = $4 where owner = $1 and key = $2"
_FORGET = "delete from idempotency where owner = $1 and key = $2"
_ANSWER = "select fingerprint, status, body from idempotency where owner = $1 and key = $2"


class KeyUsedDifferently(InvalidRequest):
    """The key was used for another request."""

    code, title = "idempotency_key_reused", "The Idempotency-Key stands for another request"


class KeyRequired(InvalidRequest):
    """Without a key, sending the request again would do it again."""

    code, title = "idempotency_key_required", "The request needs an Idempotency-Key"


def key_of(request: Request) -> str | None:
    """As a parameter `Key`, which costs 16 µs more in each request. Raises `InvalidRequest`."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(_FORM, key, re.ASCII):
        raise InvalidRequest("Idempotency-Key: 1 to 200 visible ASCII characters.")
    return key


class Once:
    """Executes a request once for each key of its owner, in the transaction that stores the answer."""

    def __init__(self, uow: UnitOfWork, key: str | None, fingerprint: bytes) -> None:
        self._uow = uow
        self._key = key
        self._fingerprint = fingerprint

    async def __call__(
        self,
        owner: str,
        create: Callable[[Transaction], Awaitable[BaseModel | Refusal]],
        status: int = 201,
        limit: Allowance | None = None,
    ) -> Response:
        """Returns the answer of `create`, or the one stored under the key. A refusal is not stored: it may be tried
        again. If `create` returns it, what it has written is kept; if it raises it, nothing is.

        `owner` of the key: different owners may use the same key. `limit` counts all requests except repeats, which get
        their answer even if `limit` refuses them.

        Raises `KeyUsedDifferently`, and what `limit` and `create` raise, or `create` returns.
        """
        if limit is not None:
            try:
                await limit.take()
            except Refusal:
                if (stored := await self._find(owner)) is None:
                    raise
                return stored
        async with self._uow.begin() as tx:
            stored = await self._stored(tx, owner) if self._key is not None else None
            if stored is None:
                made = await create(tx)
                body = None if isinstance(made, Refusal) else made.model_dump_json()
                if self._key is not None and body is None:
                    await tx.connection.execute(_FORGET, owner, self._key)
                elif self._key is not None:
                    await tx.connection.execute(_KEEP, owner, self._key, status, body)
        if stored is None:
            if isinstance(made, Refusal):
                raise made
            return Response(body, status, media_type="application/json")
        if limit is not None:
            await limit.give_back()
        return stored

    async def _find(self, owner: str) -> Response | None:
        """The stored answer, if this request repeats an earlier one."""
        async with self._uow.database.connection() as connection:
            row = await connection.fetchrow(_ANSWER, owner, self._key)
        return None if row is None else self._answer(row)

    async def _stored(self, tx: Transaction, owner: str) -> Response | None:
        # A concurrent request with the same key locks the row: this waits for its end.
        if await tx.connection.fetchval(
            "insert into idempotency (owner, key, fingerprint) values ($1, $2, $3) on conflict do nothing "
            "returning true",
            owner,
            self._key,
            self._fingerprint,
        ):
            return None
        return self._answer(await tx.connection.fetchrow(_ANSWER, owner, self._key))

    def _answer(self, row: asyncpg.Record | None) -> Response:
        if row is None or row["fingerprint"] != self._fingerprint:
            raise KeyUsedDifferently("Same key, other request: use a new key for a new request.")
        return Response(row["body"], row["status"], {"Idempotent-Replayed": "true"}, media_type="application/json")


async def once_per_key(request: Request, uow: UnitOfWorkDep, key: Key = None) -> Once:
    """Executes this request once per key."""
    request_bytes = b"\n".join([request.method.encode(), request.url.path.encode(), await request.body()])
    return Once(uow, key, hashlib.sha256(request_bytes).digest())


OncePerKey = Annotated[Once, Depends(once_per_key)]
