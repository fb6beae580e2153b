"""The saga with FastStream and faststream-outbox."""
