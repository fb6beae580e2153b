"""A model of what each piece of an order costs: it deals with each piece alone, in fractions."""

from collections.abc import Iterable
from fractions import Fraction

T = tuple[str, int, int]
"""A line: product, quantity, price of one piece."""


def piece_prices(lines: Iterable[T], discount: int) -> dict[str, list[int]]:
    """What each piece costs: its share of the discount rounded down, and the rupiah that are left go to the largest
    remainders, the first line and piece first."""
    prices = [(product, price) for product, quantity, price in lines for _ in range(quantity)]
    exact = [Fraction(price * discount, sum(price for _, price in prices)) for _, price in prices]
    less = [int(share) for share in exact]
    for index in sorted(range(len(prices)), key=lambda index: less[index] - exact[index])[: discount - sum(less)]:
        less[index] += 1
    nets: dict[str, list[int]] = {product: [] for product, _ in prices}
    for (product, price), share in zip(prices, less, strict=True):
        nets[product].append(price - share)
    return nets
