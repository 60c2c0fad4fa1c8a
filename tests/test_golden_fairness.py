"""Published and long known numbers of fairness through the public face, where test_groups, test_impact_ratios and
test_conditional_parity do not hold them already."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.core import ratios, resampling

# Bickel, Hammel and O'Connell, 1975, doi 10.1126/science.187.4175.398: admitted and applied, six departments together.
BERKELEY = {"men": (1198, 2691), "women": (557, 1835)}
# 6 RCNY 5-301, the worked example: the ratios beside Hispanic, 18 of 28, with their log intervals.
RATIOS = {
    "White": (15, 40, 0.58, 0.36, 0.95),
    "Black": (16, 32, 0.78, 0.50, 1.21),
    "Pacific Islander": (5, 8, 0.97, 0.53, 1.78),
    "Asian": (10, 24, 0.65, 0.37, 1.12),
}


def chosen(**counts: tuple[int, int]) -> lk.Predictions:
    """Everybody who is considered, of whom the first are selected."""
    frame = pd.DataFrame(
        [(name, int(i < hits)) for name, (hits, n) in counts.items() for i in range(n)], columns=["group", "label"]
    )
    return lk.Predictions.from_frame(frame, y=None, label="label", groups=["group"])


def base_rates(frame: pd.DataFrame, y: str, by: str, positive) -> dict[str, tuple[int, float]]:
    """People and their share of the positive class by group, of an audit in which the truth is the answer."""
    p = lk.Predictions.from_frame(frame, y=y, label=y, groups=[by], classes=sorted(frame[y].unique()))
    found = lk.audit_groups(p, ["selection_rate"], by=[by], positive=positive, replicates=100)
    assert np.array_equal(found.value[0], found.base_rate) and found.perfect[0, 0] == found.difference[0, 0]
    return {str(g): (int(n), float(v)) for g, n, v in zip(found.group, found.n, found.base_rate)}


def test_german_credits_bad_risks_by_sex_and_age() -> None:
    german = lk.data.load("german")
    frame = pd.concat([pd.DataFrame({"y": part.y, **part.groups}) for part in (german.train, german.test)])
    sexes = base_rates(frame, "y", "sex", 1)
    assert {g: (n, round(v, 3)) for g, (n, v) in sexes.items()} == {"female": (310, 0.352), "male": (690, 0.277)}
    table = lk.data.table("german")
    young = table.assign(young=np.where(table.age <= 25, "25 or less", "older"))
    n, rate = base_rates(young, "risk", "young", "2")["25 or less"]
    assert (n, round(rate, 3)) == (190, 0.421)


def test_adults_ratio_is_far_below_four_fifths() -> None:
    p = lk.Predictions.from_frame(lk.data.table("adult"), y=None, label="income", groups=["sex"])
    found = lk.impact_ratios(p, ["sex"], positive=">50K", replicates=100)
    assert found.n_total == 48_842 and np.round(found.rate, 4).tolist() == [0.1093, 0.3038]
    assert found.ratio[0] == pytest.approx(0.1093 / 0.3038, abs=2e-4) and found.ratio_high[0] < 0.4


@pytest.mark.parametrize(("filtered", "precision"), [(False, [0.6297, 0.5913]), (True, [0.6495, 0.5948])])
def test_compas_is_as_precise_for_both_races_where_its_errors_differ(filtered: bool, precision: list[float]) -> None:
    """ProPublica's tables and Northpointe's answer to them: 63 and 59 % of those called high risk are arrested again."""
    frame = lk.data.table("compas")
    if filtered:
        kept = frame.days_b_screening_arrest.between(-30, 30) & (frame.is_recid != -1) & (frame.c_charge_degree != "O")
        frame = frame[kept & (frame.score_text != "N/A")]
    frame = frame[frame.race.isin(["African-American", "Caucasian"])].assign(high=lambda f: (f.decile_score >= 5) * 1)
    p = lk.Predictions.from_frame(frame, y="two_year_recid", label="high", groups=["race"])
    found = lk.audit_groups(p, ["precision", "false_positive_rate"], by=["race"], replicates=200)
    assert np.round(found.value[0], 4).tolist() == precision
    assert found.difference[0, 0] < 0.06 < 0.19 < found.difference[1, 0]


def test_berkeleys_rates_together() -> None:
    found = lk.impact_ratios(chosen(**BERKELEY), ["group"], replicates=200)
    assert np.round(100 * found.rate, 1).tolist() == [44.5, 30.4]
    assert found.ratio[1] == pytest.approx(0.682, abs=5e-4) and found.p[1] < 1e-15
    # the chi-square of the two by two table, 92.2 uncorrected
    assert found.deviations[1] ** 2 == pytest.approx(92.2, abs=0.05)


def test_the_log_intervals_of_local_law_144s_example_and_what_the_record_says() -> None:
    record = lk.impact_ratios(chosen(Hispanic=(18, 28), **{k: v[:2] for k, v in RATIOS.items()}), ["group"])
    for name, (hits, n, ratio, low, high) in RATIOS.items():
        ends = ratios.log_ratio(hits, n, 18, 28)
        assert np.round(ends, 2).tolist() == [low, high]
        at = list(record.category).index(name)
        assert round(float(record.ratio[at]), 2) == ratio
        # the record takes score intervals where counts are as small: no wider, and they hold the same verdicts
        assert (record.ratio_high[at] < 1) == (high < 1)
        assert np.abs(np.log([record.ratio_low[at] / low, record.ratio_high[at] / high])).max() < 0.35


@pytest.mark.parametrize(
    ("groups", "size", "rate", "chance"), [(2, 200, 0.1, 0.47), (7, 50, 0.5, 0.92), (14, 2000, 0.1, 0.53)]
)
def test_four_fifths_by_chance_in_simulation_and_in_two_analyses(groups, size, rate, chance) -> None:
    """20,000 audits of equal groups, the permutations of impact_ratios, and those of audit_groups."""
    drawn = np.random.default_rng(groups).binomial(size, rate, (20_000, groups)) / size
    least = resampling.least_ratio(drawn)
    assert (least < 0.8).mean() == pytest.approx(chance, abs=0.012)
    people = chosen(**{f"g{i:02}": (round(size * rate), size) for i in range(groups)})
    # permutations keep the number selected: groups of 200 with 20 each are then nearer than groups drawn apart
    hits = np.random.default_rng(1).multivariate_hypergeometric([size] * groups, round(size * rate) * groups, 20_000)
    dealt = resampling.least_ratio(hits / size)
    record = lk.impact_ratios(people, ["group"], replicates=4000)
    assert record.null_fifths[0] == pytest.approx((dealt < 0.8).mean(), abs=0.025)
    audit = lk.audit_groups(people, ["selection_rate"], by=["group"], replicates=2000)
    for found in (record.null05[0], audit.null_ratio05[0, 0]):
        assert found == pytest.approx(np.quantile(dealt, 0.05), abs=0.03)
