"""Trade-offs: the identities of the impossibility results, brute force over thresholds, populations of known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._groups.equalized import CRITERIA, Curves, implied
from labkit.views._static import svg


def people(base: dict[str, float], n: int, seed: int = 0, spread: float = 1.5) -> pd.DataFrame:
    """Calibrated scores: everybody's is their own chance, with groups of unequal base rates."""
    generator = np.random.default_rng(seed)
    parts = []
    for name, rate in base.items():
        score = 1 / (1 + np.exp(-(np.log(rate / (1 - rate)) + generator.normal(0, spread, n))))
        parts.append(pd.DataFrame({"group": name, "score": score, "y": generator.binomial(1, score)}))
    return pd.concat(parts, ignore_index=True)


def trade(frame: pd.DataFrame, **options):
    p = lk.Predictions.from_frame(frame, y="y", score="score", threshold=0.5, groups=["group"])
    return lk.trade_offs(p, "group", **{"replicates": 150, **options})


def cell(record, equal: str, metric: str) -> float:
    return float(record.gap[record.equal.index(equal), record.metrics.index(metric)])


@pytest.fixture(scope="module")
def unequal():
    return trade(people({"a": 0.55, "b": 0.3}, 3000))


def test_chouldechovas_identity_holds_in_every_row(unequal) -> None:
    """FPR = p / (1 - p) (1 - PPV) / PPV (1 - FNR), in each group, whatever was made equal."""
    at = {name: unequal.metrics.index(name) for name in CRITERIA}
    for r, name in enumerate(unequal.equal):
        base, value = unequal.base_rate, unequal.value[r]
        if np.isnan(value).any():
            continue
        precise, true = value[at["precision"]], value[at["true_positive_rate"]]
        expected = base / (1 - base) * (1 - precise) / precise * true
        assert np.allclose(value[at["false_positive_rate"]], expected), name
        right = base * true + (1 - base) * (1 - expected)
        assert np.allclose(value[at["accuracy"]], right)
        assert np.average(right, weights=unequal.n) == pytest.approx(unequal.accuracy[r])


def test_what_is_made_equal_is_equal_and_something_else_then_differs(unequal) -> None:
    for r, m in np.argwhere(unequal.made_equal):
        assert np.ptp(unequal.value[r, m]) < 1e-9, (unequal.equal[r], unequal.metrics[m])
        assert unequal.gap[r, m] == unequal.gap_low[r, m] == unequal.gap_high[r, m] == 0
    judged = [unequal.metrics.index(m) for m in ("precision", "true_positive_rate", "false_positive_rate")]
    largest = unequal.gap[:, judged].max(1)
    assert (largest > 0.03).all(), "with unequal base rates the three are never equal together"
    assert unequal.base_p < 1e-6 and (unequal.gap_low[:, judged].max(1) > 0).mean() > 0.8


@pytest.mark.parametrize("seed", range(4))
def test_the_best_thresholds_equal_those_of_brute_force(seed: int) -> None:
    """Few levels, thresholds between them in steps of a hundredth: nothing equal within a hair is right more often."""
    table = np.random.default_rng(seed).integers(3, 20, (1, 2, 4, 2))
    table[0, 0, :2, 1] += 15
    table[0, 1, :1, 1] += 25
    curves, places = Curves(table), np.linspace(0, 4, 401)
    people, positives = table[0].sum((1, 2)), table[0, :, :, 1].sum(1)
    walked = [_walk(table[0, g], places) for g in (0, 1)]
    right = [true + n - k - false for (true, false), n, k in zip(walked, people, positives)]
    for criterion in CRITERIA:
        true, false = curves.at(curves.equalized(criterion, curves.levels(criterion)))
        ours = (true + (people - positives) - false).sum()
        rates = [_rate(criterion, *walked[g], positives[g], people[g]) for g in (0, 1)]
        alike = np.abs(rates[0][:, None] - rates[1]) < 2e-3
        best = np.where(alike, right[0][:, None] + right[1], -np.inf).max()
        assert ours == pytest.approx(best, abs=1.0), criterion
        reached = [_rate(criterion, true[0, g], false[0, g], positives[g], people[g]) for g in (0, 1)]
        assert reached[0] == pytest.approx(reached[1], abs=1e-9)


def test_a_rate_that_no_level_gives_to_both_is_unknown() -> None:
    table = np.array([[[[1, 9], [2, 8]], [[9, 1], [8, 2]]]])
    curves = Curves(table)
    assert np.isnan(curves.equalized("precision", curves.levels("precision"))).all()
    assert not np.isnan(curves.equalized("selection_rate", curves.levels("selection_rate"))).any()


def _walk(table: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True and false positives at real-valued cuts, by numpy's own interpolation."""
    cuts = np.arange(len(table) + 1)
    taken = np.vstack([[0, 0], table.cumsum(0)])
    return np.interp(places, cuts, taken[:, 1]), np.interp(places, cuts, taken[:, 0])


def _rate(criterion: str, true, false, positives, people):
    negatives = people - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "selection_rate": (true + false) / people,
            "true_positive_rate": true / positives,
            "false_positive_rate": false / negatives,
            "precision": true / (true + false),
            "accuracy": (true + negatives - false) / people,
        }[criterion]


def test_rising_rates_are_met_alike_by_both_ways_of_looking() -> None:
    generator = np.random.default_rng(6)
    curves = Curves(generator.integers(0, 9, (30, 3, 12, 2)) + 1)
    for criterion in ("selection_rate", "true_positive_rate", "false_positive_rate"):
        levels = curves.levels(criterion)
        for quick, slow in zip(
            curves._rising(criterion, levels, slice(None)), curves._searched(criterion, levels, slice(None))
        ):
            assert np.allclose(quick, slow, atol=1e-6)


def test_where_a_rate_stands_still_the_better_end_of_the_stretch_is_taken() -> None:
    """Levels without a positive, or without a negative: of the cuts with the same rate one is right more often."""
    table = np.random.default_rng(7).integers(0, 3, (40, 3, 10, 2))
    table[:, :, -1] += 1
    curves = Curves(table)
    for criterion in ("true_positive_rate", "false_positive_rate"):
        levels = curves.levels(criterion)
        quick, slow = (f(criterion, levels, slice(None))[1] for f in (curves._rising, curves._searched))
        assert np.allclose(quick, slow, atol=1e-6)


def test_equal_base_rates_force_nothing() -> None:
    said, alarms = [], 0
    for seed in range(8):
        record = trade(people({"a": 0.4, "b": 0.4}, 400, seed), seed=seed, replicates=100)
        said.append(record.base_p < 0.05)
        r = record.equal.index("precision")
        alarms += int((record.gap[r, 1:4] > record.null95[r, 1:4]).any())
    assert sum(said) <= 2 and alarms <= 3
    record = trade(people({"a": 0.4, "b": 0.4}, 600, 1))
    assert "forces a trade-off" in lk.says(record) and "not shown" in lk.says(record)
    (found,) = lk.check(record)
    assert found.status == "inconclusive"


def test_calibrated_scores_under_one_threshold_have_unequal_error_rates(unequal) -> None:
    """Kleinberg, Mullainathan and Raghavan: calibration within groups, and yet not balance for either class."""
    for metric in ("true_positive_rate", "false_positive_rate"):
        m = unequal.metrics.index(metric)
        assert unequal.gap_low[unequal.equal.index("one threshold"), m] > 0.05
    (found,) = lk.check(unequal)
    assert found.status == "info" and "leaves the smallest" in found.says


def test_perfect_answers_are_the_exception() -> None:
    frame = people({"a": 0.55, "b": 0.3}, 500)
    record = trade(frame.assign(score=np.where(frame.y == 1, 0.9, 0.1)))
    for name in ("as given", "one threshold"):
        r = record.equal.index(name)
        assert np.nanmax(record.gap[r, 1:]) < 1e-12 and record.accuracy[r] == 1
    assert record.gap[0, 0] == pytest.approx(record.base_difference)
    assert record.accuracy[record.equal.index("selection_rate")] < 0.95, "parity has its price even then"


def test_without_scores_the_algebra_stands_alone(unequal) -> None:
    frame = people({"a": 0.55, "b": 0.3}, 3000)
    labelled = frame.assign(label=(frame.score >= 0.5).astype(int))
    p = lk.Predictions.from_frame(labelled, y="y", label="label", groups=["group"])
    record = lk.trade_offs(p, "group", replicates=150)
    assert record.equal == ("as given", *(name for name in unequal.equal if " + " in name))
    name = "precision + true_positive_rate"
    assert cell(record, name, "false_positive_rate") == pytest.approx(cell(unequal, name, "false_positive_rate"))
    base, (precise, true) = record.base_rate, ((p.y[p.label == 1] == 1).mean(), (p.label[p.y == 1] == 1).mean())
    by_hand = base / (1 - base) * (1 - precise) / precise * true
    assert cell(record, name, "false_positive_rate") == pytest.approx(np.ptp(by_hand))
    assert "imply a gap" in lk.says(record) and np.isnan(record.threshold).all()
    odds = "true_positive_rate + false_positive_rate"
    assert cell(record, odds, "precision") > 0.1 and np.isnan(record.cost[-1])


def test_rates_that_no_answers_can_have_are_not_possible() -> None:
    pairs = implied(np.array([[0.1, 0.9]]), np.array([[0.9]]), np.array([[0.5]]), np.array([[0.2]]))
    assert np.isnan(pairs["precision", "true_positive_rate"][0]).all(), "a false positive rate of 32"
    assert not np.isnan(pairs["true_positive_rate", "false_positive_rate"][0]).any()


def test_the_interval_of_a_forced_gap_covers_the_populations() -> None:
    """The gap that one threshold leaves, and the one that equal odds leave in precision, against half a million people."""
    whole = trade(people({"a": 0.6, "b": 0.35}, 250_000, 99), replicates=100)
    covered = np.zeros(2)
    asked = [("one threshold", "true_positive_rate"), ("true_positive_rate + false_positive_rate", "precision")]
    for seed in range(10):
        record = trade(people({"a": 0.6, "b": 0.35}, 800, seed), seed=seed, replicates=100)
        for i, (equal, metric) in enumerate(asked):
            r, m = record.equal.index(equal), record.metrics.index(metric)
            covered[i] += record.gap_low[r, m] <= cell(whole, equal, metric) <= record.gap_high[r, m]
    assert (covered >= 8).all()


def test_small_groups_are_left_out_by_name_and_counted_rows_count() -> None:
    frame = people({"a": 0.5, "b": 0.3, "tiny": 0.5}, 300)
    frame = frame[(frame.group != "tiny") | (np.arange(len(frame)) % 25 == 0)]
    frame.loc[frame.index[:7], "group"] = None
    record = trade(frame)
    assert record.left_out == ("tiny (n = 12)",) and record.unknown == 7 and record.group.tolist() == ["a", "b"]
    alone = trade(frame[frame.group != "b"])
    assert alone.status == "not_measured" and "fewer than two groups" in lk.says(alone)
    assert lk.check(alone)[0].status == "not_measured"
    rough = frame.assign(score=frame.score.round(1))
    cells = rough.fillna("").value_counts().reset_index()
    p = lk.Predictions.from_frame(rough, y="y", score="score", threshold=0.5, groups=["group"])
    q = lk.Predictions.from_frame(
        cells.assign(group=cells.group.replace("", None)), y="y", score="score", threshold=0.5, groups=["group"]
    )
    a, b = (lk.trade_offs(v, "group", replicates=100) for v in (p, replace(q, count=cells["count"].to_numpy())))
    assert np.array_equal(a.gap, b.gap) and np.array_equal(a.accuracy_low, b.accuracy_low) and b.unknown == 7


def test_compas_as_published_and_the_picture(tmp_path) -> None:
    """Near equal precision at one cut, far from equal error rates: what ProPublica and Northpointe argued about."""
    frame = lk.data.table("compas")
    frame = frame[frame.race.isin(["African-American", "Caucasian"])]
    frame = frame.assign(high=(frame.decile_score >= 5).astype(int), score=frame.decile_score / 10)
    p = lk.Predictions.from_frame(frame, y="two_year_recid", label="high", score="score", groups=["race"])
    record = lk.trade_offs(p, "race", replicates=200)
    given = record.value[0]
    assert given[record.metrics.index("false_positive_rate")].round(4).tolist() == [0.4485, 0.2345]
    assert given[record.metrics.index("precision")].round(2).tolist() == [0.63, 0.59]
    assert record.gap[0, 2] > 0.2 and cell(record, "precision", "false_positive_rate") > 0.2
    said = lk.says(record)
    assert "39 of 100 (37 to 41) in Caucasian" in said and "51 of 100" in said and "no answers but perfect ones" in said
    assert len(lk.rows(record)) == 50
    picture = svg(lk.figure(record), name="f")
    assert "equal precision" in picture and "one threshold" in picture
    assert lk.load(lk.save(record, tmp_path / "r.lk")).digest == record.digest
