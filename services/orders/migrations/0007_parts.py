"""Adds prices less a discount, vouchers, cancellations of parts with a refund each, and the time to ship: for existing
orders three days from now."""

from alembic import op

revision = "0007_parts"
down_revision = "0006_listed"
branch_labels = None

TABLES = (
    """
    create function pieces_of(lines jsonb) returns integer language sql immutable as $$
        select coalesce(sum((line ->> 'quantity')::integer), 0)::integer from jsonb_array_elements(lines) as line
    $$
    """,
    # A line has `net` and `cancelled` now. Without them: older, so that its net is its price, and nothing is cancelled.
    """
    alter table orders
        drop constraint orders_total_check,
        add check (total >= 0),
        add column shipping_fee bigint not null default 0,
        add column discount bigint not null default 0,
        add column voucher text,
        add column voucher_minimum bigint not null default 0,
        add column ship_by timestamptz, -- null: not paid yet, or shipped
        add column parts smallint not null default 0, -- its cancellations that left some pieces
        add column pieces integer generated always as (pieces_of(lines)) stored
    """,
    "drop index orders_scored",
    "create index orders_scored on orders (seller_id) include (pieces) where paid_amount > 0 or payment_method = 'cod'",
    "update orders set ship_by = clock_now() + interval '259200 seconds' where status in ('processing', 'packed')",
    """
    insert into deadlines (kind, subject, due_at, correlation_id, causation_id, traceparent)
    select 'ship_by', order_id::text, ship_by - interval '86400 seconds', order_id, order_id,
           '00-' || replace(order_id::text, '-', '') || '-' || left(md5(order_id::text), 16) || '-01'
    from orders where ship_by is not null
    """,
    """
    create table vouchers (
        voucher_id uuid primary key,
        seller_id uuid not null,
        code text not null,
        amount bigint,
        percent smallint,
        cap bigint,
        minimum bigint not null,
        uses integer not null,
        used integer not null default 0 check (used between 0 and uses),
        unique (seller_id, code)
    ) with (fillfactor = 80)
    """,
    # The refund stands beside its cancellation now. `order_refunds` stays for replicas of the earlier version.
    """
    alter table cancellations
        drop constraint cancellations_pkey,
        add primary key (cancellation_id),
        drop constraint cancellations_cancellation_id_key,
        add column lines jsonb, -- null: all that was left
        add column pieces integer,
        add column refund_amount bigint, -- 0: no refund
        add column refund_id uuid,
        add column refund_state text,
        add column destination text,
        add column refund_sequence integer
    """,
    """
    update cancellations c
    set pieces = o.pieces, refund_amount = o.paid_amount, refund_id = r.refund_id, refund_state = r.state,
        destination = r.destination, refund_sequence = r.sequence,
        said_at = case when r.state is distinct from 'issued' then c.said_at end
    from orders o left join order_refunds r using (order_id) where o.order_id = c.order_id
    """,
    "alter table cancellations alter column pieces set not null, alter column refund_amount set not null",
    "create unique index cancellations_ended on cancellations (order_id) where lines is null",
    "create index cancellations_of_parts on cancellations (order_id) where lines is not null",
    "drop index cancellations_scored",
    "create index cancellations_scored on cancellations (seller_id, fault, order_id) include (pieces) where scored",
    """
    create function cancelled_by_an_earlier_version() returns trigger language plpgsql as $$
    declare
        o record;
    begin
        select parts, voucher, pieces, paid_amount into o from orders where order_id = new.order_id;
        if o.parts > 0 or o.voucher is not null then -- it would refund parts again, and keep the voucher
            raise exception 'order % needs a newer version of orders', new.order_id using errcode = '40001';
        end if;
        new.pieces := o.pieces;
        new.refund_amount := o.paid_amount;
        return new;
    end $$
    """,
    "create trigger cancelled_by_an_earlier_version before insert on cancellations for each row "
    "when (new.pieces is null) execute function cancelled_by_an_earlier_version()",
)


def upgrade() -> None:
    """Adds them."""
    for statement in TABLES:
        op.execute(statement)
