"""The ledger: every transaction sums to zero, entries are never changed, and no balance is negative."""

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
"""The triggers by which the database guarantees that transactions sum to zero and that the ledger is append-only."""


async def broken(stores: Stores) -> list[str]:
    """Unbalanced transactions, negative balances, impossible movements, disabled triggers."""
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
        *(f"account {one['account']} of buyer {one['buyer_id']} has the balance {one['balance']}" for one in overdrawn),
        *(f"refund {one['refund_id']} has the transactions {one['kinds']}" for one in ways),
        *(f"the ledger moved another amount than refund {one['refund_id']} has" for one in amounts),
        *(f"the guard {name} of {table} is off" for name, table in sorted(GUARDED - guards)),
    ]
