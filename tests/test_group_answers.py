"""Group audits beyond yes and no: several classes and labels, scores, counted rows, no truth; the worst group and power."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import mean_absolute_error, mean_squared_error

import labkit as lk
from labkit.analyses._groups.grouping import all_depths, grouping
from labkit.core import intervals, power, resampling

N = 3000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, N)
    found = pd.DataFrame({"y": y, "g": generator.choice(list("abc"), N), "h": generator.choice(list("xy"), N)})
    found["p"] = np.where(generator.random(N) < np.where(found.g == "a", 0.5, 0.8), y, generator.integers(0, 3, N))
    return found


def predictions(frame: pd.DataFrame, **more) -> lk.Predictions:
    return lk.Predictions.from_frame(frame, y="y", label="p", groups=["g", "h"], classes=[0, 1, 2], **more)


def test_every_class_is_asked_against_the_rest(frame) -> None:
    p = predictions(frame)
    found = lk.audit_groups(p, ["true_positive_rate", "accuracy"], by=["g"], positive="each", replicates=200)
    assert found.metrics == (*(f"true_positive_rate of {c}" for c in "012"), "accuracy")
    for c in range(3):
        alone = lk.audit_groups(p, ["true_positive_rate"], by=["g"], positive=c, replicates=200)
        assert (found.value[c] == alone.value[0]).all()
        assert found.perfect[c, 0] == 0
    assert (found.p_holm >= found.p).all() and (found.p_bh <= found.p_holm + 1e-12).all()
    told = lk.check(found, only=["disparity"])
    assert {f.subject for f in told} >= {"true positive rate of 1 by g", "accuracy by g"}


def test_labels_of_the_same_people_are_asked_one_by_one(frame) -> None:
    labels = {
        name: lk.Predictions.from_frame(
            frame.assign(y=(frame.y == c).astype(int), p=(frame.p == c).astype(int)), y="y", label="p", groups=["g"]
        )
        for c, name in enumerate(["toxic", "insult"])
    }
    found = lk.audit_groups(labels, ["selection_rate", "accuracy"], by=["g"], replicates=200)
    assert set(found.metrics) == {f"{m} of {name}" for m in ("selection_rate", "accuracy") for name in labels}
    for name, p in labels.items():
        alone = lk.audit_groups(p, ["selection_rate"], by=["g"], replicates=200)
        assert (found.value[found.metric(f"selection_rate of {name}")] == alone.value[0]).all()
    assert len(lk.check(found, only=["four_fifths"])) == 2
    short = replace(labels["insult"], **{k: getattr(labels["insult"], k)[1:] for k in ("y", "label")}, groups={})
    with pytest.raises(lk.Refused, match="different people"):
        lk.audit_groups({"toxic": labels["toxic"], "insult": short}, ["selection_rate"], by=["g"])


def test_estimates_have_errors_by_group_as_scikit_learn_has_them(frame) -> None:
    generator = np.random.default_rng(1)
    given = frame.assign(t=generator.normal(0, 10, N))
    given["s"] = given.t + np.where(given.g == "a", 5, 0) + generator.normal(0, 3, N)
    scores = lk.Scores.from_frame(given, score="s", y="t", groups=["g"])
    metrics = ["mean_error", "mean_absolute_error", "root_mean_squared_error", "scoring_rate", mean_squared_error]
    found = lk.audit_groups(scores, metrics, by=["g"], replicates=300)
    for g, part in given.groupby("g"):
        at = list(found.group).index(g)
        assert found.value[:3, at] == pytest.approx(
            [(part.s - part.t).mean(), mean_absolute_error(part.t, part.s), mean_squared_error(part.t, part.s) ** 0.5]
        )
        assert found.value[3, at] == (part.s > given.s.median()).mean()
        student = stats.t.interval(0.95, len(part) - 1, (part.s - part.t).mean(), stats.sem(part.s - part.t))
        assert (found.low[0, at], found.high[0, at]) == pytest.approx(student, abs=0.08)
    assert found.difference[0, 0] == pytest.approx(5, abs=0.5) and found.p_holm[0, 0] < 0.05
    assert lk.check(found, only=["four_fifths"])[0].status != "not_applicable", "scoring rates have impact ratios"
    with pytest.raises(lk.Refused, match="a metric of classes, and scores"):
        lk.audit_groups(scores, ["true_positive_rate"], by=["g"])
    with pytest.raises(lk.Refused, match="a metric of numbers"):
        lk.audit_groups(predictions(frame), ["mean_error"], by=["g"], positive=1)


def test_without_truth_there_are_rates_of_answers_and_no_errors(frame) -> None:
    blind = lk.Predictions.from_frame(frame, y=None, label="p", groups=["g"], classes=[0, 1, 2])
    found = lk.audit_groups(blind, ["selection_rate"], by=["g"], positive=1, replicates=200)
    seen = lk.audit_groups(predictions(frame), ["selection_rate"], by=["g"], positive=1, replicates=200)
    assert (found.value == seen.value).all() and (found.p == seen.p).all()
    assert np.isnan(found.perfect).all() and np.isnan(found.base_rate).all() and not np.isnan(seen.base_rate).any()
    assert "A model without error" not in str(lk.check(found, only=["disparity"])[0])
    for metric in ("accuracy", "true_positive_rate"):
        with pytest.raises(lk.Refused, match="needs y_true"):
            lk.audit_groups(blind, [metric], by=["g"], positive=1)


def test_counted_rows_give_what_single_rows_give(frame) -> None:
    score = np.random.default_rng(0).integers(0, 20, N) / 20
    p = lk.Predictions.from_frame(
        frame.assign(y=(frame.y == 1).astype(int), score=score), y="y", score="score", threshold=0.5, groups=["g", "h"]
    )
    cells = pd.DataFrame({"y": p.y, "label": p.label, "score": score, **p.groups})
    counts = cells.groupby(list(cells), as_index=False).size()
    few = replace(
        p,
        y=counts.y.to_numpy(),
        label=counts.label.to_numpy(),
        proba=np.column_stack([1 - counts.score, counts.score]),
        groups={g: counts[g].to_numpy(str) for g in "gh"},
        row=None,
        count=counts["size"].to_numpy(),
    )
    metrics = ["selection_rate", "true_positive_rate", "auc", "expected_calibration_error", "treatment_equality"]
    one, other = (lk.audit_groups(q, metrics, by=["g", ("g", "h")], replicates=500) for q in (p, few))
    assert other.n_total == N and (one.n == other.n).all() and (one.positives == other.positives).all()
    np.testing.assert_allclose(one.value, other.value, atol=1e-12)
    np.testing.assert_allclose(one.difference, other.difference, atol=1e-12)
    np.testing.assert_allclose(one.low[:2], other.low[:2], atol=1e-12)
    np.testing.assert_allclose(one.low, other.low, atol=0.05, rtol=0.1)
    np.testing.assert_allclose(one.null95, other.null95, atol=0.03, rtol=0.15)
    with pytest.raises(lk.Refused, match="takes a weight"):
        lk.audit_groups(few, [lambda y_true, y_pred: float((y_true == y_pred).mean())], by=["g"])


def test_intersections_of_any_depth(frame) -> None:
    generator = np.random.default_rng(3)
    wide = frame.assign(**{c: generator.choice(list("pqrstu"), N) for c in ("i", "j", "k")})
    p = lk.Predictions.from_frame(wide, y="y", label="p", groups=["g", "h", "i", "j", "k"])
    assert all_depths(["g", "h", ("g", "h")], 2) == ["g", "h", ("g", "h")]
    assert len(all_depths(list("ghijk"), 3)) == 5 + 10 + 10
    deep = grouping("a test", p, ("g", "h", "i", "j", "k"))
    sizes = wide.groupby(["g", "h", "i", "j", "k"]).size()
    assert dict(zip(deep.groups, deep.counts())) == {" & ".join(k): v for k, v in sizes.items()}
    assert deep.unlisted == 3 * 2 * 6**3 - len(sizes) > 0
    found = lk.audit_groups(p, ["accuracy"], by=["g", "h"], depth=2, replicates=200)
    assert found.features == ("g", "h", "g & h")


def test_the_worst_group_is_named_with_an_interval_for_having_been_picked(frame) -> None:
    p = predictions(frame)
    found = lk.audit_groups(p, ["accuracy", "selection_rate"], by=["g", "h"], positive=1, replicates=200)
    assert found.group[found.worst[0, 0]] == "a" and (found.worst[1] == -1).all()
    a = found.worst[0, 0]
    assert found.worst_low[0, 0] < found.low[0, a] < found.value[0, a] < found.high[0, a] < found.worst_high[0, 0]
    told = {f.subject: f.status for f in lk.check(found, only=["worst_group"])}
    assert told == {"accuracy by g": "does_not_meet", "accuracy by h": "meets"}


def test_the_worst_of_equal_groups_is_covered() -> None:
    """All groups' true accuracy is 0.8: the interval of the worst must hold it in 95 of 100 audits."""
    generator, covered = np.random.default_rng(0), 0
    for _ in range(300):
        hits = generator.binomial(200, 0.8, 8)
        low, high = intervals.wilson(hits, 200, 1 - 0.05 / 8)
        covered += low.min() <= 0.8 <= high.min()
    assert covered >= 280


def test_equalized_odds_is_the_larger_of_two_differences(frame) -> None:
    y = (frame.y == 1).astype(int)
    generator = np.random.default_rng(2)
    chance = np.where(y == 1, 0.8, np.where(frame.g == "a", 0.5, 0.2))
    biased = frame.assign(y=y, p=(generator.random(N) < chance).astype(int))
    twin = frame.assign(y=y, p=(generator.random(N) < np.where(y == 1, 0.8, 0.2)).astype(int))
    from fairlearn.metrics import equalized_odds_difference

    statuses = []
    for given in (biased, twin):
        p = lk.Predictions.from_frame(given, y="y", label="p", groups=["g"])
        found = lk.audit_groups(p, ["true_positive_rate", "false_positive_rate"], by=["g"], replicates=500)
        told = lk.check(found, only=["equalized_odds"])[0]
        theirs = equalized_odds_difference(given.y, given.p, sensitive_features=given.g)
        assert told.estimate == pytest.approx(theirs, abs=1e-12)
        statuses.append(told.status)
    assert statuses[0] == "does_not_meet" and statuses[1] != "does_not_meet"
    selected = lk.audit_groups(p, ["selection_rate"], by=["g"], replicates=200)
    assert lk.check(selected, only=["equalized_odds"])[0].status == "not_applicable"


def test_what_can_be_found_is_found_four_times_in_five() -> None:
    """Exact tests of the difference that is said to be detectable, and with the people said to be needed."""
    generator = np.random.default_rng(0)
    for share, n, m in ((0.1, 300, 2000), (0.5, 100, 100), (0.3, 80, 1000)):
        gap = float(power.detectable_difference(share, n, m))
        assert _found(generator, share + gap, n, share, m) == pytest.approx(0.8, abs=0.06)
    people = int(power.people_for_difference(0.2, 0.1))
    assert people == 313, "Fleiss, 1981, with the correction for continuity"
    assert _found(generator, 0.3, people, 0.2, people) == pytest.approx(0.8, abs=0.06)
    assert np.isnan(power.detectable_difference(0.5, 3, 3)) and np.isnan(power.people_for_difference(0.95, 0.1))


def _found(generator: np.random.Generator, first: float, n: int, second: float, m: int) -> float:
    draws = np.column_stack([generator.binomial(n, first, 500), generator.binomial(m, second, 500)])
    seen, times = np.unique(draws, axis=0, return_counts=True)
    sure = np.array([resampling.exact_difference(hits, np.array([n, m])) < 0.05 for hits in seen])
    return float(times[sure].sum() / 500)


def test_benjamini_hochberg_is_scipys() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    assert intervals.benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    holed = np.r_[p, np.nan]
    assert np.isnan(intervals.benjamini_hochberg(holed)[-1])
    assert intervals.benjamini_hochberg(holed)[:-1] == pytest.approx(stats.false_discovery_control(p))


def test_the_table_of_comparisons_has_everything_beside_everything(frame) -> None:
    found = lk.audit_groups(
        predictions(frame), ["accuracy", "selection_rate"], by=["g", "h"], positive=1, replicates=200
    )
    table = lk.views.audit_groups.comparisons(found)
    assert len(table) == 4 and table["p (Holm)"].notna().all() and (table["worst group"] == "").sum() == 2


def test_checks_of_groups_allow_for_all_metrics_and_features(frame) -> None:
    """The same audit, were its differences no more than chance after the correction: nothing is then accused."""
    y = (frame.y == 1).astype(int)
    chance = np.where(y == 1, np.where(frame.g == "a", 0.5, 0.9), np.where(frame.g == "a", 0.4, 0.1))
    given = frame.assign(y=y, p=(np.random.default_rng(4).random(N) < chance).astype(int))
    p = lk.Predictions.from_frame(given, y="y", label="p", groups=["g"])
    metrics = ["selection_rate", "true_positive_rate", "false_positive_rate"]
    found = lk.audit_groups(p, metrics, by=["g"], replicates=500)
    by_chance = replace(found, p_holm=np.ones_like(found.p_holm))
    for check in ("equalized_odds", "worst_group", "disparity"):
        assert "does_not_meet" in {f.status for f in lk.check(found, only=[check])}, check
        assert "does_not_meet" not in {f.status for f in lk.check(by_chance, only=[check])}, check
    unequal = replace(found, hits=found.hits * np.where(found.group == "a", 0.2, 1), lowest=found.lowest * 0)
    told = [lk.check(r, only=["four_fifths"])[0] for r in (unequal, replace(unequal, p_holm=by_chance.p_holm))]
    assert [f.status for f in told] == ["does_not_meet", "inconclusive"]


def test_resampled_differences_are_told_how_many_people_each_group_has(frame, monkeypatch) -> None:
    given = {}
    real = resampling.largest_difference
    monkeypatch.setattr(resampling, "largest_difference", lambda *a, **k: given.update(k) or real(*a, **k))
    found = lk.audit_groups(predictions(frame), ["balanced_accuracy"], by=["g"], positive=1, replicates=200)
    assert (given["sizes"] == found.n).all()
