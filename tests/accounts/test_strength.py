"""Which passwords are too weak."""

import pytest

from runtime.http.problems import Problem
from services.accounts.demonstration import PASSWORD as DEMONSTRATION
from services.accounts.domain import WeakPassword
from services.accounts.strength import check_password
from tests.harness.accounts import PASSWORD

SHORT = ["", "1234567"]
INVISIBLE = [" " * 8, "\u200b" * 12, "abcd" + "\u200b" * 8, "\u3164" * 8]
PATTERNS = ["aaaaaaaa", "abababababab", "        a", "12345678", "1234567890", "87654321", "abcdefgh", "qwertyuiop"]
COMMON = [
    *("password", "Password", "P@ssw0rd", "password123!", "passwordpassword", "ｐａｓｓｗｏｒｄ"),
    *("Indonesia2026", "bismillah", "sayangku1"),
]
OWN = [
    *("siti.nur@example.com", "SITI.NUR@EXAMPLE.COM", "siti.nur", "run.itis", "Siti Nur Halimah", "sitinurhalimah"),
    *("halimah1", "Halimah2001"),
]
PHRASES = [
    *(DEMONSTRATION, PASSWORD, "another password", "correct horse battery staple", "kucing oranye di atap"),
    *("ကျော်ကျော်အောင်", "我的密码很长很安全", "👨\u200d👩\u200d👧🐈🐕🐓🦆🐢🐍🦎", "halimah menanam padi"),
]
RANDOM = ["7f3k9q2m", "x" * 60 + "yz!"]


@pytest.mark.parametrize("password", [*SHORT, *INVISIBLE, *PATTERNS, *COMMON, *OWN], ids=ascii)
def test_weak_passwords_are_refused(password: str) -> None:
    """Short, invisible, one pattern, very common, or one's own e-mail or name, however it is written: refused."""
    with pytest.raises(WeakPassword) as refused:
        check_password(password, "siti.nur@example.com", "Siti Nur Halimah")
    assert (Problem.of(refused.value).status, refused.value.code) == (422, "weak_password")


@pytest.mark.parametrize("password", [*PHRASES, *RANDOM], ids=ascii)
def test_phrases_and_random_passwords_are_accepted(password: str) -> None:
    """Long phrases, random characters and every script are fine."""
    check_password(password, "siti.nur@example.com", "Siti Nur Halimah")
