"""Accounts that are not made by registration: those of agents, and those of the demonstration."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from uuid import UUID

import pytest

from batalkan.keys import Keys
from contracts.words import Role
from runtime.errors import InvalidRequest
from runtime.messaging.unit_of_work import UnitOfWork
from runtime.storage.database import Database
from services.accounts import demonstration, store
from services.accounts.admin import create_account
from services.accounts.domain import Account, EmailTaken
from services.accounts.passwords import Passwords
from tests.harness.accounts import QUICK, AccountsHarness, Visitor, open_harness


@pytest.fixture
async def uow(database_url: str) -> AsyncIterator[UnitOfWork]:
    """A database without accounts, as a command opens it."""
    database = Database(database_url, pool_size=4)
    await database.connect()
    yield UnitOfWork("accounts", database)
    await database.close()


async def test_an_administrator_makes_agents(harness: AccountsHarness, visitor: Visitor) -> None:
    """An added agent can sign in, and the running service publishes AccountRegistered."""
    create = partial(create_account, harness.service.uow, name="Dewi", passwords=Passwords(QUICK))
    agent = await create(visitor.email.title(), "rahasia-sekali")
    assert (agent.email, agent.role) == (visitor.email, Role.AGENT)
    event = await harness.recorder.wait_for(str(agent.account_id), "AccountRegistered")
    assert event["data"] == {"account_id": str(agent.account_id), "role": "agent", "name": "Dewi"}
    tokens = (await visitor.sign_in("web")).json()
    assert (await visitor.me(tokens["access_token"])).json()["role"] == "agent"


async def test_a_refusal_names_what_is_wrong(harness: AccountsHarness, visitor: Visitor) -> None:
    """A command refuses what registration refuses."""
    create = partial(create_account, harness.service.uow, name="Dewi", passwords=Passwords(QUICK))
    with pytest.raises(InvalidRequest, match="email"):
        await create("dewi", "rahasia-sekali")
    with pytest.raises(InvalidRequest, match="password") as refused:
        await create(visitor.email, "rahasia")
    assert "rahasia" not in str(refused.value)
    await create(visitor.email, "rahasia-sekali")
    with pytest.raises(EmailTaken):
        await create(visitor.email.upper(), "rahasia-sekali")


DEMONSTRATED = [one.role for one in demonstration.ACCOUNTS]


async def test_operators_are_made_by_command_alone(harness: AccountsHarness, visitor: Visitor) -> None:
    """An operator that an administrator has created can sign in; nobody registers as one."""
    assert (await visitor.register(role="operator")).status_code == 422
    create = partial(create_account, harness.service.uow, name="Dewi", passwords=Passwords(QUICK))
    assert (await create(visitor.email, "rahasia-sekali", role=Role.OPERATOR)).role is Role.OPERATOR
    tokens = (await visitor.sign_in("web")).json()
    assert (await visitor.me(tokens["access_token"])).json()["role"] == "operator"


async def test_the_demonstration_has_three_accounts(database_url: str, keys: Keys) -> None:
    """The accounts of the demonstration are made once, under fixed ids, and can sign in, also after a restart."""
    for _ in range(2):
        async with open_harness(database_url, keys, demonstration=True) as harness, harness.visitor() as visitor:
            for number, role in enumerate(DEMONSTRATED, 1):
                visitor.email = f"{role}@example.com"
                tokens = (await visitor.sign_in(password="batalkan-demo")).json()
                account = (await visitor.me(tokens["access_token"])).json()
                assert account["role"] == role
                assert account["account_id"] == f"0190d3a0-0000-7000-8000-00000000000{number}"
            async with harness.service.uow.begin() as tx:
                assert await tx.connection.fetchval("select count(*) from accounts") == 3
                assert await tx.connection.fetchval("select max(last) from event_sequence") == 1


async def test_outside_of_demonstration_mode_its_accounts_are_removed(database_url: str, keys: Keys) -> None:
    """Outside of demonstration mode the demonstration's password is refused, also if it was accepted before."""
    async with open_harness(database_url, keys, demonstration=True) as harness, harness.visitor() as visitor:
        visitor.email = "agent@example.com"
        tokens = (await visitor.sign_in(password=demonstration.PASSWORD)).json()
    async with open_harness(database_url, keys) as harness, harness.visitor() as visitor:
        for role in DEMONSTRATED:
            visitor.email = f"{role}@example.com"
            assert (await visitor.sign_in(password=demonstration.PASSWORD)).status_code == 400
        assert (await visitor.me(tokens["access_token"])).status_code == 401


async def test_seeding_keeps_existing_accounts(uow: UnitOfWork) -> None:
    """An address of the demonstration that is registered keeps its account; concurrent seeding makes no second."""
    passwords = Passwords(QUICK)
    before = await create_account(uow, "buyer@example.com", "rahasia-sekali", "Siti", Role.BUYER, passwords=passwords)
    await asyncio.gather(*(demonstration.seed(uow, passwords) for _ in range(3)))
    async with uow.begin() as tx:
        assert await tx.connection.fetchval("select count(*) from accounts") == 3
        assert await tx.connection.fetchval("select name from accounts where account_id = $1", before.account_id)


async def test_a_taken_id_is_refused_as_a_taken_address(uow: UnitOfWork) -> None:
    """Of replicas that seed in the same moment the second may meet the fixed id first: that is refused as well."""
    agent = Account(UUID(int=1), "agent@example.com", "Layanan Pelanggan", Role.AGENT)
    async with uow.begin() as tx:
        await store.add(tx, agent, "hash")
    for taken in (agent, replace(agent, email="other@example.com")):
        with pytest.raises(EmailTaken):
            async with uow.begin() as tx:
                await store.add(tx, taken, "hash")
