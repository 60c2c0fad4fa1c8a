"""Abstention and out-of-distribution scores: areas and bounds re-derived, guarantees simulated, planted faults with twins."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

import labkit as lk
from labkit.analyses import abstention as home
from labkit.analyses._grouping import grouping
from labkit.checks.knows_when_it_is_wrong import knows_when_it_is_wrong
from labkit.core.record import Provenance
from labkit.views import abstention as abstention_view
from labkit.views._static import svg


def answers(confidence: np.ndarray, wrong: np.ndarray, **groups: Any) -> lk.Predictions:
    return lk.Predictions(
        provenance=Provenance(analysis="predict", version=lk.__version__),
        y=wrong.astype(np.int64),
        label=np.zeros(len(wrong), np.int64),
        proba=np.column_stack([confidence, 1 - confidence]),
        classes=("no", "yes"),
        groups={name: np.asarray(values) for name, values in groups.items()},
    )


def drawn(draw: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated confidences from 0.5 to 1: the risk above a confidence c is (1 - c) / 2."""
    confidence = draw.uniform(0.5, 1, n)
    return confidence, draw.random(n) > confidence


def test_the_area_is_the_mean_risk_over_all_orders_of_equal_confidences() -> None:
    confidence, wrong = np.array([0.9, 0.9, 0.9, 0.8, 0.7, 0.7]), np.array([0, 1, 0, 1, 1, 0])
    each = []
    for order in permutations(range(6)):
        if (np.diff(confidence[list(order)]) <= 0).all():
            each.append(np.mean(np.cumsum(wrong[list(order)]) / np.arange(1, 7)))
    record = lk.abstention(answers(confidence, wrong))
    assert record.aurc[0] == pytest.approx(np.mean(each))
    assert record.best == pytest.approx(np.mean([0, 0, 0, 1 / 4, 2 / 5, 3 / 6]))
    assert record.random == 0.5 and float(home.area(np.array([6]), np.array([3]))) == pytest.approx(0.5)
    assert record.kept.tolist() == [3, 4, 6] and record.wrong.tolist() == [1, 2, 3]


def test_the_order_of_the_rows_does_not_matter_and_equal_runs_are_equal() -> None:
    draw = np.random.default_rng(0)
    confidence, wrong = drawn(draw, 400)
    confidence = confidence.round(2)
    record, mixed = lk.abstention(answers(confidence, wrong)), draw.permutation(400)
    again = lk.abstention(answers(confidence[mixed], wrong[mixed]))
    for name in ("kept", "wrong", "coverage", "random_low"):
        np.testing.assert_array_equal(getattr(record, name), getattr(again, name))
    assert record.aurc == again.aurc and record.p == again.p
    assert lk.abstention(answers(confidence, wrong)).digest == record.digest


def test_intervals_of_the_area_cover_and_confidence_that_says_nothing_is_not_told_apart() -> None:
    order = home._order(*drawn(np.random.default_rng(99), 400_000))
    truth = home.area(order.n, order.wrong)
    covered, alarms = 0, 0
    for seed in range(100):
        draw = np.random.default_rng(seed)
        confidence, wrong = drawn(draw, 150)
        _, low, high = home._areas(confidence, wrong, 150, seed)["aurc"]
        covered += low <= truth <= high
        alarms += home._areas(confidence, draw.permutation(wrong), 100, seed)["p"] < 0.05
    assert 88 <= covered <= 100 and alarms <= 11


def test_the_guarantee_holds_as_often_as_it_says() -> None:
    """Over 400 data sets from a source whose risk above every confidence is known, a wanted risk is exceeded seldom."""
    failed = tried = 0
    for seed in range(400):
        draw = np.random.default_rng(seed)
        found = home._guaranteed(*drawn(draw, 500), (0.1, 0.2), 0.05)
        for wanted, above in zip(found["wanted"], found["least_confidence"]):
            if not np.isnan(above):
                tried += 1
                failed += (1 - max(above, 0.5)) / 2 > wanted
    assert tried > 400 and failed <= binom.ppf(0.99, tried, 0.05)


def test_the_bound_is_the_exact_one_and_the_coverage_the_largest_that_it_allows() -> None:
    draw = np.random.default_rng(4)
    confidence, wrong = drawn(draw, 800)
    record = lk.abstention(answers(confidence, wrong), risks=(0.15,), delta=0.1)
    kept = confidence > record.least_confidence[0]
    assert record.coverage[0] == kept.mean() and record.risk[0] == wrong[kept].mean()
    # were the risk as high as the bound, so few errors would come up with a chance of delta / 20
    assert binom.cdf(wrong[kept].sum(), kept.sum(), record.risk_bound[0]) == pytest.approx(0.1 / 20, rel=1e-6)
    ranked = -np.sort(-confidence)
    for share in home.COVERAGES[home.COVERAGES > record.coverage[0] + 0.01]:
        rows = confidence > (ranked[int(np.ceil(share * 800)) - 1] if share < 1 else 0)
        assert binom.cdf(wrong[rows].sum(), rows.sum(), 0.15) > 0.1 / 20
    sure = lk.abstention(answers(confidence, np.zeros(800, bool)), risks=(0.05,))
    assert sure.coverage[0] == 1 and sure.least_confidence[0] < 0 and np.isnan(sure.gain)
    assert lk.abstention(answers(confidence[:40], wrong[:40]), risks=(0.01,)).coverage[0] == 0


def test_confidence_that_says_nothing_is_named_and_its_twin_is_not() -> None:
    draw = np.random.default_rng(6)
    confidence, wrong = drawn(draw, 600)
    (good,) = lk.check(lk.abstention(answers(confidence, wrong)))
    (blind,) = lk.check(lk.abstention(answers(confidence, draw.permutation(wrong))))
    assert good.status == "meets" and blind.status == "does_not_meet"
    (few,) = lk.check(lk.abstention(answers(confidence[:50], draw.permutation(wrong)[:50])))
    assert few.status == "inconclusive"


def test_a_group_whose_errors_are_hidden_is_named_and_its_twin_is_not() -> None:
    """In group b the model is the surer the more it errs; over all rows abstention still helps."""
    draw = np.random.default_rng(8)
    confidence, wrong = drawn(draw, 3000)
    hidden = draw.random(3000) < 0.2
    upside_down = np.where(hidden, draw.random(3000) > 1.5 - confidence, wrong)
    group = np.where(hidden, "b", "a")
    whole, by = lk.check(lk.abstention(answers(confidence, upside_down, kind=group)))
    assert whole.status == "meets" and by.status == "does_not_meet" and " b has " in by.says
    assert [f.status for f in lk.check(lk.abstention(answers(confidence, wrong, kind=group)))] == ["meets", "meets"]
    record = lk.abstention(answers(confidence, upside_down, kind=group))
    table = abstention_view.groups(record)
    assert table[table["coverage of all"] == 1].answered.tolist() == [(~hidden).sum(), hidden.sum()]


def test_equal_groups_are_seldom_named() -> None:
    """200 records in which confidence says nothing within either group, so that only chance could put errors first."""
    flagged, group = 0, np.repeat(["a", "b"], [100, 200])
    draw = np.random.default_rng(0)
    first = answers(draw.uniform(0.5, 1, 300), draw.random(300) < 0.2, kind=group)
    record, features = lk.abstention(first, replicates=100), [grouping("a test", first, "kind")]
    for _ in range(200):
        parts = home._groups(draw.uniform(0.5, 1, 300), draw.random(300) < 0.2, features)
        _, found = knows_when_it_is_wrong(replace(record, **parts))
        flagged += found.status == "does_not_meet"
    assert flagged <= 2


def test_pictures_tables_and_refusals_of_abstention(tmp_path) -> None:
    draw = np.random.default_rng(3)
    confidence, wrong = drawn(draw, 300)
    p = answers(confidence, wrong, kind=draw.choice(["a", "b"], 300))
    record = lk.abstention(p)
    assert "300 rows" in svg(lk.figure(record), name="f")
    assert "a (n = " in svg(abstention_view.by_group(record, "kind"), name="g")
    assert len(lk.rows(record)) == 201 and len(abstention_view.rules(record)) == 3
    assert "300 rows" in lk.says(record) and "sure to 95%" in lk.says(record)
    lk.save(record, tmp_path / "a.lk")
    assert lk.load(tmp_path / "a.lk").digest == record.digest
    with pytest.raises(lk.Refused, match="feature"):
        abstention_view.by_group(record, "age")
    for wrong_call in ({"risks": ("x",)}, {"risks": 1.5}, {"delta": 0}, {"replicates": 3}, {"by": ["age"]}):
        with pytest.raises(lk.Refused):
            lk.abstention(p, **wrong_call)
