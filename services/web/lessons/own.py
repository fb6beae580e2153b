"""The last lesson: a consumer of the learner's own."""

_HANDLER = """\
cat > services/thanks/handlers.py <<'END'
\"\"\"The events that `thanks` consumes, and the handler of each.\"\"\"

from collections.abc import Sequence

from contracts.refunds import RefundIssued
from runtime.messaging.consumer import Handlers
from runtime.messaging.envelope import Event
from runtime.messaging.unit_of_work import Transaction
from services.thanks import store
from services.thanks.domain import Item


async def thank(tx: Transaction, issued: RefundIssued) -> Sequence[Event]:
    \"\"\"The money has arrived: keeps a word of thanks for the buyer, one for each refund.\"\"\"
    await store.add(tx, Item(issued.refund_id, issued.buyer_id, f"Thank you. Rp{issued.amount} are back."))
    return []


HANDLERS: Handlers = {RefundIssued: thank}
END"""
OWN = {
    "new": ".venv/bin/batalkan new service thanks",
    "listen": 'sed -i \'0,/"notifications")/s//"notifications", "thanks")/\' contracts/refunds.py',
    "handle": _HANDLER,
    "check": "make format contracts check\n.venv/bin/pytest tests/thanks",
    "see": "make demo",
}
"""The commands of each step; a test runs them."""
