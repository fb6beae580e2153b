"""Counting tries, on both Redises."""

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis

from runtime.errors import RateLimited
from services.accounts.domain import WrongPassword
from services.accounts.limits import Count, Limit, Limits, network_of
from tests.accounts.conftest import AllKeys

EMAIL = Limit("email", 10, 900)
ADDRESS = Limit("address", 100, 900)
SLOWED = Limit("slowed", 3, 900, spacing=4)


@pytest.fixture
def limits(redis: Redis) -> Limits:
    """Counts there, as each replica does."""
    return Limits(redis, b"secret")


async def fail(limits: Limits, who: str, network: str = "home") -> None:
    """One wrong guess."""
    async with limits.guess(limits.count(ADDRESS, network), limits.count(EMAIL, who)):
        raise WrongPassword


async def fail_at_once(limits: Limits, *counts: Count, times: int) -> list[BaseException | None]:
    """Wrong guesses at the same time."""

    async def guess() -> None:
        async with limits.guess(*counts):
            await asyncio.sleep(0)
            raise WrongPassword

    return await asyncio.gather(*(guess() for _ in range(times)), return_exceptions=True)


async def test_guesses_made_at_once_do_not_slip_through(limits: Limits) -> None:
    """Of fifty wrong guesses made at once, exactly ten are looked at."""
    results = await fail_at_once(limits, limits.count(EMAIL, "siti"), times=50)
    refusals = [result for result in results if isinstance(result, RateLimited)]
    assert sum(isinstance(result, WrongPassword) for result in results) == 10
    assert len(refusals) == 40
    assert all(890 <= (refusal.retry_after or 0) <= 900 for refusal in refusals)


async def test_successes_and_faults_are_not_counted(redis: Redis, limits: Limits) -> None:
    """Any number of successes, and tries during which the service fails, leave the full number of failures."""
    count = limits.count(EMAIL, "siti")
    for _ in range(15):
        async with limits.guess(count):
            pass
    assert await redis.get(count.key) == "0"
    with pytest.raises(ZeroDivisionError):
        async with limits.guess(count):
            raise ZeroDivisionError
    assert await redis.get(count.key) == "0"


async def test_a_success_does_not_reset_the_failures(limits: Limits) -> None:
    """Nine failures and a success leave one try: a success does not reset the count for an attacker."""
    for _ in range(9):
        with pytest.raises(WrongPassword):
            await fail(limits, "siti")
    async with limits.guess(limits.count(EMAIL, "siti")):
        pass
    for refusal in (WrongPassword, RateLimited):
        with pytest.raises(refusal):
            await fail(limits, "siti")


async def test_a_refused_try_is_counted_nowhere(redis: Redis, limits: Limits) -> None:
    """An address that is over its limit cannot use up the tries of people's e-mails."""
    await redis.set(limits.count(ADDRESS, "cafe").key, 100, ex=900)
    for _ in range(20):
        with pytest.raises(RateLimited):
            await fail(limits, "siti", "cafe")
    assert not await redis.exists(limits.count(EMAIL, "siti").key)
    later = limits.count(EMAIL, "budi"), limits.count(ADDRESS, "cafe")  # the full one comes last
    with pytest.raises(RateLimited):
        async with limits.guess(*later):
            pass
    assert not await redis.exists(later[0].key)
    with pytest.raises(WrongPassword):
        await fail(limits, "siti")


async def test_tries_are_forgotten(redis: Redis, limits: Limits) -> None:
    """Each count is forgotten a quarter of an hour after its first try, however many follow; also a count that Redis
    lost during a try."""
    count = limits.count(EMAIL, "siti")
    for expires_in in (900, 60):
        with pytest.raises(WrongPassword):
            await fail(limits, "siti")
        assert 0 < await redis.ttl(count.key) <= expires_in
        await redis.expire(count.key, 60)
    async with limits.guess(count):
        await redis.delete(count.key)
    assert 0 < await redis.ttl(count.key) <= 900


async def test_refused_attempts_write_nothing(redis: Redis, limits: Limits, all_keys: AllKeys) -> None:
    """Four hundred tries from an address that may try a hundred times leave a hundred keys, one after another or at
    once; without an end none of them."""
    for start in range(0, 400, 40):
        tries = (fail(limits, str(start + number), "cafe") for number in range(40))
        await asyncio.gather(*tries, return_exceptions=True)
    with pytest.raises(RateLimited):
        await fail(limits, "400", "cafe")
    keys = await all_keys()
    assert len(keys) <= ADDRESS.limit + 1
    assert all([await redis.ttl(kept) > 0 for kept in keys])


async def test_counts_are_bounded_in_number(limits: Limits, all_keys: AllKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses and e-mails are tried, there are no more counts of a kind than buckets."""
    monkeypatch.setattr("services.accounts.limits.BUCKETS", 50)
    for number in range(400):
        with suppress(RateLimited):
            await limits.take(limits.count(ADDRESS, str(number)), limits.count(SLOWED, f"{number}@example.com"))
    assert len(await all_keys()) <= 3 * 50


async def test_attempts_beyond_a_spaced_limit_are_slowed_down(redis: Redis, limits: Limits) -> None:
    """Beyond the limit one try is let through after 1, 2 and then 4 seconds, and one of many concurrent tries."""
    count = limits.count(SLOWED, "siti")
    made = await fail_at_once(limits, count, times=SLOWED.limit)
    assert [type(result) for result in made] == [WrongPassword] * SLOWED.limit
    for pause in (1, 2, 4, 4):
        (let_through,), (refused,) = [await fail_at_once(limits, count, times=1) for _ in range(2)]
        assert isinstance(let_through, WrongPassword)
        assert isinstance(refused, RateLimited)
        assert refused.retry_after == pause
        await redis.delete(count.pause)
    results = await fail_at_once(limits, count, times=20)
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
