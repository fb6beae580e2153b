"""The conversations: messages are numbered 1 to n, and no system message appears twice. Notifications have
no gaps before the last one; the oldest are deleted."""

from batalkan.invariants.stores import Stores

_GAPS = """
select {id} as id, c.last_seq, count(m.seq) as messages from {conversations} c left join messages m using ({id})
group by {id}, c.last_seq
having count(m.seq) <> c.last_seq or coalesce(min(m.seq), 1) <> 1 or coalesce(max(m.seq), 0) <> c.last_seq
"""
# A case may be about several orders, one after the other.
_TWICE = """
select {id} as id, code, count(*) as times from messages
where code in ('order_cancelled', 'items_cancelled', 'refund_issued')
group by {id}, code, coalesce(data ->> 'refund_id', data ->> 'cancellation_id') having count(*) > 1
"""
_NOTIFICATIONS = """
select account_id, p.last_seq, count(seq) as notifications from people p join notifications n using (account_id)
group by account_id, p.last_seq having count(seq) <> p.last_seq - min(seq) + 1 or max(seq) <> p.last_seq
"""
CONVERSATIONS = {"chat": ("thread", "threads"), "cs": ("case", "cases")}


async def broken(stores: Stores) -> list[str]:
    """Conversations with gaps, and duplicate system messages."""
    found = []
    for service, (word, table) in CONVERSATIONS.items():
        if stores.have(service):
            names = {"id": f"{word}_id", "conversations": table}
            found += await stores.found(
                service,
                (
                    _GAPS.format(**names),
                    f"{word} {{id}} has {{messages}} messages, but its last number is {{last_seq}}",
                ),
                (_TWICE.format(**names), f"{word} {{id}} has {{code}} {{times}} times for one event"),
            )
    if stores.have("notifications"):
        text = "account {account_id} has {notifications} notifications, but its last number is {last_seq}"
        found += await stores.found("notifications", (_NOTIFICATIONS, text))
    return found
