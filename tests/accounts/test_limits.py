"""Counting tries, on both Redises."""

import asyncio
from contextlib import suppress

import pytest
from fakeredis import FakeAsyncRedis
from redis.asyncio import Redis

from runtime.errors import RateLimited
from services.accounts.domain import WrongPassword
from services.accounts.limits import Limit, Limits, network_of

EMAIL = Limit("email", 10, 900)
ADDRESS = Limit("address", 100, 900)
SLOWED = Limit("slowed", 3, 900, spacing=4)


def counting(redis: Redis) -> Limits:
    """Counts there, as each replica does."""
    return Limits(redis, b"secret")


def key(limit: Limit, whose: str) -> str:
    """Where that is counted."""
    return Limits(FakeAsyncRedis(), b"secret").count(limit, whose).key


async def fail(limits: Limits, *whose: str) -> None:
    """One wrong guess."""
    counts = [limits.count(limit, who) for limit, who in zip((EMAIL, ADDRESS), whose, strict=True)]
    async with limits.guess(*counts):
        raise WrongPassword


async def test_guesses_made_at_once_do_not_slip_through(redis: Redis) -> None:
    """Of fifty wrong guesses made at once, exactly ten are looked at."""
    limits, looked_at = counting(redis), 0

    async def guess() -> None:
        nonlocal looked_at
        async with limits.guess(limits.count(EMAIL, "siti")):
            looked_at += 1
            await asyncio.sleep(0)
            raise WrongPassword

    results = await asyncio.gather(*(guess() for _ in range(50)), return_exceptions=True)
    assert looked_at == sum(isinstance(result, WrongPassword) for result in results) == 10
    refusals = [result for result in results if isinstance(result, RateLimited)]
    assert len(refusals) == 40
    assert all(890 <= (refusal.retry_after or 0) <= 900 for refusal in refusals)


async def test_getting_in_is_not_counted(redis: Redis) -> None:
    """Any number of successes leaves the full number of failures."""
    limits = counting(redis)
    for _ in range(15):
        async with limits.guess(limits.count(EMAIL, "siti")):
            pass
    assert await redis.get(key(EMAIL, "siti")) == "0"


async def test_getting_in_does_not_forgive_failures(redis: Redis) -> None:
    """Nine failures and a success leave one try: a success does not reset the count for an attacker."""
    limits = counting(redis)
    for _ in range(9):
        with pytest.raises(WrongPassword):
            await fail(limits, "siti", "home")
    async with limits.guess(limits.count(EMAIL, "siti")):
        pass
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    with pytest.raises(RateLimited):
        await fail(limits, "siti", "home")


async def test_our_own_faults_are_not_counted(redis: Redis) -> None:
    """A try during which the service fails does not count as a failure."""
    limits = counting(redis)
    with pytest.raises(ZeroDivisionError):
        async with limits.guess(limits.count(EMAIL, "siti")):
            raise ZeroDivisionError
    assert await redis.get(key(EMAIL, "siti")) == "0"


async def test_a_refused_try_is_counted_nowhere(redis: Redis) -> None:
    """An address that is over its limit cannot use up the tries of people's e-mails."""
    limits = counting(redis)
    await redis.set(key(ADDRESS, "cafe"), 100, ex=900)
    for _ in range(20):
        with pytest.raises(RateLimited):
            await fail(limits, "siti", "cafe")
    assert not await redis.exists(key(EMAIL, "siti"))
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")


async def test_tries_are_forgotten(redis: Redis) -> None:
    """Each count is forgotten a quarter of an hour after its first try, however many follow."""
    limits = counting(redis)
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    counted = key(EMAIL, "siti")
    assert 0 < await redis.ttl(counted) <= 900
    await redis.expire(counted, 60)
    with pytest.raises(WrongPassword):
        await fail(limits, "siti", "home")
    assert 0 < await redis.ttl(counted) <= 60


async def test_giving_back_what_is_forgotten_leaves_nothing_forever(redis: Redis) -> None:
    """A count that Redis lost during a try still is forgotten in time."""
    limits = counting(redis)
    async with limits.guess(limits.count(EMAIL, "siti")):
        await redis.delete(key(EMAIL, "siti"))
    assert 0 < await redis.ttl(key(EMAIL, "siti")) <= 900


async def test_those_who_are_refused_write_nothing(redis: Redis) -> None:
    """Two thousand tries from an address that may try a hundred times leave a hundred keys, one after another or at
    once; without an end none of them."""

    async def one(number: int) -> None:
        async with limits.guess(limits.count(ADDRESS, "cafe"), limits.count(EMAIL, str(number))):
            raise WrongPassword

    limits = counting(redis)
    for start in range(0, 2000, 40):
        await asyncio.gather(*(one(start + number) for number in range(40)), return_exceptions=True)
    with pytest.raises(RateLimited):
        await one(2000)
    keys = [kept async for kept in redis.scan_iter(count=5000)]
    assert len(keys) <= ADDRESS.limit + 1
    assert all([await redis.ttl(kept) > 0 for kept in keys])


async def test_counts_are_bounded_in_number(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses and e-mails are tried, there are no more counts of a kind than buckets."""
    monkeypatch.setattr("services.accounts.limits.BUCKETS", 50)
    limits = counting(redis)
    for number in range(1000):
        with suppress(RateLimited):
            await limits.take(limits.count(ADDRESS, str(number)), limits.count(SLOWED, f"{number}@example.com"))
    assert await redis.dbsize() <= 3 * 50


async def test_what_is_slowed_down_goes_on_slower(redis: Redis) -> None:
    """Beyond the limit one try is let through after 1, 2 and then 4 seconds, and one of many concurrent tries."""
    limits = counting(redis)
    count = limits.count(SLOWED, "siti")

    async def guess() -> None:
        async with limits.guess(count):
            raise WrongPassword

    for _ in range(SLOWED.limit):
        with pytest.raises(WrongPassword):
            await guess()
    for pause in (1, 2, 4, 4):
        with pytest.raises(WrongPassword):
            await guess()
        with pytest.raises(RateLimited) as refused:
            await guess()
        assert refused.value.retry_after == pause
        await redis.delete(count.pause)
    results = await asyncio.gather(*(guess() for _ in range(20)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["RateLimited"] * 19 + ["WrongPassword"]
    assert await redis.get(count.key) == str(SLOWED.limit + 5)


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
    assert (network_of(one) == network_of(other)) is same
