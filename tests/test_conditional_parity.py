"""Conditional parity: Berkeley's admissions, closed forms of single strata, coverage and error rates in simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import labkit as lk
from labkit.core import intervals, ratios, strata
from labkit.views._static import svg

# Bickel, Hammel and O'Connell, 1975, doi 10.1126/science.187.4175.398: admitted and applied, departments A to F.
MEN = [(512, 825), (353, 560), (120, 325), (138, 417), (53, 191), (22, 373)]
WOMEN = [(89, 108), (17, 25), (202, 593), (131, 375), (94, 393), (24, 341)]


def people(**tables: list[tuple[int, int]]) -> pd.DataFrame:
    """One row a person, from (hits, of) by stratum for each group."""
    found = [
        (group, chr(ord("A") + k), int(i < hits))
        for group, cells in tables.items()
        for k, (hits, of) in enumerate(cells)
        for i in range(of)
    ]
    return pd.DataFrame(found, columns=["sex", "department", "label"])


def predictions(frame: pd.DataFrame, groups=("sex", "department")) -> lk.Predictions:
    return lk.Predictions.from_frame(frame, y=None, label="label", groups=list(groups))


def parity(frame: pd.DataFrame, **options):
    return lk.conditional_parity(predictions(frame), "sex", ["department"], **{"replicates": 400, **options})


@pytest.fixture(scope="module")
def berkeley():
    return parity(people(men=MEN, women=WOMEN), replicates=2000)


def test_berkeleys_gap_goes_away_within_departments(berkeley) -> None:
    """1,198 of 2,691 men and 557 of 1,835 women; the uncorrected Cochran-Mantel-Haenszel statistic is 1.5246."""
    w = list(berkeley.group).index("women")
    assert berkeley.group[berkeley.reference] == "men"
    assert (berkeley.hits[w], berkeley.of[w]) == (557, 1835)
    assert berkeley.crude[w] == pytest.approx(557 / 1835 - 1198 / 2691) and berkeley.crude_high[w] < -0.1
    assert berkeley.deviations[w] ** 2 == pytest.approx(1.5246, abs=5e-5)
    assert berkeley.adjusted[w] > 0 and berkeley.adjusted_low[w] < 0 < berkeley.adjusted_high[w]
    assert berkeley.p[w] == pytest.approx(stats.chi2.sf(1.5246, 1), abs=0.03)
    assert berkeley.p_homogeneity[w] < 0.02, "department A is another story"
    assert parity(people(men=MEN[1:], women=WOMEN[1:])).p_homogeneity[w] > 0.2
    said = lk.says(berkeley)
    assert "-0.14 (-0.17 to -0.11)" in said and "no more than chance" in said and "may" not in said.split(". ")[0]
    assert berkeley.association > 0.4 > berkeley.association95 and "already shaped the factor" in said


def test_the_estimate_is_the_weighted_mean_of_the_strata(berkeley) -> None:
    (a, m), (b, t) = np.array(WOMEN, float).T, np.array(MEN, float).T
    weight = m * t / (m + t)
    w = list(berkeley.group).index("women")
    assert berkeley.adjusted[w] == pytest.approx(np.average(a / m - b / t, weights=weight))
    assert berkeley.adjusted_ratio[w] == pytest.approx((a * t / (m + t)).sum() / (b * m / (m + t)).sum())
    assert np.allclose(berkeley.stratum_difference[w], a / m - b / t)


def test_one_stratum_is_the_plain_comparison() -> None:
    value, low, high = strata.common_ratio([30], [80], [50], [90])
    assert (value, low, high) == pytest.approx((30 / 80 / (50 / 90), *map(float, ratios.log_ratio(30, 80, 50, 90))))
    difference, below, above = (float(v) for v in strata.common_difference([30], [80], [50], [90]))
    wald = 1.96 * np.sqrt(30 * 50 / 80**3 + 50 * 40 / 90**3)
    assert difference == pytest.approx(30 / 80 - 50 / 90) and (above - below) / 2 == pytest.approx(wald, rel=0.01)
    z = strata.deviations(np.array([[30], [50]]), np.array([[80], [90]]), 1)[0]
    chi = stats.chi2_contingency([[30, 50], [50, 40]], correction=False).statistic
    assert z**2 == pytest.approx(chi * 169 / 170)


def test_nobody_and_everybody_keep_an_interval_and_empty_strata_count_nothing() -> None:
    value, low, high = strata.common_difference([0, 0], [20, 30], [0, 0], [25, 25])
    assert value == 0 and low < -0.05 and high > 0.05
    with_empty = strata.common_difference([5, 7, 9], [20, 30, 40], [6, 8, 0], [25, 25, 0])
    assert np.allclose(with_empty, strata.common_difference([5, 7], [20, 30], [6, 8], [25, 25]))
    assert np.isnan(strata.common_ratio([0, 0], [20, 30], [3, 4], [25, 25])[1])
    assert np.isnan(strata.homogeneity([5], [20], [6], [25], 100, np.random.default_rng(0)))


@pytest.mark.parametrize(("count", "least", "most"), [(3, 60, 200), (40, 2, 6)])
def test_coverage_with_few_large_and_many_small_strata(count: int, least: int, most: int) -> None:
    generator = np.random.default_rng(count)
    m, t = generator.integers(least, most, (2, count))
    base, truth = generator.uniform(0.2, 0.6, count), 0.15
    a, b = generator.binomial(m, base + truth, (4000, count)), generator.binomial(t, base, (4000, count))
    _, low, high = strata.common_difference(a, m, b, t)
    assert 0.93 < np.mean((low <= truth) & (truth <= high)) < 0.97
    a = generator.binomial(m, base * 1.3, (4000, count))
    _, low, high = strata.common_ratio(a, m, b, t)
    assert 0.93 < np.mean((low <= 1.3) & (high >= 1.3)) < 0.97


def test_one_common_difference_is_rarely_called_uneven() -> None:
    """Groups of unequal size and strata of unequal base rates, one true difference: p-values are spread evenly."""
    generator = np.random.default_rng(8)
    m, t, base = np.array([300, 200, 400, 100]), np.array([60, 50, 30, 90]), np.array([0.02, 0.1, 0.2, 0.3])
    found = []
    for _ in range(120):
        a, b = generator.binomial(m, base + 0.4), generator.binomial(t, base)
        found.append(strata.homogeneity(a, m, b, t, 200, generator))
    assert stats.kstest(found, "uniform").pvalue > 0.01 and np.mean(np.array(found) < 0.05) < 0.11


def test_permutations_follow_the_exact_distribution() -> None:
    """Two strata, every table enumerated: the share of deals as far from equality."""
    hits, n = np.array([[7, 3], [4, 8]]), np.array([[12, 11], [9, 14]])
    own = strata.deviations(hits, n, 1)[0]
    null = strata.permuted_deviations(hits, n, 1, 20_000, np.random.default_rng(0))[:, 0]
    deals = [stats.hypergeom(n[:, k].sum(), hits[:, k].sum(), n[0, k]) for k in (0, 1)]
    exact = 0.0
    for first in range(12):
        for second in range(12):
            table = np.array([[first, second], hits.sum(0) - [first, second]])
            chance = deals[0].pmf(first) * deals[1].pmf(second)
            if chance and abs(strata.deviations(table, n, 1)[0]) >= abs(own) - 1e-9:
                exact += chance
    assert (np.abs(null) >= abs(own) - 1e-9).mean() == pytest.approx(exact, abs=0.012)
    assert null.std() == pytest.approx(1, abs=0.02)


def test_a_gap_that_the_factor_makes_is_no_gap_and_a_planted_one_is_found() -> None:
    """Four groups who differ in a factor that alone decides; then one of them is treated otherwise within it."""
    generator, false_alarms, uneven, found = np.random.default_rng(3), 0, 0, 0
    for seed in range(25):
        group = generator.integers(0, 4, 1500)
        factor = generator.binomial(3, 0.2 + 0.15 * group)
        chance = np.array([0.1, 0.3, 0.5, 0.8])[factor]
        frame = pd.DataFrame({"sex": group.astype(str), "department": factor.astype(str)})
        sound = parity(frame.assign(label=generator.binomial(1, chance)), seed=seed, replicates=200)
        false_alarms += np.nanmin(sound.p_family) < 0.05
        uneven += np.nanmin(intervals.holm(sound.p_homogeneity)) < 0.05
        planted = np.clip(chance - 0.15 * (group == 3), 0, 1)
        found += np.nanmin(parity(frame.assign(label=generator.binomial(1, planted)), seed=seed).p_family) < 0.05
    assert false_alarms <= 4 and uneven <= 4 and found >= 21


def test_numbers_come_from_a_table_in_bands_and_the_metric_may_be_any_proportion() -> None:
    generator = np.random.default_rng(0)
    sex, priors = generator.choice(["m", "f"], 800), generator.poisson(3, 800)
    frame = pd.DataFrame({"sex": sex, "priors": priors, "y": generator.integers(0, 2, 800)})
    frame = frame.assign(label=(priors + generator.normal(0, 2, 800) > 3).astype(int))
    p = lk.Predictions.from_frame(frame, y="y", label="label", groups=["sex"])
    table = lk.data.from_frame(frame[["priors"]])
    record = lk.conditional_parity(p, "sex", ["priors"], "true_positive_rate", data=table, bands=3, replicates=200)
    assert 2 <= len(record.stratum) <= 5 and record.of.sum() == frame.y.sum()
    assert record.cell_of.sum() == record.of.sum() and (record.cell_hits.sum(1) == record.hits).all()
    with pytest.raises(lk.Refused, match="no proportion"):
        lk.conditional_parity(p, "sex", ["priors"], "f1", data=table)
    with pytest.raises(lk.Refused, match="prior"):
        lk.conditional_parity(p, "sex", ["prior"], data=table)
    with pytest.raises(lk.Refused):
        lk.conditional_parity(p, "sex", ["priors"], data=table[:10])
    with pytest.raises(lk.Refused, match="against a group"):
        lk.conditional_parity(p, "sex", ["priors"], data=table, reference="x")


def test_strata_without_overlap_are_counted_out_and_unknown_people_too() -> None:
    frame = people(men=[(30, 60), (10, 40), (0, 0)], women=[(20, 50), (0, 0), (25, 30)])
    frame.loc[:3, "department"] = None
    record = parity(frame)
    w = list(record.group).index("women")
    assert record.unknown == 4 and record.left_out[w] == 70
    assert record.adjusted[w] == pytest.approx(20 / 50 - 26 / 56)
    assert record.apart(w) == ["B", "C"]
    assert "70 people are in strata where only one of the two groups is (B, C)" in lk.says(record)
    apart = parity(people(men=[(30, 60), (0, 0)], women=[(0, 0), (25, 50)]))
    assert apart.status == "not_measured" and "strata in which both are" in lk.says(apart)
    small = parity(people(men=[(30, 60)], women=[(5, 9)]))
    assert small.status == "not_measured" and not small.ranked[list(small.group).index("women")]


def test_counted_rows_say_what_single_rows_say() -> None:
    frame = people(men=MEN[2:4], women=WOMEN[2:4])
    cells = frame.value_counts().reset_index()
    counted = replace(predictions(cells), count=cells["count"].to_numpy())
    a = parity(frame)
    b = lk.conditional_parity(counted, "sex", ["department"], replicates=400)
    for name in ("n", "hits", "of", "crude", "adjusted", "adjusted_low", "p", "p_homogeneity", "association"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True), name


def test_the_check_says_meets_only_where_one_number_says_it(berkeley, tmp_path) -> None:
    (uneven,) = lk.check(berkeley)
    assert uneven.status == "inconclusive" and "Strata differ" in uneven.says
    many = [(400, 1000), (300, 1000)]
    (alike,) = lk.check(parity(people(men=many, women=many)))
    assert alike.status == "meets" and alike.estimate == 0
    (gap,) = lk.check(parity(people(men=many, women=[(200, 1000), (100, 1000)])))
    assert gap.status == "does_not_meet" and gap.high < -0.1
    assert "women minus men" in svg(lk.figure(berkeley), name="f")
    table = lk.rows(berkeley)
    assert len(table) == 2 + 12 and table[table.stratum == "all"].of.sum() == 4526
    assert lk.load(lk.save(berkeley, tmp_path / "r.lk")).digest == berkeley.digest
