"""Passwords, as argon2id hashes: slow on purpose, so always in a thread and never inside a transaction."""

import asyncio
import os
import secrets
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MAX_AT_ONCE = 4
"""Each takes 64 MiB with the defaults (RFC 9106); a container has 512 MiB, and sees all cores of its host."""


class Passwords:
    """Hashes and checks, as many at once as there are cores, up to `MAX_AT_ONCE`."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._cores = asyncio.Semaphore(min(os.cpu_count() or 1, MAX_AT_ONCE))
        self._dummy_hash = _made_up(self._hasher)

    async def hash(self, password: str) -> str:
        """What to keep in place of the password."""
        async with self._cores:
            return await asyncio.to_thread(self._hasher.hash, _typed(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether it is the password. Without a hash (None) the same work is done, and the answer is no."""
        async with self._cores:
            return await asyncio.to_thread(self._verify, password_hash or self._dummy_hash, _typed(password))

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash has other parameters than today's."""
        return self._hasher.check_needs_rehash(password_hash)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def is_same(one: str, other: str) -> bool:
    """Whether both are the same password, typed on any keyboard."""
    return _typed(one) == _typed(other)


def _made_up(hasher: PasswordHasher) -> str:
    """A hash of no password, which takes as long to check as any other of this hasher, and no time to make."""
    salt, digest = (
        b64encode(secrets.token_bytes(size)).rstrip(b"=").decode() for size in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v=19$m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}${salt}${digest}"


def _typed(password: str) -> str:
    """The same characters typed on another keyboard may come in another form (RFC 8265: NFC)."""
    return unicodedata.normalize("NFC", password)
