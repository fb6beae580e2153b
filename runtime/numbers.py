"""Numbers in text: parsed exactly, or refused."""

import re

_WHOLE = re.compile("0|[1-9][0-9]{0,14}")


def whole(text: str) -> int | None:
    """A whole number of at most 15 ASCII digits; None for anything else: signs, spaces, exponents, leading zeros."""
    return int(text) if _WHOLE.fullmatch(text) else None
