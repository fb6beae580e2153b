"""The history of a run as JSON lines: faults, accepted cancellations, results."""

import json
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from lab.faults.outcomes import InvariantBroken

ACCEPTED, HISTORY = "accepted.jsonl", "history.jsonl"


class History:
    """Two files in a folder: `history.jsonl`, and `accepted.jsonl`, which `batalkan check --accepted` takes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.accepted: dict[UUID, UUID] = {}
        """The accepted cancellations that ended their orders: order, cancellation."""
        self.parts: dict[UUID, UUID] = {}
        """The accepted cancellations of some pieces: cancellation, order."""
        self._began = time.monotonic()
        self._history = (folder / HISTORY).open("w", buffering=1)
        self._accepted = (folder / ACCEPTED).open("w", buffering=1)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def note(self, what: str, **facts: Any) -> None:
        """Writes a line with the seconds since the run began."""
        line = {"at": round(self.seconds, 3), "what": what, **facts}
        self._history.write(json.dumps(line, default=str) + "\n")

    def accept(self, order_id: str, cancellation_id: str) -> None:
        """Records an accepted cancellation. Raises `InvariantBroken` if the order has another cancellation."""
        order, cancellation = UUID(order_id), UUID(cancellation_id)
        if self.accepted.setdefault(order, cancellation) != cancellation:
            raise InvariantBroken([f"order {order_id} was cancelled by {cancellation_id}, but before by another"])
        self._accepted.write(json.dumps({"order_id": order_id, "cancellation_id": cancellation_id}) + "\n")

    def accept_part(self, order_id: str, cancellation_id: str) -> None:
        """Records an accepted cancellation of some pieces."""
        self.parts[UUID(cancellation_id)] = UUID(order_id)
        line = {"order_id": order_id, "cancellation_id": cancellation_id, "part": True}
        self._accepted.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Closes the files."""
        self._history.close()
        self._accepted.close()
