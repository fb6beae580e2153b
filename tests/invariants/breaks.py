"""How each invariant is broken by hand."""

BREAKS = {
    "refunds.ledger_entries": {
        "a ledger transaction does not sum to zero": (
            "update ledger_entries set amount = amount + 1 where account = 'lazada_credit'",
            "entries, which sum to 1",
        ),
        "money went to another account": (
            "update ledger_entries set buyer_id = 'ffffffff-ffff-4fff-bfff-ffffffffffff', amount = -amount where "
            "account = 'lazada_credit'",
            "account lazada_credit of buyer ffffffff",
        ),
    },
    "refunds.refunds": {
        "a refund of another amount": (
            "update refunds set amount = amount + 5 where destination = 'lazada_credit'",
            "has a refund of another amount, or to another buyer",
        ),
        "no refund for a cancelled order": (
            "update refunds set cancellation_id = gen_random_uuid() where destination = 'dana'",
            "has no refund",
        ),
        "a refund that is not in the ledger": (
            "update refunds set state = 'sending' where destination = 'dana'",
            "is sending, but the ledger disagrees",
        ),
        "another payment at DANA": (
            "update refunds set refund_id = gen_random_uuid() where destination = 'dana'",
            "but should not have",
        ),
        "DANA was called more often than decided": (
            "update refunds set attempts = 0 where destination = 'dana'",
            "but refunds decided on 0",
        ),
    },
    "orders.order_history": {
        "shipped and cancelled": (
            "insert into order_history select order_id, version + 1, 'shipped', clock_now() from orders where "
            "status = 'cancelled'",
            "is cancelled, and has shipped",
        ),
    },
    "orders.orders": {
        "a version that jumps": (
            "update orders set version = version + 1 where status = 'delivered'",
            "is impossible",
        ),
        "a cancelled order without a cancellation": (
            "update orders set status = 'cancelled' where status = 'delivered'",
            "cancelled without a cancellation, or the other way round",
        ),
        "cancelled pieces that were not refunded": (
            "update orders set lines = jsonb_set(lines, '{0,cancelled}', '1') where voucher is not null",
            "refund 119330, but 59665 is due",
        ),
        "a cancelled order of which something was kept": (
            "update orders set paid_amount = paid_amount + 5, total = total + 5 where status = 'cancelled'",
            "refund 189000, but 189005 is due",
        ),
        "a refund for an order that was never paid": (
            "update orders set paid_amount = 0 where voucher is not null",
            "refund 119330, but 0 is due",
        ),
        "an unpaid order that holds its stock for ever": (
            "update orders set status = 'unpaid' where status = 'delivered'",
            "is not paid and does not expire",
        ),
    },
    "orders.cancellations": {
        "a paid order that expired": (
            "update cancellations set channel = 'system', reason = 'not_paid' where channel = 'cs'",
            "was cancelled because it was not paid, and is paid",
        ),
        "a refund that an order does not show": (
            "update cancellations set refund_state = 'sending' where destination = 'dana'",
            "orders does not know issued refund",
        ),
        "a part that refunds too much": (
            "update cancellations set refund_amount = refund_amount + 1 where lines is not null",
            "refund 119331, but 119330 is due",
        ),
        "cancelled before its time to ship": (
            "update cancellations set channel = 'system', reason = 'not_shipped' where channel = 'cs'",
            "because it was not shipped, before its time was over",
        ),
        "cancelled for silence before the time": (
            "update cancellations set at = at - interval '1 hour' where channel = 'cs'",
            "was cancelled at",
        ),
    },
    "orders.vouchers": {
        "a voucher whose use was not given back": (
            "update vouchers set used = used + 1",
            "is counted as used by 2, but 1 live orders have it",
        ),
    },
    "orders.deadlines": {
        "an order that is never shipped": (
            "delete from deadlines where kind = 'ship_by'",
            "is not shipped, and has no deadline that cancels it",
        ),
    },
    "orders.products": {
        "a piece of stock is gone": (
            "update products set stock = stock - 1 where offered = 10",
            "10 were offered, 8 are left, 1 are ordered",
        ),
        "pieces that were not given back": (
            "update products set stock = stock - 2 where offered = 20",
            "20 were offered, 17 are left, 1 are ordered",
        ),
    },
    "chat.messages": {
        "a gap in a thread": (
            "update messages set seq = seq + 10",
            "messages, but its last number is",
        ),
    },
    "notifications.notifications": {
        "a gap in a list": (
            "update notifications set seq = seq + 10 where seq = 2",
            "notifications, but its last number is",
        ),
    },
    "cs.messages": {
        "news told twice": (
            "update messages set code = 'refund_issued', data = '{\"refund_id\": \"x\"}' "
            "where code in ('agent_joined', 'order_handed_over')",
            "has refund_issued 2 times for one event",
        ),
        "a part told twice": (
            "update messages set code = 'items_cancelled', data = '{\"cancellation_id\": \"x\"}' "
            "where code in ('agent_joined', 'order_handed_over')",
            "has items_cancelled 2 times for one event",
        ),
        "a seller found silent too early": (
            "update messages set at = at - interval '1 hour' where code = 'seller_silent'",
            "counts its seller as silent at",
        ),
        "a deadline that fired after it was called off": (
            "update messages set code = 'order_packed' where code = 'seller_contacted'",
            "silent twice, or after the call-off",
        ),
    },
    "refunds.inbox": {
        "an event that had no effect": (
            "delete from inbox where event_id = (select event_id from inbox limit 1)",
            "refunds still has to consume 1 of {all} events",
        ),
        "an event that had two effects": (
            "insert into inbox values (gen_random_uuid())",
            "refunds consumed {more} events, but only {all} were published for it",
        ),
    },
    "chat.orders_known": {
        "an order that chat has missed": (
            "update orders_known set status_rank = 1 where status_rank = 4",
            "as processing",
        ),
    },
    "chat.refunds_known": {
        "a refund of a part that chat has missed": (
            "update refunds_known set amount = null where amount = 119330",
            "chat does not know issued refund",
        ),
    },
    "cs.accounts": {
        "a name that customer service does not know": (
            "update accounts set name = name || '?'",
            "cs has account",
        ),
    },
    "cs.cases": {
        "a seller whose silence ends nothing": (
            "update cases set state = 'awaiting_seller', outcome = null",
            "waits for its seller, and nothing ends the wait",
        ),
    },
    "cs.deadlines": {
        "a deadline that no service fires": (
            "insert into deadlines values ('lost', '1', now() - interval '1 hour', 0, gen_random_uuid(), "
            "gen_random_uuid(), '')",
            "deadlines that are overdue",
        ),
    },
}
"""By service and table: what is wrong, the change that makes it so, and words of the checker."""
