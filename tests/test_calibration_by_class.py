"""Calibration of every class against each class alone, draws made another way, planted truth and its sound twin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses._groups.classes import by_class
from labkit.metrics.expected_calibration_error import expected_calibration_error
from labkit.views import calibration as views
from labkit.views._static import svg


def drawn(n: int, seed: int, classes: int = 4, bend: dict[int, float] | None = None) -> lk.Predictions:
    """Outcomes drawn with known probabilities; those stated have some classes' log-probabilities raised by ``bend``."""
    generator = np.random.default_rng(seed)
    z = 1.5 * generator.normal(size=(n, classes)) - 0.3 * np.arange(classes)
    true = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = (generator.random((n, 1)) > np.cumsum(true, 1)).sum(1).clip(max=classes - 1)
    for c, more in (bend or {}).items():
        z[:, c] += more
    stated = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    names = [f"c{c}" for c in range(classes)]
    frame = pd.DataFrame(stated, columns=names).assign(y=[names[c] for c in y])
    return lk.Predictions.from_frame(frame, y="y", proba=names, classes=names)


def test_a_class_has_the_numbers_that_it_has_alone() -> None:
    p = drawn(900, 0)
    found, plain = (lk.calibration(p, by_class=b, replicates=200) for b in (True, False))
    assert plain.by_class is None and (found.ece, found.p) == (plain.ece, plain.p), "the whole is as without classes"
    b = found.by_class
    for c in range(4):
        alone = lk.calibration(p, positive=c, replicates=400)
        assert b.ece[0, c] == pytest.approx(alone.ece)
        assert b.ece95[0, c] == pytest.approx(alone.ece95, rel=0.25)
        rows = p.proba.argmax(1) == c
        right, chance = p.y[rows] == c, p.proba[rows, c]
        assert b.n[1, c] == rows.sum() and b.happened[1, c] == pytest.approx(right.mean())
        assert b.ece[1, c] == pytest.approx(expected_calibration_error(right, chance))
        assert b.excess[1, c] == pytest.approx((right - chance).mean())
        assert b.excess_low[1, c] < b.excess[1, c] < b.excess_high[1, c]
    assert b.mean_ece[0] == pytest.approx(b.ece[0].mean())
    assert b.mean_ece[1] == pytest.approx(b.ece[1] @ b.n[1] / 900)


def test_the_null_is_that_of_whole_rows_drawn_with_the_stated_probabilities() -> None:
    p, generator = drawn(300, 1), np.random.default_rng(3)
    means, tops = [], []
    for _ in range(250):
        y = (generator.random((300, 1)) > np.cumsum(p.proba, 1)).sum(1).clip(max=3)
        means.append(np.mean([expected_calibration_error(y == c, p.proba[:, c]) for c in range(4)]))
        answers = [p.proba.argmax(1) == c for c in range(4)]
        each = [expected_calibration_error(y[a] == c, p.proba[a, c]) for c, a in enumerate(answers)]
        tops.append(np.dot(each, [a.mean() for a in answers]))
    found = lk.calibration(p, by_class=True, replicates=1000).by_class
    assert found.mean_ece95 == pytest.approx(np.quantile([means, tops], 0.95, axis=1), rel=0.1)


def test_one_class_that_is_told_too_often_is_found_among_the_sound_ones() -> None:
    findings = lk.check(lk.calibration(drawn(3000, 2, 6, {5: 1.0}), by_class=True, replicates=400), only=["calibrated"])
    assert [f.subject for f in findings] == ["the answer is right", "every class"]
    assert findings[1].status == "does_not_meet" and "c5" in findings[1].says.split(",")[0]
    about = {"only": ["calibrated"], "thresholds": {"calibrated": {"tolerance": 0.1}}}
    sound = lk.check(lk.calibration(drawn(4000, 2, 6), by_class=True, replicates=400), **about)
    assert [f.status for f in sound] == ["meets", "meets"]
    few = lk.check(lk.calibration(drawn(200, 2, 6), by_class=True, replicates=200), only=["calibrated"])
    assert [f.status for f in few] == ["inconclusive", "inconclusive"] and "Too few rows" in few[1].says


def test_the_correction_for_all_classes_holds_and_no_more() -> None:
    smallest = []
    for seed in range(60):
        p = drawn(250, seed)
        smallest.append(np.nanmin(by_class(p, p.proba, 30, 120, np.random.default_rng(seed)).p_corrected))
    assert np.mean(np.array(smallest) < 0.05) <= 0.15, "5 of 100 and what 60 runs add"
    assert np.mean(np.array(smallest) > 0.5) >= 0.25, "a correction that is no larger than it must be"


def test_a_class_of_few_answers_is_shown_and_not_judged_and_all_is_kept(tmp_path) -> None:
    p = drawn(300, 4, 3, {2: -8.0})
    found = lk.calibration(p, by_class=True, replicates=150)
    b = found.by_class
    assert b.n[1, 2] == 0 and np.isnan(b.ece[1, 2]) and np.isnan(b.p_corrected[1, 2]) and not b.ranked[1, 2]
    assert "shown, not judged" in lk.check(found, only=["calibrated"])[1].says
    assert lk.load(lk.save(found, tmp_path / "c.lk")).digest == found.digest
    assert len(lk.rows(found)) == 6 and "classwise" in lk.says(found)
    assert "c2" in svg(views.by_class(found), name="f")
    two = lk.calibration(drawn(200, 5, 2), by_class=True, positive=1, replicates=100).by_class
    assert two.ece[0, 0] == pytest.approx(two.ece[0, 1], abs=0.01), "two classes mirror each other"
    with pytest.raises(lk.Refused, match="by_class=True"):
        views.by_class(lk.calibration(p, replicates=100))
