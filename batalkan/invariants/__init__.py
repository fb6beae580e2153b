"""What must be true of a system in which nothing moves any more, looked up in the stores of all services.

One file for each topic; every one of them answers with a sentence for each thing that is wrong.
"""

from batalkan.invariants.snapshot import Evidence, Snapshot, check

__all__ = ["Evidence", "Snapshot", "check"]
