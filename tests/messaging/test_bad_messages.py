"""A message that cannot be understood or trusted is parked; all others are handled."""

import json

from runtime.messaging.bus import Message
from runtime.messaging.envelope import MAX_BODY
from tests.harness.waiting import becomes
from tests.messaging.toys import Toys, message

KEY = "orders.Counted"


def _data(**changes: object) -> Message:
    return message(0, data={"thing": "a", "number": 0, "note": ""} | changes)


def _raw(body: bytes) -> Message:
    return Message(KEY, body)


UNREADABLE = {
    "nothing": (_raw(b""), "not JSON"),
    "not JSON": (_raw(b"cancel my order, please"), "not JSON"),
    "not UTF-8": (_raw(b'{"type": "\xff\xfe"}'), "not JSON"),
    "half a character": (_raw(message(0).body.replace(b'"note": ""', b'"note": "\\ud800"')), "not JSON"),
    "nested without end": (_raw(b"[" * 100_000 + b"]" * 100_000), "not JSON"),
    "nested deeply inside": (_data(note=json.loads("[" * 180 + "]" * 180)), "not a valid Counted"),
    "an array": (_raw(b"[1, 2]"), "of an unknown type"),
    "no CloudEvent": (_raw(b'{"thing": "a", "number": 1}'), "of an unknown type"),
    "without an envelope": (_raw(b'{"type": "Counted", "data": {"thing": "a", "number": 1}}'), "not a valid Counted"),
    "another specversion": (message(0, specversion="2.0"), "specversion"),
    "an unknown type": (message(0, type="Miscounted"), "unknown type: 'Miscounted'"),
    "a type that is none": (message(0, type={"a": 1}), "unknown type"),
    "forged": (message(0, source="chat"), "forged: from 'chat'"),
    "forged under a foreign name": (message(0, source="mallory"), "forged"),
    "about something else": (message(0, subject="b"), "contradicts itself"),
    "another version": (message(0, dataschema="urn:batalkan:event:Counted:2"), "contradicts itself"),
    "an id that is none": (message(0, id="1"), "id"),
    "no sequence": (message(0, sequence=0), "sequence"),
    "a sequence beyond all bounds": (message(0, sequence=10**30), "sequence"),
    "a time in no zone": (message(0, time="2025-01-31T12:00:00"), "time"),
    "no trace": (message(0, traceparent="00-1-2-3"), "traceparent"),
    "a negative amount": (_data(number=-1), "number"),
    "an amount in words": (_data(number="1"), "number"),
    "a fraction": (_data(number=1.5), "number"),
    "no amount": (_raw(message(0).body.replace(b'"number": 0', b'"number": NaN')), "number"),
    "too large": (_raw(message(0).body + b" " * MAX_BODY), "too large"),
}
"""Messages by what is wrong with them, and the error of each."""

UNHANDLED = {
    "a number that the database cannot hold": (_data(number=10**30), "failed with"),
    "a number of ten thousand digits": (_data(number=int("9" * 4000)), "failed with"),
    "a character that the database cannot hold": (_data(note="a\0b"), "failed with"),
}
"""Messages that can be read, but whose handler fails in the same way each time: one attempt is enough."""


async def test_bad_messages_are_parked_and_others_flow_on(toys: Toys) -> None:
    """Each bad message is parked with the reason and has no effect; the good ones between them have theirs."""
    bad = UNREADABLE | UNHANDLED
    refunds = await toys.refunds()
    mixed: list[Message] = []
    for number, (body, _) in enumerate(bad.values()):
        mixed += [body, message(number)]
    async with refunds.consuming():
        await toys.send(*mixed)
        await becomes(refunds.effects, list(range(len(bad))))
    async with refunds.database.connection() as connection:
        parked = await connection.fetch("select body, error from parked")
    errors = {row["body"]: row["error"] for row in parked}
    assert len(parked) == len(errors) == len(bad)
    assert await refunds.count("failures")() == 0
    for name, (sent, reason) in bad.items():
        assert reason in errors[sent.body[:MAX_BODY]], name
