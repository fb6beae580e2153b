"""The saga as one would write it with FastStream and faststream-outbox."""
