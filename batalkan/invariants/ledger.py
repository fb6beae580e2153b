"""The ledger: every transaction sums to zero, nothing is ever taken back, and nobody owes what they were given."""

from batalkan.invariants.stores import Stores

_UNBALANCED = """
select t.transaction_id, count(e.*) as entries, coalesce(sum(e.amount), 0)::bigint as sum
from ledger_transactions t left join ledger_entries e using (transaction_id)
group by t.transaction_id having count(e.*) <> 2 or sum(e.amount) <> 0
"""
_OVERDRAWN = """
select buyer_id, account, sum(amount)::bigint as balance from ledger_entries where account <> 'cancelled_orders'
group by buyer_id, account having sum(amount) < 0
"""
_WAYS = """
select refund_id, string_agg(kind, ', ' order by kind) as kinds from ledger_transactions group by refund_id
having array_agg(kind order by kind) not in
    (array['credit'], array['send'], array['send', 'settle'], array['return', 'send'])
"""
_WRONG_AMOUNTS = """
select distinct refund_id from ledger_entries join ledger_transactions using (transaction_id)
join refunds r using (refund_id) where abs(ledger_entries.amount) <> r.amount
    or ledger_entries.buyer_id <> r.buyer_id
"""
_GUARDS = """
select tgname, tgrelid::regclass::text as kept from pg_trigger
where tgname in ('ledger_balances', 'ledger_append_only') and tgenabled in ('O', 'A')
"""
GUARDED = {
    ("ledger_balances", "ledger_entries"),
    ("ledger_append_only", "ledger_entries"),
    ("ledger_append_only", "ledger_transactions"),
}
"""What the database itself holds: that a transaction sums to zero, and that the ledger is only ever added to."""


async def broken(stores: Stores) -> list[str]:
    """Unbalanced transactions, balances below zero, money that went no way that money goes, guards that are off."""
    unbalanced = await stores.rows("refunds", _UNBALANCED)
    overdrawn = await stores.rows("refunds", _OVERDRAWN)
    ways = await stores.rows("refunds", _WAYS)
    amounts = await stores.rows("refunds", _WRONG_AMOUNTS)
    guards = {(row["tgname"], row["kept"]) for row in await stores.rows("refunds", _GUARDS)}
    return [
        *(
            f"the ledger transaction {one['transaction_id']} has {one['entries']} entries, which sum to {one['sum']}"
            for one in unbalanced
        ),
        *(f"the account {one['account']} of buyer {one['buyer_id']} is at {one['balance']}" for one in overdrawn),
        *(f"the money of refund {one['refund_id']} moved by {one['kinds']}" for one in ways),
        *(f"the ledger moved another amount than that of refund {one['refund_id']}" for one in amounts),
        *(f"the guard {name} of {table} is off" for name, table in sorted(GUARDED - guards)),
    ]
