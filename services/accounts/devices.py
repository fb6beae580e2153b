"""Devices that have signed in before. A stranger's failures do not slow them down (OWASP: device cookies).

A device token proves an earlier sign-in with this e-mail address, and grants no access. It is not stored: it is
computed from the address, a number and a secret. There are few numbers, so that all tokens of an account together allow
only a bounded number of guesses.
"""

import hmac
import secrets

NUMBERS = 16
"""Devices of one account that are distinguished."""


class Devices:
    """Issues and recognises device tokens."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, email: str) -> str:
        """A token for a device that has just signed in."""
        return self._token(email, secrets.randbelow(NUMBERS))

    def recognise(self, email: str, token: str) -> int | None:
        """The number of the device; None for every token that was not issued for this address."""
        number, _, _ = token.partition(".")
        if not (number.isascii() and number.isdecimal() and len(number) <= 2 and token.isascii()):
            return None
        return int(number) if hmac.compare_digest(token, self._token(email, int(number))) else None

    def _token(self, email: str, number: int) -> str:
        return f"{number}.{hmac.digest(self._secret, f'{number}:{email}'.encode(), 'sha256').hex()}"
