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
# The triggers by which the database guarantees that transactions sum to zero and that the ledger is append-only.
_GUARDS_OFF = """
select name, kept from (values ('ledger_append_only', 'ledger_entries'), ('ledger_append_only', 'ledger_transactions'),
    ('ledger_balances', 'ledger_entries')) as guard (name, kept)
where not exists (
    select from pg_trigger where tgname = name and tgrelid::regclass::text = kept and tgenabled in ('O', 'A')
)
"""


async def broken(stores: Stores) -> list[str]:
    """Unbalanced transactions, negative balances, impossible movements, disabled triggers."""
    return await stores.found(
        "refunds",
        (_UNBALANCED, "the ledger transaction {transaction_id} has {entries} entries, which sum to {sum}"),
        (_OVERDRAWN, "account {account} of buyer {buyer_id} has the balance {balance}"),
        (_WAYS, "refund {refund_id} has the transactions {kinds}"),
        (_WRONG_AMOUNTS, "the ledger moved another amount than refund {refund_id} has"),
        (_GUARDS_OFF, "the guard {name} of {kept} is off"),
    )
