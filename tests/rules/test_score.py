"""The effect of cancellations on a seller's score."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orders.score import Score


@pytest.mark.parametrize(
    ("orders", "by_seller", "rate", "rating"),
    [
        (0, 0, 0.0, 5.0),
        (1, 0, 0.0, 5.0),
        (1, 1, 1.0, 1.0),
        (100, 1, 0.01, 4.9),
        (1000, 1, 0.001, 4.9),
        (1000, 11, 0.011, 4.8),
        (3, 1, 0.3333, 1.6),
        (100, 40, 0.4, 1.0),
        (100, 41, 0.41, 1.0),
    ],
)
def test_the_rating_falls_by_a_tenth_for_each_percent(orders: int, by_seller: int, rate: float, rating: float) -> None:
    """Five points, less a tenth for each started percent of pieces that the seller cancelled, at least one."""
    score = Score(1, orders, 1, 0, 0, by_seller)
    assert (score.cancellation_rate, score.rating) == (rate, rating)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 10**9).flatmap(lambda pieces: st.tuples(st.just(pieces), st.integers(0, pieces - 1))))
def test_a_cancellation_never_helps(numbers: tuple[int, int]) -> None:
    """One more piece cancelled by the seller never raises the rating; orders cancelled by others change nothing."""
    pieces, by_seller = numbers
    before, after = Score(9, pieces, 9, 0, 0, by_seller), Score(9, pieces, 9, 0, 0, by_seller + 1)
    assert 1.0 <= after.rating <= before.rating <= 5.0
    assert 0.0 <= before.cancellation_rate <= after.cancellation_rate <= 1.0
    assert Score(9, pieces, 9, 7, 9, by_seller).rating == before.rating
    assert (before.rating < 5.0) == (by_seller > 0)


@pytest.mark.parametrize(
    ("orders", "pieces", "by_seller", "rating"), [(40, 40, 1, 4.5), (20, 40, 1, 4.2), (0, 0, 0, 5.0), (2, 2, 2, 1.0)]
)
def test_the_score_after_one_more_cancellation(orders: int, pieces: int, by_seller: int, rating: float) -> None:
    """The score after cancelling is that of one more order of average size cancelled by the seller, if there is one."""
    score = Score(orders, pieces, by_seller, 0, 0, by_seller)
    assert (
        score.after_cancelling().rating
        == score.after_cancelling(-(-pieces // orders) if orders else 3).rating
        == rating
    )
    assert score.after_cancelling(0) == score
