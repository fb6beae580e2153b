"""What each piece of an order costs, and what comes back for it. Pure; amounts are whole rupiah (M)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from operator import neg

from contracts.orders import CancelledPieces, OrderLine, Pieces, RejectionCode
from contracts.words import Rupiah
from runtime.errors import Refusal


class NotEnoughLeft(Refusal):
    """More pieces were to be cancelled than are left of a product."""

    code, title = RejectionCode.NOT_ENOUGH_LEFT.value, "Not enough pieces left"


@dataclass(frozen=True)
class Voucher:
    """A seller's discount: `amount`, or `percent` of the lines up to `cap`. For lines of at least `minimum`, before any
    discount."""

    code: str
    minimum: int
    amount: int | None = None
    percent: int | None = None
    cap: int | None = None

    def discount(self, lines: int) -> int:
        """The discount on lines of this price, at most that price."""
        if self.percent is None:
            return min(self.amount or 0, lines)
        return min(lines * self.percent // 100, lines if self.cap is None else self.cap)


class Line(OrderLine):
    """Some pieces of one product, at one price. They are cancelled from the first on."""

    net: Rupiah
    """What is to be paid for all pieces: their price less their part of the discount."""
    cancelled: int = 0
    """How many of them were cancelled while others were left."""

    @property
    def left(self) -> int:
        """The pieces that are not cancelled."""
        return self.quantity - self.cancelled

    def take(self, pieces: int) -> CancelledPieces:
        """The next so many pieces that are left. The rupiah of a discount that its pieces cannot share equally stand in
        the first of them."""
        each, more = divmod(self.quantity * self.unit_price - self.net, self.quantity)
        last = self.cancelled + pieces
        of_more = min(last, more) - min(self.cancelled, more)
        net = pieces * (self.unit_price - each) - of_more
        return CancelledPieces(product_id=self.product_id, quantity=pieces, net=net)


def gross(lines: Sequence[OrderLine]) -> int:
    """The price of the lines before any discount."""
    return sum(line.quantity * line.unit_price for line in lines)


def spread(lines: Sequence[OrderLine], discount: int) -> tuple[Line, ...]:
    """The lines with what is to be paid for them. A discount, at most the price of the lines, is spread over the pieces
    in proportion to their price, by the largest remainder; ties go by line and piece."""
    total = gross(lines)
    shares = [divmod(line.unit_price * discount, total) for line in lines]
    reduced = [line.quantity * share for line, (share, _) in zip(lines, shares, strict=True)]
    rest = discount - sum(reduced)
    for _, index in sorted((neg(remainder), index) for index, (_, remainder) in enumerate(shares)):
        more = min(rest, lines[index].quantity)
        reduced[index] += more
        rest -= more
    return tuple(
        Line(**vars(line) | {"net": line.quantity * line.unit_price - less})
        for line, less in zip(lines, reduced, strict=True)
    )


def take(lines: Sequence[Line], wanted: Sequence[Pieces] | None = None) -> tuple[CancelledPieces, ...]:
    """The pieces to cancel; all that are left if `wanted` is None. Raises `NotEnoughLeft`."""
    if wanted is None:
        return tuple(line.take(line.left) for line in lines if line.left)
    asked: Counter[object] = Counter()
    for one in wanted:
        asked[one.product_id] += one.quantity
    taken = []
    for line in lines:
        if pieces := asked.pop(line.product_id, 0):
            if pieces > line.left:
                raise NotEnoughLeft(f"Only {line.left} left of {line.title} in this order.")
            taken.append(line.take(pieces))
    if asked or not taken:
        raise NotEnoughLeft("The order has no such product.")
    return tuple(taken)


def without(lines: Sequence[Line], taken: Sequence[Pieces]) -> tuple[Line, ...]:
    """The lines once these pieces are cancelled."""
    less = {one.product_id: one.quantity for one in taken}
    return tuple(line.model_copy(update={"cancelled": line.cancelled + less.get(line.product_id, 0)}) for line in lines)


def price_left(lines: Sequence[Line], taken: Sequence[Pieces]) -> int:
    """The price, before any discount, of the pieces that are left without these."""
    return sum(line.left * line.unit_price for line in without(lines, taken))
