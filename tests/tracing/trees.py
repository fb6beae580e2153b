"""The trees of spans that are expected, and how tests wait for them."""

from dataclasses import dataclass, field
from secrets import token_hex
from textwrap import dedent

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.harness.actors import Buyer
from tests.harness.waiting import becomes, eventually
from tests.tracing.receiver import Receiver


@dataclass
class Click:
    """A request of a client with a trace of its own, and the spans of all that follows."""

    receiver: Receiver
    sampled: bool = True
    trace_id: str = field(default_factory=lambda: token_hex(16))
    span_id: str = field(default_factory=lambda: token_hex(8))

    async def cancels(self, buyer: Buyer, order_id: str) -> None:
        """The buyer cancels."""
        headers = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"}
        assert (await buyer.ask("POST", f"/orders/{order_id}/cancel", headers=headers)).status_code == 200

    async def becomes(self, tree: str) -> None:
        """Waits until the spans form this tree: none is missing, doubled, or an orphan."""

        async def look() -> list[str]:
            return self.receiver.tree(self.trace_id, self.span_id)

        await becomes(look, [line for line in dedent(tree).splitlines() if line])


CLICK = """\
orders: POST /orders/{order_id}/cancel
  orders: outbox OrderCancelRequested
  orders: outbox OrderCancelled
  orders: publish orders.OrderCancelRequested
  orders: publish orders.OrderCancelled
    chat: process orders.OrderCancelled:chat
    cs: process orders.OrderCancelled:cs
    notifications: process orders.OrderCancelled:notifications
"""
REFUND = """\
    refunds: process orders.OrderCancelled:refunds
"""
ISSUED = """\
      refunds: outbox RefundIssued
      refunds: publish refunds.RefundIssued
        chat: process refunds.RefundIssued:chat
        cs: process refunds.RefundIssued:cs
        notifications: process refunds.RefundIssued:notifications
        orders: process refunds.RefundIssued:orders
"""


def deeper(tree: str, by: int) -> str:
    """The same, as part of something larger."""
    return "".join(f"{'  ' * by}{line}\n" for line in tree.splitlines())


def attributes(span: Span) -> dict[str, str | int]:
    """What it says about itself."""
    return {
        pair.key: pair.value.int_value if pair.value.HasField("int_value") else pair.value.string_value
        for pair in span.attributes
    }


def context(of: Span | Span.Link) -> tuple[str, str]:
    """The ids of its trace and of itself."""
    return of.trace_id.hex(), of.span_id.hex()


async def arrived(receiver: Receiver, name: str) -> list[Span]:
    """The spans whose name begins like this, once there are some."""

    async def look() -> list[Span]:
        return receiver.named(name)

    return await eventually(look)
