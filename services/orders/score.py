"""How reliable a seller is. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Score:
    """The orders received and those with a piece cancelled, by whose fault, the pieces of these orders and those
    cancelled at the seller's fault, and what follows from them. Orders that were paid or are cash on delivery count, no
    others (M)."""

    orders: int
    pieces: int
    by_seller: int
    by_buyer: int
    by_platform: int
    pieces_by_seller: int

    @property
    def cancellation_rate(self) -> float:
        """The part of all pieces that was cancelled through the seller's fault, 0 to 1."""
        return round(self.pieces_by_seller / self.pieces, 4) if self.pieces else 0.0

    @property
    def rating(self) -> float:
        """1.0 to 5.0: five, less a tenth for each percent, started percents included, of the cancellation rate (M)."""
        percents = -(-100 * self.pieces_by_seller // self.pieces) if self.pieces else 0
        return max(10, 50 - percents) / 10

    def after_cancelling(self, pieces: int | None = None) -> "Score":
        """The score if the seller cancelled one more of these orders, of so many pieces, or of average size; unchanged
        if none is left."""
        if pieces is None:
            pieces = -(-self.pieces // self.orders) if self.orders else 0
        return replace(self, pieces_by_seller=min(self.pieces_by_seller + pieces, self.pieces))
