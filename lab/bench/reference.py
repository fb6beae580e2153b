"""The cancel saga with only uvicorn, asyncpg and aiormq: the maximum that Python reaches on a machine.

    DATABASE_URL=… BROKER_URL=… PORT=… python -m lab.bench.reference orders | refunds

It has the same tables, statements, events and durability as the services: outbox, one relay, confirms, persistent
messages in quorum queues, inbox, one transaction per batch. It has no framework, validation, authentication, error
handling, retries, logs or metrics.
"""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import aiormq
import asyncpg
import uvicorn
import uvloop
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic
from uuid_utils.compat import uuid7

EXCHANGE = "batalkan.events"
BATCH, RELAY_BATCH, PREFETCH, FRAMES = 256, 256, 256, 1024
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

LOCK = """
select o.*, clock_now() as now, c.cancellation_id
from orders o left join cancellations c using (order_id) where order_id = $1 for update of o
"""
CANCEL = """
with o as (
    update orders set status = 'cancelled', version = version + 1
    where order_id = $1 and version = $2 returning order_id, seller_id, version, lines, paid_amount
), h as (
    insert into order_history (order_id, version, status, at)
    select order_id, version, 'cancelled', clock_now() from o
), given_back as (
    select product_id, sum(quantity) as pieces
    from o, jsonb_to_recordset(o.lines) as line (product_id uuid, quantity integer) group by product_id
), locked as (
    select product_id from products where product_id = any(array(select product_id from given_back))
    order by product_id for update
), p as (
    update products set stock = stock + pieces from given_back
    where products.product_id = any(array(select product_id from locked))
      and products.product_id = given_back.product_id
)
insert into cancellations (order_id, cancellation_id, seller_id, channel, requested_by, role, reason, note, fault, at,
                           pieces, refund_amount)
select order_id, $3, seller_id, 'app', $4, 'buyer', $5, null, 'buyer', clock_now(),
       (select sum(pieces) from given_back), paid_amount from o returning at
"""
OUTBOX = """
with counted as (
    insert into event_sequence as s (subject, last)
    select subject, count(*) from unnest($3::text[]) as subject group by subject order by subject
    on conflict (subject) do update set last = s.last + excluded.last returning s.subject, s.last
)
insert into outbox (event_id, type, subject, dataschema, routing_key, mandatory, correlation_id, causation_id,
                    traceparent, data, sequence, time)
select e.event_id, e.type, e.subject, 'urn:batalkan:event:' || e.type || ':1', $5 || e.type, true, e.event_id,
       e.event_id, $6, e.data, c.last, clock_now()
from unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) as e (event_id, type, subject, data)
join counted c using (subject)
"""
TAKE = """
delete from outbox where seq = any(array(select seq from outbox order by seq limit $1))
returning seq, event_id, type, subject, dataschema, routing_key, correlation_id, causation_id, traceparent, data,
          sequence, to_char(time at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as time
"""
INBOX = "insert into inbox (event_id) select unnest($1::uuid[]) order by 1 on conflict do nothing returning event_id"
PHONES = "select buyer_id, phone from dana_links where buyer_id = any($1)"
REFUND = """
insert into refunds (refund_id, cancellation_id, order_id, buyer_id, amount, destination, state)
select *, 'lazada_credit', 'issued' from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[])
on conflict (cancellation_id) do nothing
"""
CREDIT = """
with t as (
    insert into ledger_transactions (transaction_id, refund_id, kind)
    select transaction_id, refund_id, 'credit' from unnest($1::uuid[], $2::uuid[]) as one (transaction_id, refund_id)
)
insert into ledger_entries (transaction_id, account, buyer_id, amount)
select transaction_id, account, buyer_id, sign * amount
from unnest($1::uuid[], $3::uuid[], $4::bigint[]) as one (transaction_id, buyer_id, amount),
     (values ('cancelled_orders', -1), ('lazada_credit', 1)) as side (account, sign)
"""
SHOW = """
update cancellations c
set refund_id = one.refund_id, refund_state = 'issued', destination = one.destination, refund_sequence = one.sequence
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[])
     as one (cancellation_id, refund_id, destination, sequence)
where c.cancellation_id = one.cancellation_id and coalesce(c.refund_sequence, 0) < one.sequence
"""

Connection = Any
Handle = Callable[[Connection, list[dict[str, Any]]], Awaitable[bool]]
"""Handles a batch of events; returns whether events follow."""


class ReferenceService:
    """Common to both sides: a pool, an outbox with its relay, a queue with its consumer."""

    def __init__(self, name: str, pool: Any, consumes: str, handle: Handle) -> None:
        self.name = name
        self.pool = pool
        self.consumes, self.handle = consumes, handle
        self.woken = asyncio.Event()

    async def write_events(self, connection: Connection, kind: str, events: list[tuple[str, str]]) -> None:
        """Writes events (subject, data) to the outbox."""
        columns = [uuid7() for _ in events], [kind] * len(events), [s for s, _ in events], [d for _, d in events]
        await connection.execute(OUTBOX, *columns, f"{self.name}.", TRACE)

    async def relay(self, channel: Any) -> None:
        connection = await self.pool.acquire()
        while True:
            self.woken.clear()
            await connection.execute("begin")
            rows = sorted(await connection.fetch(TAKE, RELAY_BATCH), key=lambda row: row["seq"])
            await asyncio.gather(*(self._publish(channel, row) for row in rows))
            await connection.execute("commit")
            if len(rows) < RELAY_BATCH:
                try:
                    await asyncio.wait_for(self.woken.wait(), 1)
                except TimeoutError:
                    continue

    def _publish(self, channel: Any, row: asyncpg.Record) -> Awaitable[Any]:
        body = (
            f'{{"specversion":"1.0","id":"{row["event_id"]}","source":"{self.name}","type":"{row["type"]}",'
            f'"subject":"{row["subject"]}","time":"{row["time"]}","datacontenttype":"application/json",'
            f'"dataschema":"{row["dataschema"]}","correlationid":"{row["correlation_id"]}",'
            f'"causationid":"{row["causation_id"]}","sequence":{row["sequence"]},'
            f'"traceparent":"{row["traceparent"]}","data":{row["data"]}}}'
        )
        published: Awaitable[Any] = channel.basic_publish(
            body.encode(),
            exchange=EXCHANGE,
            routing_key=row["routing_key"],
            properties=Basic.Properties(content_type="application/cloudevents+json", delivery_mode=2),
            mandatory=True,
            wait=False,
        )
        return published

    async def consume(self, channel: Any) -> None:
        await channel.basic_qos(prefetch_count=PREFETCH)
        await channel.exchange_declare(EXCHANGE, exchange_type="topic", durable=True)
        arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        await channel.queue_declare(self.name, durable=True, arguments=arguments)
        await channel.queue_bind(self.name, EXCHANGE, self.consumes)
        arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
        await channel.basic_consume(self.name, arrived.put)
        while True:
            messages = [await arrived.get()]
            while len(messages) < BATCH and not arrived.empty():
                messages.append(arrived.get_nowait())
            events = {UUID(event["id"]): event for event in (json.loads(message.body) for message in messages)}
            async with self.pool.acquire() as connection:
                await connection.execute("begin")
                new = [events[row["event_id"]] for row in await connection.fetch(INBOX, list(events))]
                follow = await self.handle(connection, new)
                if follow:
                    follow_ups = [(e["subject"], json.dumps(e["follows"])) for e in new]
                    await self.write_events(connection, "RefundIssued", follow_ups)
                await connection.execute("commit")
            await channel.basic_ack(messages[-1].delivery_tag, multiple=True)
            if follow:
                self.woken.set()

    async def cancel(self, order_id: UUID, reason: str) -> bytes:
        """`POST /orders/{id}/cancel`."""
        async with self.pool.acquire() as connection:
            await connection.execute("begin")
            order = await connection.fetchrow(LOCK, order_id)
            cancellation_id = uuid7()
            at = await connection.fetchval(
                CANCEL, order_id, order["version"], cancellation_id, order["buyer_id"], reason
            )
            data = {
                "cancellation_id": str(cancellation_id),
                "order_id": str(order_id),
                "buyer_id": str(order["buyer_id"]),
                "seller_id": str(order["seller_id"]),
                "channel": "app",
                "paid_amount": order["paid_amount"],
                "fault": "buyer",
            }
            await self.write_events(connection, "OrderCancelled", [(str(order_id), json.dumps(data))])
            await connection.execute("commit")
        self.woken.set()
        shown = {**data, "status": "cancelled", "total": order["total"], "placed_at": str(order["placed_at"])}
        return json.dumps({**shown, "lines": order["lines"], "cancelled_at": str(at)}).encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Bare ASGI."""
        body = (await receive())["body"]
        answer = await self.cancel(UUID(scope["path"].split("/")[2]), json.loads(body)["reason"])
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})


async def refund(connection: Connection, events: list[dict[str, Any]]) -> bool:
    """The handler of refunds for `OrderCancelled`."""
    data = [event["data"] for event in events]
    ids = [uuid7() for _ in data]
    buyers, amounts = [UUID(one["buyer_id"]) for one in data], [one["paid_amount"] for one in data]
    await connection.fetch(PHONES, buyers)
    cancellations, orders = ([UUID(one[name]) for one in data] for name in ("cancellation_id", "order_id"))
    await connection.execute(REFUND, ids, cancellations, orders, buyers, amounts)
    await connection.execute(CREDIT, [uuid7() for _ in data], ids, buyers, amounts)
    for event, refund_id in zip(events, ids, strict=True):
        names = ("cancellation_id", "order_id", "buyer_id")
        event["follows"] = {
            "refund_id": str(refund_id),
            **{name: event["data"][name] for name in names},
            "amount": event["data"]["paid_amount"],
            "destination": "lazada_credit",
        }
    return True


async def show(connection: Connection, events: list[dict[str, Any]]) -> bool:
    """The handler of orders for `RefundIssued`."""
    data = [event["data"] for event in events]
    await connection.execute(
        SHOW,
        [UUID(one["cancellation_id"]) for one in data],
        [UUID(one["refund_id"]) for one in data],
        [one["destination"] for one in data],
        [event["sequence"] for event in events],
    )
    return False


async def _leave_as_it_is(connection: Connection) -> None:
    """No reset: connections have no session state."""


class Broker(aiormq.Connection):
    """A connection with buffers for a whole batch."""

    FRAME_BUFFER_SIZE = FRAMES


async def connect(url: str) -> Broker:
    """A connection to RabbitMQ."""
    connection = Broker(url)
    await connection.connect()
    return connection


async def main(side: str) -> None:
    """Runs one side until the process ends."""
    broker_url = os.environ["BROKER_URL"]
    name = broker_url.split("/")[2].split(":")[0]  # the broker user's name
    pool = await asyncpg.create_pool(  # noqa: TID251 (the reference uses no code of the project)
        os.environ["DATABASE_URL"], min_size=1, max_size=10, reset=_leave_as_it_is
    )
    other = name.replace("orders", "refunds") if side == "orders" else name.replace("refunds", "orders")
    consumes = f"{other}.RefundIssued" if side == "orders" else f"{other}.OrderCancelled"
    service = ReferenceService(name, pool, consumes, show if side == "orders" else refund)
    consuming, publishing = await connect(broker_url), await connect(broker_url)
    confirming = await publishing.channel(publisher_confirms=True, on_return_raises=True, frame_buffer_size=FRAMES)
    async with asyncio.TaskGroup() as group:
        group.create_task(service.consume(await consuming.channel(frame_buffer_size=FRAMES)))
        group.create_task(service.relay(confirming))
        await asyncio.sleep(0.3)  # until both sides have declared their queues
        port = int(os.environ["PORT"])
        config = uvicorn.Config(service, port=port, log_config=None, access_log=False, lifespan="off")
        await uvicorn.Server(config).serve()
        os._exit(0)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
