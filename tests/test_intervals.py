"""Intervals against closed forms, published examples, SciPy, and by how often they cover."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from labkit.core import intervals, ratios, resampling
from labkit.core.intervals import Rate


@pytest.mark.parametrize("level", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(("ours", "theirs"), [(intervals.wilson, "wilson"), (intervals.clopper_pearson, "exact")])
def test_intervals_of_a_proportion_equal_scipys(ours, theirs, level) -> None:
    for n in (1, 2, 7, 30, 1000):
        for hits in {0, 1, n // 3, n - 1, n}:
            expected = stats.binomtest(hits, n).proportion_ci(level, method=theirs)
            assert np.allclose(ours(hits, n, level), (expected.low, expected.high), atol=1e-9)


def test_the_exact_interval_takes_counts_that_are_no_whole_numbers() -> None:
    for hits, n in ((0.3, 10.0), (9.8, 10.0), (2.5, 7.3)):
        expected = stats.beta.ppf(0.025, hits, n - hits + 1), stats.beta.ppf(0.975, hits + 1, n - hits)
        assert np.allclose(intervals.clopper_pearson(hits, n), expected)


def test_nothing_out_of_nothing_is_unknown_and_never_zero() -> None:
    for function in (intervals.wilson, intervals.clopper_pearson):
        assert np.isnan(function(0, 0)).all()
        low, high = function([0, 0], [0, 10])
        assert np.isnan(low[0]) and low[1] == 0 and high[1] < 0.35
    for function in (intervals.newcombe, ratios.ratio):
        assert np.isnan(function(0, 0, 3, 10)).all()
    assert np.isnan(Rate(0, 0)) and Rate(1, 4) == 0.25


def test_a_rate_keeps_its_counts_through_a_copy() -> None:
    rate = copy.deepcopy(Rate(3, 8))
    assert (rate, rate.hits, rate.of) == (0.375, 3, 8)


@given(st.integers(1, 400), st.data())
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_its_estimate_and_narrows_with_more_people(n: int, data) -> None:
    hits = data.draw(st.integers(0, n))
    for function in (intervals.wilson, intervals.clopper_pearson):
        low, high = function(hits, n)
        wide_low, wide_high = function(hits, n, 0.99)
        more_low, more_high = function(4 * hits, 4 * n)
        assert 0 <= low <= hits / n <= high <= 1
        assert wide_low <= low and wide_high >= high
        assert more_high - more_low < high - low


# Newcombe, 1998, table II, method 10.
PUBLISHED = [
    ((56, 70, 48, 80), (0.0524, 0.3339)),
    ((9, 10, 3, 10), (0.1705, 0.8090)),
    ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)),
    ((0, 10, 0, 20), (-0.1611, 0.2775)),
    ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)),
    ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("counts", "expected"), PUBLISHED)
def test_newcombes_published_examples(counts, expected) -> None:
    assert np.allclose(intervals.newcombe(*counts), expected, atol=5e-5)


# The worked example of New York City's Local Law 144, ratios to the highest rate of each set.
LL144 = [
    ((34, 76, 50, 92), (0.60, 1.12)),
    ((15, 40, 18, 28), (0.36, 0.95)),
    ((16, 32, 18, 28), (0.50, 1.21)),
    ((5, 8, 18, 28), (0.53, 1.78)),
    ((10, 24, 18, 28), (0.37, 1.12)),
]


@pytest.mark.parametrize(("counts", "expected"), LL144)
def test_ratio_intervals_of_the_worked_example(counts, expected) -> None:
    assert np.allclose(ratios.log_ratio(*counts), expected, atol=0.005)


def test_ratio_takes_the_score_interval_where_counts_are_small() -> None:
    assert np.allclose(ratios.ratio(34, 76, 50, 92), ratios.log_ratio(34, 76, 50, 92))
    assert np.allclose(ratios.ratio(5, 8, 18, 28), ratios.score_ratio(5, 8, 18, 28))
    low, high = ratios.ratio([0, 3], [40, 3], [30, 9], [40, 10])
    assert low[0] == 0 < high[0] < 0.2 and low[1] < 1.11 < high[1]


def covered(low, high, truth) -> float:
    return float(np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("n", [20, 100, 1000])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.5])
def test_coverage_in_simulation(n: int, p: float) -> None:
    generator = np.random.default_rng(n)
    q, runs = 0.4, 20_000
    a, b = generator.binomial(n, p, runs), generator.binomial(n, q, runs)
    assert 0.925 < covered(*intervals.wilson(a, n), p) < 0.985
    assert covered(*intervals.clopper_pearson(a, n), p) > 0.948
    assert 0.935 < covered(*intervals.newcombe(a, n, b, n), p - q) < 0.975
    kept = b > 0
    assert 0.93 < covered(*ratios.ratio(a[kept], n, b[kept], n), p / q) < 0.985


@pytest.mark.parametrize("groups", [2, 5, 20])
def test_the_largest_difference_of_equal_rates_holds_zero(groups: int) -> None:
    generator = np.random.default_rng(groups)
    n = np.full(groups, 100)
    low = [intervals.largest_difference(generator.binomial(n, 0.3), n)[0] for _ in range(600)]
    assert np.mean(np.array(low) == 0) > 0.94


def test_the_largest_difference_of_unequal_rates_is_covered() -> None:
    generator, n = np.random.default_rng(1), np.array([80, 200, 400, 50])
    rates = np.array([0.2, 0.3, 0.5, 0.45])
    found = np.array([intervals.largest_difference(generator.binomial(n, rates), n) for _ in range(1000)])
    assert covered(found[:, 0], found[:, 1], 0.3) > 0.94
    assert (found[:, 0] > 0).mean() > 0.95, "an interval that never tells anything"


def test_the_largest_difference_of_means_is_covered() -> None:
    generator = np.random.default_rng(2)
    truth, hits, null = np.array([0.0, 0.3, 0.5]), 0, 0
    for _ in range(200):
        noise = generator.normal(size=3) * 0.2
        draws = generator.normal(size=(400, 3)) * 0.2
        low, high = resampling.largest_difference(draws + truth + noise, truth + noise)
        hits += low <= 0.5 <= high
        null += resampling.largest_difference(draws + noise, noise)[0] == 0
    assert hits >= 185 and null >= 183


def test_holm_by_hand_and_around_what_is_unknown() -> None:
    assert np.allclose(intervals.holm(np.array([0.01, 0.04, 0.03])), [0.03, 0.06, 0.06])
    table = np.array([[0.01, np.nan], [0.6, 0.02]])
    assert np.allclose(intervals.holm(table), [[0.03, np.nan], [0.6, 0.04]], equal_nan=True)
    assert intervals.holm(np.array([0.9, 0.8])).max() == 1


def test_permuted_tables_keep_margins_and_follow_the_hypergeometric() -> None:
    table = np.array([[8, 2, 5], [1, 9, 5], [3, 3, 14]])
    drawn = resampling.permuted_tables(table, 4000, np.random.default_rng(0))
    assert (drawn.sum(2) == table.sum(1)).all() and (drawn.sum(1) == table.sum(0)).all()
    sampler = stats.random_table(table.sum(1), table.sum(0), seed=1)
    other = sampler.rvs(4000)
    assert np.abs(drawn.mean(0) - sampler.mean()).max() < 0.12
    assert np.abs(drawn.var(0) - other.var(0)).max() < 0.25


def test_permuted_rows_stay_in_their_stratum() -> None:
    code, strata = np.array([0, 0, 1, 1, 2, 2, 2]), np.array([0, 1, 0, 1, 0, 1, 1])
    generator = np.random.default_rng(0)
    seen = np.array([resampling.permuted(code, strata, generator) for _ in range(500)])
    for stratum in (0, 1):
        assert (np.sort(seen[:, strata == stratum]) == np.sort(code[strata == stratum])).all()
    assert all(len(set(column)) == len(set(code[strata == s])) for column, s in zip(seen.T, strata))


def test_the_exact_test_equals_fishers_and_counts_every_deal() -> None:
    for counts, n in (([4, 2], [8, 8]), ([5000, 4300], [10000, 10000]), ([0, 5], [9, 9])):
        a, b = counts
        expected = stats.fisher_exact([[a, n[0] - a], [b, n[1] - b]]).pvalue
        assert resampling.exact_difference(np.array(counts), np.array(n)) == pytest.approx(expected, rel=1e-6)
    deals = stats.random_table([6, 10], [5, 11], seed=0).rvs(20_000)[:, :, 0] / [6, 10]
    share = np.mean(np.abs(deals[:, 0] - deals[:, 1]) >= abs(4 / 6 - 1 / 10) - 1e-12)
    assert resampling.exact_difference(np.array([4, 1]), np.array([6, 10])) == pytest.approx(share, abs=0.01)


def test_bias_corrected_intervals_cover_a_skewed_statistic_and_one_that_resampling_shifts() -> None:
    generator = np.random.default_rng(3)
    skewed = shifted = 0
    for _ in range(300):
        x = generator.exponential(size=60)
        means = generator.choice(x, (400, 60)).mean(1)
        low, high = resampling.bias_corrected(means, x.mean())
        skewed += low <= 1 <= high
        z = generator.normal(size=(10, 40)).mean(1)
        again = np.abs(z + generator.normal(size=(400, 10)) / np.sqrt(40)).mean(1)
        low, high = resampling.bias_corrected(again, np.abs(z).mean())
        shifted += low < 0.06
    assert skewed > 270 and shifted > 270
    assert np.isnan(resampling.bias_corrected(np.full(100, np.nan), 0.5)).all()


def test_a_p_value_from_draws_is_never_zero() -> None:
    assert resampling.share_as_large(np.zeros(99), 1.0) == 0.01
    assert resampling.share_as_large(np.zeros(99), 0.0) == 1.0
