"""Accounts that are not made by registration: those of agents, and those of the demonstration."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from uuid import UUID

import pytest

from batalkan.keys import Keys
from contracts.accounts import AccountRegistered
from contracts.words import Role
from runtime.errors import InvalidRequest
from runtime.messaging.bus.memory import MemoryBus
from runtime.messaging.envelope import EventReader
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import Database
from services.accounts import demonstration, store
from services.accounts.admin import create_account
from services.accounts.domain import Account, EmailTaken
from services.accounts.passwords import Passwords
from tests.harness.accounts import QUICK, open_harness


@pytest.fixture
async def uow(database_url: str) -> AsyncIterator[UnitOfWork]:
    """The database, as a command opens it."""
    database = Database(database_url, pool_size=4)
    await database.connect()
    yield UnitOfWork("accounts", database)
    await database.close()


async def test_an_administrator_makes_agents(uow: UnitOfWork, keys: Keys) -> None:
    """An added agent can sign in, and the running service publishes AccountRegistered."""
    agent = await create_account(uow, "Dewi@example.com", "rahasia-sekali", "Dewi")
    assert (agent.email, agent.role) == ("dewi@example.com", Role.AGENT)
    bus = MemoryBus()
    listening = await bus.subscribe("witness", ["accounts.AccountRegistered"])
    async with open_harness(uow.database.url, keys, bus=bus) as harness, harness.visitor() as visitor:
        [delivery] = await listening.take(10)
        await listening.acknowledge(delivery)
        event = EventReader({"AccountRegistered": AccountRegistered}).read(delivery.body, delivery.routing_key).data
        assert event == AccountRegistered(account_id=agent.account_id, role=Role.AGENT, name="Dewi")
        visitor.email = agent.email
        tokens = (await visitor.sign_in("web")).json()
        assert (await visitor.me(tokens["access_token"])).json()["role"] == "agent"


async def test_a_refusal_names_what_is_wrong(uow: UnitOfWork) -> None:
    """A command refuses what registration refuses."""
    create = partial(create_account, uow, passwords=Passwords(QUICK))
    with pytest.raises(InvalidRequest, match="email"):
        await create("dewi", "rahasia-sekali", "Dewi")
    with pytest.raises(InvalidRequest, match="password") as refused:
        await create("dewi@example.com", "rahasia", "Dewi")
    assert "rahasia" not in str(refused.value)
    await create("dewi@example.com", "rahasia-sekali", "Dewi")
    with pytest.raises(EmailTaken):
        await create("DEWI@example.com", "rahasia-sekali", "Dewi")


async def test_the_demonstration_has_three_accounts(database_url: str, keys: Keys) -> None:
    """They are made once, under ids that the other services count on, and can sign in, also after a restart."""
    for _ in range(2):
        async with open_harness(database_url, keys, demonstration=True) as harness, harness.visitor() as visitor:
            for role in Role:
                visitor.email = f"{role}@example.com"
                tokens = (await visitor.sign_in(password="batalkan-demo")).json()
                account = (await visitor.me(tokens["access_token"])).json()
                assert account["role"] == role
                assert account["account_id"] == f"0190d3a0-0000-7000-8000-00000000000{list(Role).index(role) + 1}"
            async with harness.service.uow.begin() as tx:
                assert await tx.connection.fetchval("select count(*) from accounts") == 3
                assert await tx.connection.fetchval("select max(last) from event_sequence") == 1


async def test_everyday_life_has_none_of_them(database_url: str, keys: Keys) -> None:
    """Outside of demonstration mode the demonstration's password is refused, also if it was accepted before."""
    async with open_harness(database_url, keys, demonstration=True) as harness, harness.visitor() as visitor:
        visitor.email = "agent@example.com"
        tokens = (await visitor.sign_in(password=demonstration.PASSWORD)).json()
    async with open_harness(database_url, keys) as harness, harness.visitor() as visitor:
        for role in Role:
            visitor.email = f"{role}@example.com"
            assert (await visitor.sign_in(password=demonstration.PASSWORD)).status_code == 400
        assert (await visitor.me(tokens["access_token"])).status_code == 401


async def test_seeding_leaves_alone_who_was_there_before(uow: UnitOfWork) -> None:
    """An address of the demonstration that is registered keeps its account; concurrent seeding makes no second."""
    passwords = Passwords(QUICK)
    before = await create_account(uow, "buyer@example.com", "rahasia-sekali", "Siti", Role.BUYER, passwords=passwords)
    await asyncio.gather(*(demonstration.seed(uow, passwords) for _ in range(3)))
    async with uow.begin() as tx:
        assert await tx.connection.fetchval("select count(*) from accounts") == 3
        assert await tx.connection.fetchval("select name from accounts where account_id = $1", before.account_id)


async def test_replicas_may_seed_in_the_same_moment(uow: UnitOfWork) -> None:
    """The second caller is told that the address is taken, also if the fixed id conflicts first."""
    agent = Account(UUID(int=1), "agent@example.com", "Layanan Pelanggan", Role.AGENT)

    async def add(barrier: asyncio.Barrier) -> None:
        async with uow.begin() as tx:
            await barrier.wait()
            await store.add(tx, agent, "hash")

    for _ in range(300):
        barrier = asyncio.Barrier(4)
        made = await asyncio.gather(*(add(barrier) for _ in range(4)), return_exceptions=True)
        assert sorted(type(one).__name__ for one in made) == ["EmailTaken"] * 3 + ["NoneType"]
        async with uow.begin() as tx:
            await store.remove(tx, [agent.account_id])
