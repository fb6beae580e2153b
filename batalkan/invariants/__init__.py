"""The invariants: what must be true in the stores of all services when nothing is in flight.

One module per topic; each returns a sentence for every violation.
"""

from batalkan.invariants.snapshot import Evidence, JournalUnreadable, Snapshot, check

__all__ = ["Evidence", "JournalUnreadable", "Snapshot", "check"]
