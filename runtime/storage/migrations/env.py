"""Alembic's environment, one for all services: it runs on the connection of `runtime.storage.schema`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
with context.begin_transaction():
    context.run_migrations()
