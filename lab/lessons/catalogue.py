"""The eight lessons, as data: what each promises, the code to read, and what removes the pattern."""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.faults.mutations import MUTATIONS, Mutation

LINES = 30
"""The code to read, and the diff of a removal, have at most so many lines."""


@dataclass(frozen=True)
class Lesson:
    """One pattern."""

    name: str
    promise: str
    """What holds with the pattern."""
    removal: str
    """What is taken away. Where two guards keep the promise, both are."""
    reads: tuple[str, str]
    """The file and the function or class to read."""
    mutations: tuple[Mutation, ...]
    breaks: str
    """Words of the sentence that reports the broken promise."""
    schema: Sequence[tuple[str, str]] = ()
    """Constraints that go, too: a service and a statement on its database."""


def _known(name: str) -> Mutation:
    return next(mutation for mutation in MUTATIONS if mutation.name == name)


LESSONS = (
    Lesson(
        "outbox",
        "The services end right after a cancellation has committed. Its money comes all the same.",
        "The events are written after the commit, no longer in it. Without reminders, which would publish again.",
        ("runtime/messaging/unit_of_work.py", "UnitOfWork.begin"),
        (
            Mutation(
                "events after the commit",
                "outbox",
                "runtime/messaging/unit_of_work.py",
                (
                    (
                        "                yield tx\n                await tx.write_events()",
                        "                yield tx\n"
                        "            async with self.database.transaction() as tx.connection:\n"
                        "                await tx.write_events()",
                    ),
                    ("if unwritten and not self.connection.is_in_transaction():", "if False:"),
                ),
            ),
            _known("refunds is reminded of nothing"),
        ),
        "has no refund",
    ),
    Lesson(
        "inbox",
        "OrderCancelled is delivered twice. The money comes once.",
        "The consumer takes every event for new. Each cancellation may have several refunds, each with a new id.",
        ("runtime/messaging/consumer.py", "Consumer.new_ids"),
        (
            Mutation(
                "every event is new",
                "inbox",
                "runtime/messaging/consumer.py",
                (
                    (
                        'return {row["event_id"]: row["now"] for row in rows}',
                        "return dict.fromkeys(ids, await tx.now())",
                    ),
                ),
            ),
            Mutation(
                "a new id for each refund",
                "inbox",
                "services/refunds/handlers.py",
                (
                    ("refund_id_of(one.data.cancellation_id): one", "new_id(): one"),
                    (
                        "from runtime.messaging.unit_of_work import Transaction\n",
                        "from runtime.messaging.unit_of_work import Transaction\n"
                        "from runtime.observability.trace_context import new_id\n",
                    ),
                ),
            ),
            Mutation(
                "no key of the business",
                "inbox",
                "services/refunds/store.py",
                (('"on conflict (cancellation_id) do nothing returning refund_id"', '"returning refund_id"'),),
            ),
        ),
        "has 2 refunds instead of one",
        (
            ("refunds", "alter table refunds drop constraint refunds_cancellation_id_key"),
            ("refunds", "drop index refunds_of_order"),
        ),
    ),
    Lesson(
        "saga",
        "The seller cancels in the chat, and orders decides: stock, voucher and money come back.",
        "The compensation of orders: stock and voucher are not given back.",
        ("services/orders/handlers.py", "decide"),
        (
            Mutation(
                "no compensation",
                "saga",
                "services/orders/store.py",
                (
                    ("set stock = stock + pieces from", "set stock = stock from"),
                    ("set used = used - 1 from", "set used = used from"),
                ),
            ),
        ),
        "2 were offered, 0 are left, 0 are ordered",
    ),
    Lesson(
        "deadlines",
        "The services start anew within the seller's 24 hours. A silent seller's order is cancelled after them.",
        "A service forgets its deadlines when it starts, as if they were timers in its memory.",
        ("services/cs/cases.py", "Cases.contact_seller"),
        (
            Mutation(
                "deadlines in memory",
                "deadlines",
                "runtime/messaging/deadlines.py",
                (
                    (
                        '        backoff = Backoff("PostgreSQL, for deadlines", log)\n',
                        "        async with self._uow.database.connection() as connection:\n"
                        '            await connection.execute("delete from deadlines")\n'
                        '        backoff = Backoff("PostgreSQL, for deadlines", log)\n',
                    ),
                ),
            ),
        ),
        "and nothing ends the wait",
    ),
    Lesson(
        "unknown",
        "DANA pays, and its answer is lost. It is asked before anything is sent again, and pays once.",
        "A payment with unknown outcome is sent again, under a new reference.",
        ("services/refunds/domain.py", "next_step"),
        (
            Mutation(
                "DANA is not asked",
                "unknown",
                "services/refunds/domain.py",
                (("    if refund.uncertain:\n        return Step.ASK\n", ""),),
            ),
            _known("DANA is tried again under a new reference"),
        ),
        "but should not have",
    ),
    Lesson(
        "poison",
        "An event that no consumer can read is set aside. The cancellation behind it is refunded.",
        "A message that cannot be read is not parked: it is delivered again and again.",
        ("runtime/messaging/consumer.py", "Consumer._handle_batch"),
        (
            Mutation(
                "no parking",
                "poison",
                "runtime/messaging/consumer.py",
                (("await self._park(tx, message, str(message.error))", "raise message.error"),),
            ),
        ),
        "has no refund",
    ),
    Lesson(
        "order",
        "The handler of RefundDelayed is slow. RefundIssued waits behind it, and the order shows the money.",
        "Each kind of event has its partition, and a late event overwrites a newer state.",
        ("services/orders/refund_status.py", "note_refunds"),
        (
            Mutation(
                "partitions by the kind of event",
                "order",
                "runtime/messaging/bus/memory.py",
                (("zlib.crc32(message.subject.encode())", "zlib.crc32(message.routing_key.encode())"),),
            ),
            Mutation(
                "the last to arrive wins",
                "order",
                "services/orders/refund_status.py",
                (
                    (
                        " and coalesce(b.refund_sequence, 0) < n.sequence\n"
                        "          and (n.state = 'issued' or b.refund_state is distinct from 'issued')",
                        "",
                    ),
                ),
            ),
        ),
        "orders does not know issued refund",
    ),
    Lesson(
        "backoff",
        "The broker is away for three seconds. The services ask for it in growing pauses.",
        "The pauses: each failure is followed by the next attempt.",
        ("runtime/backoff.py", "Backoff.pause"),
        (
            Mutation(
                "no pause",
                "backoff",
                "runtime/backoff.py",
                (("return longest * random.uniform(0.5, 1)  # noqa: S311 (jitter is no secret)", "return 0.0"),),
            ),
        ),
        "attempts per second",
    ),
)
NAMES = tuple(lesson.name for lesson in LESSONS)


def lesson(name: str) -> Lesson:
    """The lesson of this name."""
    return next(one for one in LESSONS if one.name == name)
