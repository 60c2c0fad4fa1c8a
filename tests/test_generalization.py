"""The gap between training and test data, and what could make it lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.core import intervals


def answers(accuracy: float, n: int, seed: int, classes: int = 2, rows=None) -> lk.Predictions:
    """Labels that are right with one probability, and scores that say how sure they are."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, classes, n)
    right = generator.random(n) < accuracy
    label = np.where(right, y, (y + 1) % classes)
    frame = pd.DataFrame({"y": y, "label": label})
    if classes == 2:
        frame["score"] = np.where(label == 1, accuracy, 1 - accuracy)
    return lk.Predictions.from_frame(
        frame, y="y", label="label", score="score" if classes == 2 else None, classes=range(classes)
    )


def test_a_proportions_gap_has_newcombes_interval() -> None:
    train, test = answers(0.9, 800, 0), answers(0.8, 300, 1)
    found = lk.generalization_gap(train, test)
    hits = [(p.y == p.label).sum() for p in (train, test)]
    assert found.method == "Newcombe" and found.better == 1
    assert found.gap == pytest.approx(hits[0] / 800 - hits[1] / 300)
    assert np.allclose((found.gap_low, found.gap_high), intervals.newcombe(hits[0], 800, hits[1], 300))
    assert lk.check(found, only=["overfitting"])[0].estimate == found.gap


@pytest.mark.parametrize("metric", ["accuracy", "auc", "balanced_accuracy", "brier"])
def test_the_gaps_interval_covers_a_known_gap(metric: str) -> None:
    def scored(n: int, seed: int, noise: float) -> lk.Predictions:
        generator = np.random.default_rng(seed)
        y = generator.integers(0, 2, n)
        score = np.round(np.clip(y * 0.4 + 0.3 + generator.normal(0, noise, n), 0, 1), 2)
        return lk.Predictions.from_frame(pd.DataFrame({"y": y, "s": score}), y="y", score="s", threshold=0.5)

    truth = lk.generalization_gap(scored(40_000, 9, 0.2), scored(40_000, 8, 0.4), metric, replicates=100).gap
    found = [
        lk.generalization_gap(scored(400, 2 * s, 0.2), scored(200, 2 * s + 1, 0.4), metric, replicates=200, seed=s)
        for s in range(50)
    ]
    assert sum(f.gap_low <= truth <= f.gap_high for f in found) >= 43
    assert found[0].better == (-1 if metric == "brier" else 1)
    assert (truth > 0) == (metric != "brier") and all(f.drop[0] == abs(f.gap) for f in found if f.gap * truth > 0)


@pytest.mark.parametrize(
    ("train", "test", "status"),
    [
        ((0.99, 2000), (0.80, 1000), "does_not_meet"),
        ((0.85, 3000), (0.85, 3000), "meets"),
        ((0.90, 200), (0.85, 100), "inconclusive"),
        ((0.99, 2000), (0.50, 20), "inconclusive"),
    ],
)
def test_overfitting_is_judged_by_the_interval(train, test, status) -> None:
    found = lk.generalization_gap(answers(*train, 0), answers(*test, 1))
    told = lk.check(found, only=["overfitting"])[0]
    assert told.status == status and f"n = {test[1]}" in told.says


def test_without_a_gap_overfitting_is_seldom_found() -> None:
    statuses = [
        lk.check(lk.generalization_gap(answers(0.8, 500, 2 * s), answers(0.8, 500, 2 * s + 1)), only=["overfitting"])
        for s in range(80)
    ]
    assert sum(f[0].status == "does_not_meet" for f in statuses) <= 1


def test_a_metric_that_is_neither_good_nor_bad_does_not_apply() -> None:
    found = lk.generalization_gap(answers(0.9, 200, 0), answers(0.8, 100, 1), "selection_rate")
    assert found.better == 0
    assert lk.check(found, only=["overfitting"])[0].status == "not_applicable"


def test_a_real_model_with_its_inputs(digits, mlp, tmp_path) -> None:
    train, test = lk.predict(mlp, digits.train), lk.predict(mlp, digits.test)
    found = lk.generalization_gap(train, test)
    assert found.duplicates == 0 and found.n_test == len(digits.test)
    statuses = {f.check: f.status for f in lk.check(found)}
    assert statuses["beats_majority"] == statuses["duplicate_rows"] == statuses["labels_in_order"] == "meets"
    assert found.log_loss < 0.5 < found.log_loss_prior
    assert lk.load(lk.save(found, tmp_path / "gap.lk")).digest == found.digest
    assert len(lk.rows(found)) == 3 and "training rows" in lk.says(found)
    assert len(lk.figure(found).data) == 2


def test_what_cannot_be_compared_is_refused() -> None:
    p = answers(0.9, 100, 0)
    with pytest.raises(lk.Refused, match="the same predictions twice"):
        lk.generalization_gap(p, p)
    with pytest.raises(lk.Refused, match="the same 100 rows twice"):
        lk.generalization_gap(p, answers(0.9, 100, 0))
    with pytest.raises(lk.Refused, match="classes"):
        lk.generalization_gap(p, answers(0.9, 90, 1, classes=3))
    with pytest.raises(lk.Refused, match="none named as positive"):
        lk.generalization_gap(answers(0.9, 100, 0, classes=3), answers(0.9, 90, 1, classes=3), "precision")


def test_without_inputs_or_without_both_classes_it_says_what_it_would_take() -> None:
    found = lk.generalization_gap(answers(0.9, 200, 0), answers(0.8, 100, 1))
    told = lk.check(found, only=["duplicate_rows"])[0]
    assert told.status == "not_measured" and "labkit.predict" in told.says
    one = lk.Predictions.from_frame(
        pd.DataFrame({"y": [1] * 50, "s": np.linspace(0, 1, 50)}), y="y", score="s", threshold=0.5, classes=[0, 1]
    )
    found = lk.generalization_gap(answers(0.9, 200, 0), one, "auc")
    assert found.status == "not_measured" and "both classes" in found.reason
