"""Student's t against scipy's, far out and for degrees that are no whole numbers."""

import numpy as np
import pytest
from scipy import stats

from dspark_bench.metrics.student import both_tails, two_sided, two_sided_95, two_sided_many


def test_the_published_table() -> None:
    published = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 7: 2.365, 12: 2.179, 30: 2.042}
    assert {n: round(two_sided_95(n), 3) for n in published} == published


@pytest.mark.parametrize("share", [0.5, 0.95, 1 - 0.05 / 66 / 5])
def test_quantiles_are_scipys(share: float) -> None:
    degrees = [1, 1.3, 2, 3.7, 20, 99.5, 5000]
    found = [two_sided(share, n) for n in degrees]
    np.testing.assert_allclose(found, stats.t.ppf((1 + share) / 2, degrees), rtol=1e-8)


def test_many_quantiles_at_once() -> None:
    degrees = np.random.default_rng(0).uniform(1, 100, (20, 10))
    found = two_sided_many(0.99, degrees)
    np.testing.assert_allclose(found, stats.t.ppf(0.995, degrees), rtol=1e-4)


def test_tails_are_scipys() -> None:
    for t, degrees in ((0.0, 3.3), (-2.5, 3.3), (8.0, 1.0), (1.5, 400.0)):
        assert both_tails(t, degrees) == pytest.approx(2 * stats.t.sf(abs(t), degrees), rel=1e-9)
    assert both_tails(float("inf"), 4) == 0
