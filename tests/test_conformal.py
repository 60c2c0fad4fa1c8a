"""Conformal sets against their definition, the exact law of their coverage, and shifts that break the promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, betabinom, kstest

import labkit as lk
from labkit.records.conformal import nonconformity
from labkit.views import abstention as abstention_views
from labkit.views._static import svg


def drawn(n: int, seed: int, classes: int = 4, sharpen: float = 1.0, hard: float = 1.0) -> lk.Predictions:
    """Outcomes drawn with known probabilities; in group "b" they are less certain than stated by the factor ``hard``."""
    generator = np.random.default_rng(seed)
    z = 1.5 * generator.normal(size=(n, classes))
    group = generator.choice(["a", "b"], n)
    told = np.exp(sharpen * z)
    true = np.exp(z * np.where(group == "b", hard, 1.0)[:, None])
    true /= true.sum(1, keepdims=True)
    y = (generator.random((n, 1)) > np.cumsum(true, 1)).sum(1).clip(max=classes - 1)
    names = [f"c{c}" for c in range(classes)]
    frame = pd.DataFrame(told / told.sum(1, keepdims=True), columns=names)
    frame = frame.assign(y=[names[c] for c in y], group=group)
    return lk.Predictions.from_frame(frame, y="y", proba=names, classes=names, groups=["group"])


def test_scores_are_those_of_the_papers() -> None:
    proba, chance = np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8]]), np.array([0.5, 1.0])
    assert nonconformity(proba, "lac", chance, 0, 0) == pytest.approx(1 - proba)
    aps = np.array([[0.25, 0.9, 0.65], [0.9, 1.0, 0.8]])
    assert nonconformity(proba, "aps", chance, 0, 0) == pytest.approx(aps)
    more = 0.1 * np.array([[0, 2, 1], [1, 2, 0]])
    assert nonconformity(proba, "raps", chance, 0.1, 1) == pytest.approx(aps + more)


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_the_threshold_is_the_order_statistic_and_the_sets_are_those_below_it(method: str) -> None:
    p, q = drawn(300, 0), drawn(199, 1)
    record = lk.conformal(p, method=method, calibrated_on=q, level=0.9)
    assert record.calibrated_on == 199 and record.n == 300 and not record.crossed
    if method == "lac":
        own = np.sort(1 - q.proba[np.arange(199), q.y])
        assert record.threshold[0] == own[179], "the 180th of 199: 0.9 times 200"
        sets = 1 - p.proba <= own[179]
        assert record.coverage[0] == sets[np.arange(300), p.y].mean() and record.size[0] == sets.sum(1).mean()
        assert (record.sets(p.proba) == sets).all()
    assert record.sized.sum() == 300 and record.sized @ record.sizes == pytest.approx(300 * record.size[0])
    assert record.covered_of_size.sum() == round(300 * record.coverage[0]) and record.covered_of_size[0] == 0
    for f, feature in enumerate(record.features):
        at = record.feature_of == f
        assert record.cell_n[at].sum() == 300, feature
        assert record.covered[at].sum() == record.covered_of_size.sum()
    assert record.cell_n[record.feature_of == 0].tolist() == np.bincount(p.y, minlength=4).tolist()


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_coverage_over_calibrations_is_the_beta_distribution(method: str) -> None:
    """The coverage of a fixed threshold on very many rows, over calibrations with 60 rows, is Beta(k, n + 1 - k)."""
    pool = drawn(20_000, 2)
    coverages, held = [], 0
    for seed in range(100):
        q = drawn(60, 100 + seed)
        record = lk.conformal(drawn(80, 900 + seed), method=method, calibrated_on=q, level=0.8, by=(), seed=seed)
        coverages.append(record.sets(pool.proba, seed)[np.arange(20_000), pool.y].mean())
        held += record.band_low <= record.coverage[0] <= record.band_high
    assert kstest(coverages, beta(49, 12).cdf).pvalue > 0.01
    assert 0.9 <= held / 100 <= 1.0
    exact = betabinom(80, 49, 12)
    assert (record.band_low, record.band_high) == (exact.ppf(0.025) / 80, exact.ppf(0.975) / 80)
    hits = round(record.coverage[0] * 80)
    assert record.p_low == pytest.approx(exact.cdf(hits)) and record.p_high == pytest.approx(exact.sf(hits - 1))


def test_ties_are_broken_at_random_so_that_coverage_is_as_promised() -> None:
    """A model with three levels of probability: whole ties in or out would cover 0.75 or all."""
    generator, covered = np.random.default_rng(0), []
    for _ in range(40):
        y = generator.integers(2, size=400)
        right = np.where(y == 1, 0.75, 0.25)
        s = np.where(generator.random(400) < 0.8, right, 1 - right)
        p = lk.Predictions.from_frame(pd.DataFrame({"y": y, "s": s}), y="y", score="s", threshold=0.5)
        covered.append(lk.conformal(p, level=0.9).coverage[0])
    assert np.mean(covered) == pytest.approx(0.9, abs=0.015)


def test_a_threshold_for_each_class_covers_the_class_that_one_threshold_does_not() -> None:
    p = drawn(3000, 3)
    told = p.proba * np.array([1, 1, 1, 0.15])  # class 3 is told too seldom
    p = replace(p, proba=told / told.sum(1, keepdims=True))
    one, each = (lk.conformal(p, per_class=b) for b in (False, True))
    at = list(one.cell).index("c3")
    assert one.covered[at] / one.cell_n[at] < 0.8 < 0.85 < each.covered[at] / each.cell_n[at]
    status = [
        {f.subject: f.status for f in lk.check(r, only=["covers_every_group"])}["true class"] for r in (one, each)
    ]
    assert status[0] == "does_not_meet" != status[1]
    assert each.calibration.sum() == each.calibrated_on == 1500 and len(each.threshold) == 4
    assert 0.86 < each.band_low < each.coverage[0] < each.band_high < 0.94


def test_rows_unlike_those_calibrated_on_are_told_and_like_ones_are_not() -> None:
    q = drawn(1000, 4)
    shifted, like = (
        lk.conformal(drawn(1000, 5, hard=0.2), calibrated_on=q),
        lk.conformal(drawn(3000, 6), calibrated_on=q),
    )
    found = {f.subject or f.check: f for f in lk.check(shifted)}
    assert found["covers"].status == "does_not_meet" and "unlike those calibrated on" in found["covers"].says
    assert found["group"].status == "does_not_meet" and "b is covered least" in found["group"].says
    assert {f.status for f in lk.check(like)} <= {"meets", "inconclusive"} and lk.check(like)[0].status == "meets"


def test_chance_in_calibration_is_not_called_a_fault() -> None:
    told = 0
    for seed in range(60):
        record = lk.conformal(drawn(200, seed, 3), seed=seed)
        told += any(f.status == "does_not_meet" for f in lk.check(record, only=["covers", "covers_every_group"]))
    assert told <= 3, "1 of 100 a check and what 60 runs add"


def test_it_does_not_depend_on_row_order_and_repeats_with_its_seed(tmp_path) -> None:
    p = drawn(300, 7)
    p = replace(p, row=np.arange(300, dtype=np.uint64) * np.uint64(977))
    mixed = np.random.default_rng(0).permutation(300)
    q = replace(
        p, y=p.y[mixed], label=p.label[mixed], proba=p.proba[mixed], row=p.row[mixed],
        groups={"group": p.groups["group"][mixed]},
    )  # fmt: skip
    for method in ("lac", "aps"):
        first, second = (lk.conformal(x, method=method, by="group") for x in (p, q))
        assert first.threshold == second.threshold and (first.covered == second.covered).all()
        assert first.coverage == second.coverage and (first.sized == second.sized).all()
    assert lk.conformal(p, method="aps", by="group").digest == first.digest
    assert lk.load(lk.save(first, tmp_path / "c.lk")).digest == first.digest
    table = lk.rows(first)
    assert len(table) == 1 + 4 + 2 + 5 and table["n"].iloc[0] == 150
    assert "promised" in lk.says(first) and "group: a" in svg(lk.figure(first), name="f")


def test_few_rows_of_a_class_are_in_every_set_and_said() -> None:
    p = drawn(400, 8)
    p = replace(p, y=np.where((p.y == 3) & (np.arange(400) > 40), 0, p.y))
    record = lk.conformal(p, per_class=True)
    short = record.calibration[3]
    assert short < 9 and any(f"c3 ({short})" in w for w in record.warnings)
    assert np.isinf(record.threshold[3]) and record.covered[3] == record.cell_n[3]
    told = {f.subject: f for f in lk.check(record, only=["covers_every_group"])}["true class"]
    assert "Shown, not judged: c3" in told.says


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: lk.conformal(replace(p, proba=None)), "probabilities"),
        (lambda p: lk.conformal(p, level=1.0), "between 0 and 1"),
        (lambda p: lk.conformal(p, level="0.9"), "between 0 and 1"),
        (lambda p: lk.conformal(p, method="lec"), "lac"),
        (lambda p: lk.conformal(p, penalty=-1), "numbers from 0"),
        (lambda p: lk.conformal(drawn(50, 0)), "25 rows to calibrate on"),
        (lambda p: lk.conformal(drawn(20, 0), calibrated_on=p), "20 rows to state on"),
        (lambda p: lk.conformal(p, level=0.999), "at least 999 rows"),
        (lambda p: lk.conformal(p, calibrated_on=p), "same predictions"),
        (lambda p: lk.conformal(p, calibrated_on=drawn(100, 1, 3)), "same classes"),
        (lambda p: lk.conformal(replace(p, y=np.zeros(200, int))), "all of one class"),
        (lambda p: lk.conformal(replace(p, y=np.full(200, -1))), "without truth"),
        (lambda p: lk.conformal(p, by="age"), "group"),
        (lambda p: lk.conformal(p).sets(p.proba[:, :2]), "probabilities"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_would_do(call, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        call(drawn(200, 0))


def test_withholding_is_told_by_group() -> None:
    """The model is less sure of group b: withholding half of all answers leaves fewer of its."""
    p = drawn(2000, 9)
    less = np.where(p.groups["group"] == "b", 0.4, 1.0)[:, None]
    told = p.proba**less
    q = replace(p, proba=told / told.sum(1, keepdims=True))
    record = lk.abstention(q, by="group")
    (found,) = lk.check(record, only=["who_is_answered"])
    half = list(record.asked).index(0.5)
    share = record.answered[:, half] / record.size
    assert found.status == "info" and found.estimate == pytest.approx(share[0] - share[1]) and found.low > 0.1
    confidence = q.proba.max(1)
    above = confidence > np.sort(confidence)[::-1][999]
    assert share == pytest.approx([above[q.groups["group"] == g].mean() for g in ("a", "b")])
    low, high = record.answered_interval()
    every = record.by_group()[0]
    assert (low <= every).all() and (every <= high).all() and (low < every)[:, half].all()
    alike = lk.check(lk.abstention(p, by="group"), only=["who_is_answered"])[0]
    assert alike.low == 0 and "apart by group" in alike.says
    assert "a (n = " in svg(abstention_views.answered(record, "group"), name="f")
    assert {"coverage low", "coverage high"} <= set(abstention_views.groups(record))
    with pytest.raises(lk.Refused, match="group"):
        abstention_views.answered(record, "age")
