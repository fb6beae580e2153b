"""The database's server has the time zone of Berlin, and summer time begins and ends while sellers are silent: 24 hours
are 24 hours, for customer service and for the buyer's own cancellation."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from batalkan.keys import Keys, make_keys
from batalkan.operate import advance_clock, connected, database_urls
from lab.faults.lab import Lab
from runtime.settings import Environment
from tests.harness.actors import Agent, Buyer, Seller
from tests.harness.customer_service import contacted, system_message

ZONE = "Europe/Berlin"
DAY = timedelta(hours=24)
SOON = timedelta(minutes=2)
PER_AGENT = 3

_CHANGES = f"""
select day - interval '12 hours' from generate_series(
    date_trunc('day', clock_now(), 'UTC') + interval '48 hours', clock_now() + interval '9600 hours', '24 hours'
) day, lateral (select day + interval '24 hours' as next) morrow
where (next at time zone '{ZONE}') - (day at time zone '{ZONE}') <> interval '24 hours'
order by day limit 2
"""
"""The noons before the next two days with 23 or 25 hours."""

LONG = {"cases": 60}


async def run(lab: Lab, cases: int = 2) -> None:
    """Sets the time zone, and moves the clock to the noon before each change; then, with `cases`, 24 hours."""
    with TemporaryDirectory(prefix="batalkan-berlin-") as name:
        folder = Path(name)
        await asyncio.to_thread(folder.chmod, 0o755)  # for PostgreSQL's own user
        async with (
            lab.embedded(folder) as http,
            database_urls(Environment({}), folder) as urls,
            connected(urls["cs"]) as server,
        ):
            await server.execute(f"alter system set timezone = '{ZONE}'")
            await server.execute("select pg_reload_conf()")
            noons: list[datetime] = [row[0] for row in await server.fetch(_CHANGES)]
            lab.hold(len(noons) == 2, f"the clocks in {ZONE} change {len(noons)} times")
            for noon in noons:
                lab.history.note("the clocks change", noon=noon.isoformat())
                await advance_clock(urls, noon - await server.fetchval("select clock_now()"))
                await the_24_hours(lab, http, urls, make_keys(folder / "keys"), cases)
            await lab.embedded_at_rest(folder)
            lab.figures["cases"] = 2 * cases


async def the_24_hours(lab: Lab, http: httpx.AsyncClient, urls: Mapping[str, str], keys: Keys, cases: int) -> None:
    """Every third seller packs two minutes before the end; the other orders are cancelled at the end, not before."""
    agents = [Agent.signed(http, keys, "agent") for _ in range(-(-cases // PER_AGENT))]
    for agent in agents:
        await agent.duty()
    seller, (early, late) = Seller.signed(http, keys, "seller"), (Buyer.signed(http, keys, "buyer") for _ in range(2))
    product = await seller.offer()
    bought = [await early.buy(product), await late.buy(product)]
    asked = []
    for _ in range(cases):
        buyer = Buyer.signed(http, keys, "buyer")
        case = await contacted(buyer, [*agents], seller, await buyer.buy(product))
        said = await system_message(buyer, f"/cs/cases/{case.case_id}", "seller_contacted")
        has = case.respond_by - datetime.fromisoformat(said["at"])
        lab.hold(has == DAY, f"the seller of case {case.case_id} has {has}")
        asked.append(case)
    await advance_clock(urls, DAY - SOON)
    done = await early.cancel(bought[0])
    lab.hold(done.is_success, f"after 24 hours less {SOON} the buyer was answered {done.text[:200]}")
    lab.history.accept(bought[0], done.json()["cancellation"]["cancellation_id"])
    for case in asked[::3]:
        await case.seller(seller, "pack")
        await system_message(case.buyer, f"/cs/cases/{case.case_id}", "order_packed")
    await advance_clock(urls, 2 * SOON)
    refused = await late.cancel(bought[1])
    lab.hold(refused.status_code == 409, f"after 24 hours and {SOON} the buyer was answered {refused.text[:200]}")
    for number, case in enumerate(asked):
        if number % 3:
            await case.becomes("resolved")
            at = datetime.fromisoformat((await case.buyer.order(case.order_id))["cancellation"]["at"])
            lab.hold(at >= case.respond_by, f"order {case.order_id} was cancelled at {at}, before {case.respond_by}")
        else:
            status = (await case.buyer.order(case.order_id))["status"]
            lab.hold(status == "packed", f"order {case.order_id} was packed in time, and is {status}")
    for agent in agents:
        await agent.duty(False)
