"""Faults that make a model look as if it knew: each is named, and its sound twin is not flagged."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.analyses.predict import row_hashes
from labkit.core.record import Provenance


def told(record, check: str):
    return lk.check(record, only=[check])[0]


def predictions(y, label, x=None, classes: int = 2) -> lk.Predictions:
    about = Provenance(analysis="a test", version=lk.__version__)
    return lk.Predictions(
        provenance=about,
        y=np.asarray(y, np.int64),
        label=np.asarray(label, np.int64),
        classes=tuple(map(str, range(classes))),
        row=None if x is None else row_hashes(x),
    )


def nearest(x: np.ndarray, y: np.ndarray) -> lk.Predictions:
    """One nearest neighbor on a random split in three and two thirds; returns the gap it shows."""
    order = np.random.default_rng(0).permutation(len(x))
    a, b = np.split(order, [len(x) * 2 // 3])
    distance = ((x[b][:, None] - x[a][None]) ** 2).sum(2)
    return lk.generalization_gap(
        predictions(y[a], y[a], x[a]), predictions(y[b], y[a][distance.argmin(1)], x[b]), seed=0
    )


def test_g01_copies_of_training_rows_among_the_test_rows() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(600, 8)), generator.integers(0, 2, 600)
    copied = nearest(np.r_[x, x[:300]], np.r_[y, y[:300]])
    assert copied.test > 0.6, "noise that looks like knowledge"
    found = told(copied, "duplicate_rows")
    assert found.status == "does_not_meet" and "also stand in the training data" in found.says
    assert copied.unseen_low < 0.5 < copied.unseen_high, "the honest value stands beside it"
    assert told(nearest(x, y), "duplicate_rows").status == "meets"


def test_g01_people_of_few_categories_who_look_alike_are_no_copies() -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 3, (900, 4)).astype(float)
    y = (generator.random(900) < 0.3 + 0.2 * x[:, 0]).astype(int)
    found = told(nearest(x, y), "duplicate_rows")
    assert found.status == "inconclusive" and "another label" in found.says


def test_g06_shifted_labels_contradict_the_accuracy(digits, mlp) -> None:
    train, test = lk.predict(mlp, digits.train), lk.predict(mlp, digits.test)
    shifted = predictions((test.y + 1) % 10, test.label, classes=10)
    sound = predictions(train.y, train.label, classes=10)
    found = lk.generalization_gap(sound, shifted)
    assert found.status == "contradicted" and "adding 1 to every answer" in found.reason
    assert found.relabelled > 0.9 and told(found, "labels_in_order").status == "does_not_meet"
    assert "Contradicted" in lk.says(found)
    assert told(lk.generalization_gap(train, test), "labels_in_order").status == "meets"


def test_g14_classes_in_another_order_contradict_the_accuracy() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 5, 500)
    renamed = np.array([3, 0, 4, 1, 2])[y]
    found = lk.generalization_gap(predictions(y[:400], y[:400], classes=5), predictions(y, renamed, classes=5))
    assert found.status == "contradicted" and "renaming the classes gives 1.000" in found.reason


def test_a_model_that_is_simply_bad_is_not_called_mislabelled() -> None:
    generator = np.random.default_rng(0)
    y = generator.integers(0, 10, 500)
    found = lk.generalization_gap(
        predictions(y, y, classes=10), predictions(y[:400], generator.integers(0, 10, 400), classes=10)
    )
    assert found.status == "measured" and told(found, "labels_in_order").status == "meets"


def test_g08_the_majority_class_is_no_skill() -> None:
    generator = np.random.default_rng(0)
    y = (generator.random(2000) < 0.05).astype(int)
    constant = lk.generalization_gap(predictions(y[:1500], np.zeros(1500)), predictions(y[1500:], np.zeros(500)))
    found = told(constant, "beats_majority")
    assert constant.test > 0.93 and found.status == "does_not_meet" and "balanced accuracy 0.50" in found.says
    label = np.where(generator.random(2000) < 0.9, y, 1 - y)
    even = np.arange(2000) % 2
    better = lk.generalization_gap(
        predictions(even[:1500], even[:1500]),
        predictions(even[1500:], np.where(label[1500:] == y[1500:], even[1500:], 0)),
    )
    assert told(better, "beats_majority").status == "meets"


def test_g07_the_calibration_error_of_a_calibrated_model_is_within_its_null() -> None:
    statuses = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        s = generator.random(200)
        frame = pd.DataFrame({"y": (generator.random(200) < s).astype(int), "s": s})
        p = lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)
        statuses.append(told(lk.calibration(p, replicates=300, seed=seed), "calibrated").status)
    assert statuses.count("does_not_meet") <= 2, "1 of 100 and what 40 runs add"
    frame["s"] = (s > 0.5) * 0.98 + 0.01
    p = lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5)
    assert told(lk.calibration(p, replicates=200), "calibrated").status == "does_not_meet"


def test_fewer_than_thirty_rows_settle_nothing() -> None:
    y = np.arange(20) % 2
    found = lk.generalization_gap(predictions(np.arange(100) % 2, np.arange(100) % 2), predictions(y, 1 - y))
    assert told(found, "overfitting").status == "inconclusive"


def test_training_data_given_as_test_data_is_refused() -> None:
    y = np.arange(50) % 2
    x = np.random.default_rng(0).normal(size=(50, 3))
    order = np.random.default_rng(1).permutation(50)
    with pytest.raises(lk.Refused, match="the same 50 rows twice"):
        lk.generalization_gap(predictions(y, y, x), predictions(y[order], y[order], x[order]))
