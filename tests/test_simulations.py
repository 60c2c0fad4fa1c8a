"""Coverage, error rates and power by simulation: some cells of docs/simulations.md, drawn anew."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, norm, studentized_range

from benchmarks import _coverage as coverage
from benchmarks import _null_audits as null_audits
from labkit.core import intervals, resampling


def at_least(hits: int, runs: int, share: float) -> bool:
    """Whether so few hits could be chance (1 in 1,000) where the true share is that."""
    return bool(binomtest(hits, runs, share, alternative="less").pvalue > 0.001)


def at_most(hits: int, runs: int, share: float) -> bool:
    return bool(binomtest(hits, runs, share, alternative="greater").pvalue > 0.001)


@pytest.mark.parametrize("base", [0.1, 0.5])
def test_closed_forms_cover(base: float) -> None:
    for cell in coverage.closed(60, people=(1000,), bases=(base,)):
        held = cell.runs - cell.below - cell.above
        assert at_least(held, cell.runs, 0.93) and at_most(held, cell.runs, 0.97), cell


def test_bootstraps_cover() -> None:
    metrics = ("balanced_accuracy", "f1", "calibration_in_the_large", "mean_absolute_error")
    for cell in coverage.bootstrapped(80, metrics, people=(1000,), bases=(0.5,)):
        held = cell.runs - cell.below - cell.above
        assert at_least(held, cell.runs, 0.93) and at_most(held, cell.runs, 0.97), cell


def test_the_largest_difference_covers() -> None:
    for cell in coverage.largest_of_rates(60, groups=(2, 5), people=(300,), bases=(0.3,)):
        assert at_least(cell.runs - cell.below - cell.above, cell.runs, 0.93), cell
    for cell in coverage.largest_of_metrics(40, ("balanced_accuracy",), groups=(5,), people=(1000,)):
        assert at_least(cell.runs - cell.below - cell.above, cell.runs, 0.93), cell


def test_the_largest_difference_is_above_0_where_tukeys_test_finds_one() -> None:
    """Equal groups of many people: the studentised range decides, whose 95 % point SciPy has."""
    generator, agreed = np.random.default_rng(0), 0
    n, k = np.full(6, 4000), 6
    for _ in range(60):
        hits = generator.binomial(n, 0.4 + 0.045 * generator.random(k) * (np.arange(k) == 0))
        share, middle = hits / n, hits.sum() / n.sum()
        found = np.ptp(share) / np.sqrt(middle * (1 - middle) / 4000)
        p = studentized_range.sf(found, k, np.inf)
        low, _ = intervals.largest_difference(hits, n)
        agreed += (low > 0) == (p < 0.05) or abs(p - 0.05) < 0.02
    assert agreed >= 58


def test_far_apart_groups_have_the_interval_of_their_pair() -> None:
    """Where one pair alone can be the furthest apart, nothing was picked: the pair's own interval."""
    hits, n = np.array([200, 1000, 1800]), np.full(3, 2000)
    low, high = intervals.largest_difference(hits, n)
    assert (low, high) == pytest.approx(intervals.newcombe(1800, 2000, 200, 2000), abs=0.003)
    assert intervals.largest_difference(hits[:2], n[:2]) == pytest.approx(intervals.newcombe(1000, 2000, 200, 2000))
    noise = np.random.default_rng(1).normal(size=(2000, 3)) * 0.01
    values = np.array([0.1, 0.5, 0.9])
    half = norm.ppf(0.975) * 0.01 * np.sqrt(2)
    assert resampling.largest_difference(values + noise, values) == pytest.approx((0.8 - half, 0.8 + half), abs=0.004)


def test_the_largest_difference_is_tighter_than_all_pairs_at_once() -> None:
    hits, n = np.array([140, *[60] * 9]), np.full(10, 300)
    bonferroni, alone = (intervals.newcombe(140, 300, 60, 300, level) for level in (1 - 0.05 / 45, 0.95))
    low, high = intervals.largest_difference(hits, n)
    assert bonferroni[0] < low < alone[0] and high == pytest.approx(alone[1]) and high < bonferroni[1]


def test_the_largest_difference_of_nothing_is_not_a_number() -> None:
    low, high = intervals.largest_difference(np.array([0, 1, 2]), np.array([0, 10, 10]))
    assert np.isnan(low) and np.isnan(high)
    assert intervals.largest_difference(np.zeros(4), np.full(4, 50))[0] == 0
    assert np.isnan(resampling.largest_difference(np.ones((100, 3)), np.ones(3))).all()
    draws = np.random.default_rng(0).normal(size=(100, 3))
    draws[:60, 1] = np.nan
    assert resampling.largest_difference(draws, np.zeros(3))[0] == 0


def test_audits_of_like_groups_do_not_accuse() -> None:
    said = null_audits.alike(3)
    checks = ("disparity", "equalized_odds", "four_fifths", "worst_group")
    assert not any(said.get(f"does not meet: {check}", 0) for check in checks)
    assert said.get("p after Holm's correction below 0.05", 0) <= 1


def test_what_is_called_detectable_is_found_four_times_in_five() -> None:
    """A little less often: the exact test of few people is cautious."""
    promised, large = null_audits.curves(300, each=(1000,), gaps=(0.3,))
    promised, large = (promised, large) if promised.promised else (large, promised)
    assert 0.7 < promised.two < 0.86 and promised.ten < promised.two
    assert large.two == large.ten == 1


def test_among_few_people_no_group_counts_as_surer_than_its_size() -> None:
    """Three groups of equally many people, of which one seems sure by chance: it must not carry the difference alone."""
    values = np.array([0.5, 0.5, 0.62])
    draws = values + np.random.default_rng(0).normal(0, [0.06, 0.06, 0.005], (2000, 3))
    taken, allowed = (resampling.largest_difference(draws, values, sizes=n) for n in (None, np.full(3, 100)))
    pooled = np.sqrt((2 * 0.06**2 + 0.005**2) / 3)
    assert allowed[1] - taken[1] == pytest.approx(1.96 * (np.hypot(0.06, pooled) - np.hypot(0.06, 0.005)), abs=0.006)
    assert allowed[0] <= taken[0]
