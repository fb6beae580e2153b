"""Refunds, the ledger that they move money in, and the linked wallets."""

from alembic import op

revision = "0001_refunds"
down_revision = None
branch_labels = ("refunds",)

TABLES = (
    """
    create table dana_links (
        buyer_id uuid primary key,
        phone text not null,
        linked_at timestamptz not null default clock_now()
    )
    """,
    """
    create table refunds (
        refund_id uuid primary key,
        cancellation_id uuid not null unique,
        order_id uuid not null unique,
        buyer_id uuid not null,
        amount bigint not null check (amount > 0),
        destination text not null check (destination in ('lazada_credit', 'dana')),
        state text not null check (state in ('pending', 'sending', 'issued')),
        phone text,
        attempts integer not null default 0,
        inquiries integer not null default 0,
        uncertain boolean not null default false,
        doubtful_until timestamptz,
        wallet_closed boolean not null default false,
        opened_at timestamptz not null default clock_now()
    )
    """,
    "create index refunds_of_buyer on refunds (buyer_id, refund_id desc)",
    """
    create table ledger_transactions (
        transaction_id uuid primary key,
        refund_id uuid not null references refunds,
        kind text not null check (kind in ('credit', 'send', 'settle', 'return')),
        at timestamptz not null default clock_now(),
        unique (refund_id, kind)
    )
    """,
    """
    create table ledger_entries (
        transaction_id uuid not null references ledger_transactions,
        account text not null check (account in ('cancelled_orders', 'lazada_credit', 'dana_in_transit', 'dana')),
        buyer_id uuid not null,
        amount bigint not null check (amount <> 0),
        primary key (transaction_id, account)
    )
    """,
    "create index ledger_credit on ledger_entries (buyer_id) include (amount) where account = 'lazada_credit'",
    """
    create function ledger_balances() returns trigger language plpgsql as $$
    begin
        if exists (select from added group by transaction_id having sum(amount) <> 0) then
            raise exception 'a ledger transaction does not sum to zero' using errcode = 'check_violation';
        end if;
        return null;
    end $$
    """,
    """
    create trigger ledger_balances after insert on ledger_entries
    referencing new table as added for each statement execute function ledger_balances()
    """,
    """
    create function ledger_is_append_only() returns trigger language plpgsql as $$
    begin
        raise exception 'the ledger is only ever added to' using errcode = 'restrict_violation';
    end $$
    """,
    """
    create trigger ledger_append_only before update or delete or truncate on ledger_entries
    for each statement execute function ledger_is_append_only()
    """,
    """
    create trigger ledger_append_only before update or delete or truncate on ledger_transactions
    for each statement execute function ledger_is_append_only()
    """,
)


def upgrade() -> None:
    """Creates the tables."""
    for statement in TABLES:
        op.execute(statement)
