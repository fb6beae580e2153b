"""Counting tries, on both Redises."""

import asyncio

import pytest
from redis.asyncio import Redis

from runtime.problems import RateLimited
from services.accounts.domain import WrongPassword
from services.accounts.limits import Limit, Limits, line

EMAIL = Limit("email", 10, 900)
ADDRESS = Limit("address", 100, 900)


async def fail(limits: Limits, *whose: str) -> None:
    """One wrong guess."""
    counts = [limit.of(who) for limit, who in zip((EMAIL, ADDRESS), whose, strict=True)]
    async with limits.guess(*counts):
        raise WrongPassword


async def test_guesses_made_at_once_do_not_slip_through(redis: Redis) -> None:
    """Of fifty wrong guesses made at once, exactly ten are looked at."""
    limits, looked_at = Limits(redis), 0

    async def guess() -> None:
        nonlocal looked_at
        async with limits.guess(EMAIL.of("siti")):
            looked_at += 1
            await asyncio.sleep(0)
            raise WrongPassword

    results = await asyncio.gather(*(guess() for _ in range(50)), return_exceptions=True)
    assert looked_at == sum(isinstance(result, WrongPassword) for result in results) == 10
    refusals = [result for result in results if isinstance(result, RateLimited)]
    assert len(refusals) == 40
    assert all(890 <= int(refusal.headers["Retry-After"]) <= 900 for refusal in refusals)


async def test_getting_in_is_not_counted(redis: Redis) -> None:
    """Any number of successes leaves the full number of failures."""
    limits = Limits(redis)
    for _ in range(15):
        async with limits.guess(EMAIL.of("siti")):
            pass
    assert await redis.get(EMAIL.of("siti").key) == "0"


async def test_getting_in_does_not_forgive_failures(redis: Redis) -> None:
    """Nine failures and a success leave one try, so that nobody guesses on behind the owner's back."""
    limits = Limits(redis)
    for _ in range(9):
        with pytest.raises(WrongPassword):
            await fail(limits, "siti", "home")
    async with limits.guess(EMAIL.of("siti")):
        pass
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    with pytest.raises(RateLimited):
        await fail(limits, "siti", "home")


async def test_our_own_faults_are_not_counted(redis: Redis) -> None:
    """When the service fails during a try, nobody has failed to get in."""
    limits = Limits(redis)
    with pytest.raises(ZeroDivisionError):
        async with limits.guess(EMAIL.of("siti")):
            raise ZeroDivisionError
    assert await redis.get(EMAIL.of("siti").key) == "0"


async def test_a_refused_try_is_counted_nowhere(redis: Redis) -> None:
    """An address that is over its limit cannot use up the tries of people's e-mails."""
    limits = Limits(redis)
    await redis.set(ADDRESS.of("cafe").key, 100, ex=900)
    for _ in range(20):
        with pytest.raises(RateLimited):
            await fail(limits, "siti", "cafe")
    assert await redis.get(EMAIL.of("siti").key) == "0"
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")


async def test_tries_are_forgotten(redis: Redis) -> None:
    """Each count is forgotten a quarter of an hour after its first try, however many follow."""
    limits = Limits(redis)
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    key = EMAIL.of("siti").key
    assert 0 < await redis.ttl(key) <= 900
    await redis.expire(key, 60)
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    assert 0 < await redis.ttl(key) <= 60


async def test_giving_back_what_is_forgotten_leaves_nothing_forever(redis: Redis) -> None:
    """A count that Redis lost during a try still is forgotten in time."""
    limits = Limits(redis)
    async with limits.guess(EMAIL.of("siti")):
        await redis.delete(EMAIL.of("siti").key)
    assert 0 < await redis.ttl(EMAIL.of("siti").key) <= 900


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("not an address", "not an address", True),
        ("fe80::1%eth0", "fe80::2%eth0", True),
    ],
)
def test_an_ipv6_network_is_one_line(one: str, other: str, same: bool) -> None:
    """Addresses count as one where one customer has all of them."""
    assert (line(one) == line(other)) is same
