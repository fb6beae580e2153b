"""Refuses passwords that are guessed first (NIST SP 800-63B, 3.1.1.2). There are no rules of composition; a long phrase
is always accepted."""

import re
import unicodedata

from runtime.http.text import is_blank
from services.accounts.domain import WeakPassword

SHORTEST = 8
"""Characters, without invisible ones."""
FEWEST = 4
"""Different visible characters."""

_COMMON = """
password passwort passphrase letmein letmeinnow welcome welcomeback iloveyou ilovegod loveyou trustno sunshine princess
football baseball basketball superman batman starwars pokemon michael jordan jennifer charlie computer internet whatever
freedom monkey dragon master shadow killer secret secretpassword supersecret changeme changeit administrator admin
adminadmin root test testtest testing tester guest default temporary google facebook instagram whatsapp youtube samsung
android iphone cheese butterfly chocolate babygirl lovely flower hello helloworld access login qazwsx qazwsxedc asdfasdf
zxcvzxcv qweqwe qweasd qweasdzxc zaqxswcde sayang sayangku sayangkamu sayangmu cintaku cinta akucintakamu akusayangkamu
rahasia katasandi sandi bismillah bismilah alhamdulillah assalamualaikum allahuakbar muhammad insyaallah indonesia
indonesiaku indonesiaraya merdeka garuda jakarta bandung surabaya persib persija gantengku ganteng cantik kucing anjing
semangat selalu selamanya bahagia keluarga ibuku mamah mamaku bapakku terserah lupalagi pelangi bintang doraemon lazada
dana tokopedia shopee gojek batalkan batalkanpesanan pesanan
"""
COMMON = frozenset(_COMMON.split())
"""In small letters, without the digits and signs that people put around them."""
_RUNS = [
    run[::step]
    for run in ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz" * 2, "qwertyuiopasdfghjklzxcvbnm", "qwertzuiop")
    for step in (1, -1)
]
_SUBSTITUTES = str.maketrans("013457@$!", "oleastasi")


def check_password(password: str, email: str, name: str) -> None:
    """Raises `WeakPassword` for what is short, invisible, one pattern, very common, or one's own e-mail or name."""
    typed = sum(map(_is_typed, unicodedata.normalize("NFC", password)))
    seen = _seen(password)
    if typed < SHORTEST:
        raise WeakPassword(f"A password needs at least {SHORTEST} characters.")
    if len(set(seen)) < FEWEST:
        raise WeakPassword("The password has too few different characters. Choose a longer one.")
    core = _period(seen)
    if (core != seen and len(core) < SHORTEST) or any(core in run for run in _RUNS):
        raise WeakPassword("The password is a pattern that is easy to guess. Choose another one.")
    words = {seen, core, _bare(core), _bare(core.translate(_SUBSTITUTES)), _bare(seen.translate(_SUBSTITUTES))}
    if words & COMMON:
        raise WeakPassword("The password is too common. Choose another one.")
    if words & _own(email, name):
        raise WeakPassword("The password is your own e-mail address or name. Choose another one.")


def _is_typed(character: str) -> bool:
    return not is_blank(character) or unicodedata.category(character) in ("Zs", "Mn", "Mc")


def _seen(text: str) -> str:
    """Its visible characters, in small letters."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if _is_typed(character) and not character.isspace())


def _period(text: str) -> str:
    """The shortest text whose repetition begins with this one."""
    return next(text[:size] for size in range(1, len(text) + 1) if (text[:size] * len(text)).startswith(text))


def _bare(text: str) -> str:
    """Without the digits and signs around it, which people add to a word."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)


def _own(email: str, name: str) -> set[str]:
    mailbox = email.partition("@")[0]
    own = {
        email,
        email.replace("@", ""),
        mailbox,
        *re.split(r"[.+_-]", mailbox),
        _seen(name),
        *map(_seen, name.split()),
    }
    own |= {_bare(one) for one in own}
    own |= {one[::-1] for one in own}
    return {one for one in own if len(one) > 2}
