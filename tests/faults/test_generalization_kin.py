"""Kin of the faults of generalisation, and bad input: each is named with what would do, beside a sound twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import labkit as lk
from labkit.data.split import Dataset
from labkit.training.damage import LabelNoise
from labkit.training.many import Fit
from tests.faults.test_generalization import Rule, cut, leaks, people, predictions, table, told

QUICK = Fit(epochs=8, batch_size=64, rate=4e-3, weight_decay=0.01)


def stated(z: np.ndarray, y: np.ndarray, name: str = "m") -> lk.Predictions:
    """Two classes: probabilities of log odds."""
    frame = pd.DataFrame({"y": y, "s": 1 / (1 + np.exp(-z))})
    return lk.Predictions.from_frame(frame, y="y", score="s", threshold=0.5, name=name)


def known(n: int = 1500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds, and outcomes drawn with them."""
    generator = np.random.default_rng(seed)
    z = 2 * generator.normal(size=n)
    return z, (generator.random(n) < 1 / (1 + np.exp(-z))).astype(int)


@pytest.mark.parametrize("how", ["mirrored", "brightened"])
def test_altered_copies_of_training_pictures(how: str, digits: Dataset) -> None:
    x = digits.test.x.copy()
    x[:40] = digits.train.x[:40, :, :, ::-1] if how == "mirrored" else 0.8 * digits.train.x[:40] + 0.1
    assert leaks(Dataset("altered", digits.train, replace(digits.test, x=x)))["near copies"] == "does_not_meet"
    assert leaks(digits)["near copies"] == "meets"


def test_the_label_rounded_into_a_column() -> None:
    x, y = people()
    generator = np.random.default_rng(3)
    rounded = np.round(y * 2.0 + generator.normal(scale=0.3, size=900) + 10)  # 9 to 11 or 11 to 13: 11 is shared
    assert (
        leaks(cut(np.c_[x, np.where(rounded == 11, 11 + y, rounded)], y, 600))["label in one column"] == "does_not_meet"
    )
    assert leaks(cut(np.c_[x, np.round(x[:, 1] + 10)], y, 600))["label in one column"] == "meets"


def test_ids_that_are_numbers_here_and_texts_there() -> None:
    data, who = cut(*people(), 600), np.arange(900) // 2
    who = np.random.default_rng(0).permutation(who)
    frames = [pd.DataFrame({"person_id": who[:600]}), pd.DataFrame({"person_id": who[600:].astype(str)})]
    assert leaks(data, frames=frames)["shared ids"] == "does_not_meet"
    apart = [pd.DataFrame({"person_id": np.arange(600)}), pd.DataFrame({"person_id": np.arange(600, 900).astype(str)})]
    assert leaks(data, frames=apart)["shared ids"] == "meets"


def test_a_time_column_as_text() -> None:
    data, mixed = cut(*people(), 600), np.random.default_rng(0).permutation(900)
    day = pd.date_range("2023-06-01", periods=900).strftime("%Y-%m-%d").to_numpy()
    for order, status in ((mixed, "does_not_meet"), (np.arange(900), "meets")):
        frames = [pd.DataFrame({"day": day[order[s]]}) for s in (slice(600), slice(600, 900))]
        assert leaks(data, frames=frames, time="day")["time order"] == status


def test_a_running_number_that_tells_the_parts_apart() -> None:
    x, y = people()
    assert leaks(cut(np.c_[x, np.arange(900)], y, 600))["parts told apart by one column"] == "does_not_meet"
    running = np.random.default_rng(0).permutation(900)
    assert leaks(cut(np.c_[x, running], y, 600))["parts told apart by one column"] == "meets"


def test_equal_rows_with_conflicting_labels_are_not_called_copies() -> None:
    x, y = people()
    x[600:700] = x[:100]
    y[600:700] = 1 - y[:100]
    a, b = predictions(y[:600], y[:600], x[:600]), predictions(y[600:], y[600:], x[600:])
    found = told(lk.generalization_gap(a, b), "duplicate_rows")
    assert found.status == "inconclusive" and "another label" in found.says


def test_three_equal_rows_may_be_alike_and_thirty_are_copies() -> None:
    x, y = people()
    for copies, status in ((3, "inconclusive"), (30, "does_not_meet"), (0, "meets")):
        z, w = x.copy(), y.copy()
        z[600 : 600 + copies], w[600 : 600 + copies] = x[:copies], y[:copies]
        a, b = predictions(w[:600], w[:600], z[:600]), predictions(w[600:], w[600:], z[600:])
        assert told(lk.generalization_gap(a, b), "duplicate_rows").status == status


def test_probabilities_put_through_a_softmax_twice() -> None:
    z, y = known()
    p = 1 / (1 + np.exp(-z))
    assert told(lk.calibration(stated(p - (1 - p), y), replicates=300), "calibrated").status == "does_not_meet"
    assert told(lk.calibration(stated(z, y), replicates=300), "calibrated").status != "does_not_meet"


def test_a_temperature_fitted_on_the_rows_that_it_is_stated_on() -> None:
    z, y = known(400)
    p = stated(3 * z, y)
    with pytest.raises(lk.Refused, match="same predictions"):
        lk.recalibrate(p, "temperature", fitted_on=p)
    sound = lk.recalibrate(p, "temperature", replicates=300)
    assert told(sound, "recalibration_helps").status == "info" and sound.log_loss_change_high[-1] < 0


def test_conformal_sets_on_rows_unlike_those_calibrated_on() -> None:
    first, other = stated(*known(800)), stated(*known(800, 1))
    z, y = known(800, 2)
    shifted = stated(z, np.where(np.random.default_rng(0).random(800) < 0.3, 1 - y, y))
    assert told(lk.conformal(shifted, calibrated_on=first), "covers").status == "does_not_meet"
    assert told(lk.conformal(other, calibrated_on=first), "covers").status != "does_not_meet"


def test_a_tenth_of_the_labels_flipped(digits: Dataset) -> None:
    clean = digits.train[:700]
    noisy = LabelNoise(0.1, seed=5)(clean)
    found = told(lk.label_errors(noisy, fit=QUICK, folds=3), "labels_clean")
    assert found.status == "does_not_meet" and found.low > 0.03
    assert told(lk.label_errors(clean, fit=QUICK, folds=3), "labels_clean").status != "does_not_meet"


def test_validation_rows_used_as_test_rows() -> None:
    x, y = people()
    train, test = predictions(y[:600], y[:600], x[:600]), predictions(y[600:], y[600:], x[600:])
    with pytest.raises(lk.Refused, match="the same predictions twice"):
        lk.generalization_gap(train, test, validation=test)
    half = predictions(y[750:], y[750:], x[750:])
    sound = lk.generalization_gap(train, predictions(y[600:750], y[600:750], x[600:750]), validation=half)
    assert sound.status == "measured"


def test_test_rows_of_one_class() -> None:
    x, y = people()
    keep = np.flatnonzero((np.arange(900) < 600) | (y == 1))
    one = cut(x[keep], y[keep], 600)
    train = predictions(one.train.y, one.train.y)
    gap = lk.generalization_gap(train, predictions(one.test.y, one.test.y), "balanced_accuracy")
    assert gap.status == "not_measured" or np.isnan(gap.test) or "one class" in " ".join(gap.warnings)
    with pytest.raises(lk.Refused, match="alone"):
        lk.membership_inference(lk.wrap(Rule(), classes=["no", "yes"]), one_class(cut(x, y, 600)), shadows=0)


def one_class(data: Dataset) -> Dataset:
    return Dataset("one class", *(s[s.y == 0] for s in data))


def test_labels_and_predictions_of_different_length() -> None:
    frame = pd.DataFrame({"y": [0, 1] * 30, "l": [0, 1] * 30})
    with pytest.raises(lk.Refused, match="59 values"):
        lk.Predictions.from_frame(frame, y="y", label="l", groups={"group": np.zeros(59, int)})
    with pytest.raises(TypeError, match="length 59 in label and 60 in y"):
        replace(lk.Predictions.from_frame(frame, y="y", label="l"), label=np.zeros(59, np.int64))
    a = lk.Predictions.from_frame(frame, y="y", label="l")
    b = lk.Predictions.from_frame(frame[:40], y="y", label="l")
    with pytest.raises(lk.Refused):
        lk.compare_models(a, b)
    assert lk.compare_models(a, a, "accuracy").status == "measured"


FEW = 29


@pytest.mark.parametrize(
    "analysis", ["leakage", "distribution_shift", "label_errors", "random_labels", "learning_curve"]
)
def test_fewer_than_thirty_rows_are_refused(analysis: str) -> None:
    data = cut(*people(200), 200 - FEW)
    if analysis in ("label_errors",):
        data = Dataset("few", data.train[:FEW], data.test)
    with pytest.raises(lk.Refused, match="30"):
        getattr(lk, analysis)(data)


@pytest.mark.parametrize(
    "analysis", ["leakage", "distribution_shift", "random_labels", "learning_curve", "data_copying"]
)
def test_training_rows_as_test_rows_are_refused(analysis: str) -> None:
    part = table(*people(100))
    given = (part.x[:50],) if analysis == "data_copying" else ()
    with pytest.raises(lk.Refused, match=r"same|twice|not among them"):
        getattr(lk, analysis)(*given, Dataset("twice", part, part[::-1]))


@pytest.mark.parametrize("analysis", ["memorization", "membership_inference", "shortcuts", "attribute_inference"])
def test_models_on_training_rows_as_test_rows_are_refused(analysis: str) -> None:
    part, model = table(*people(100)), lk.wrap(Rule(), classes=["no", "yes"])
    more = {"feature": 0} if analysis == "attribute_inference" else {}
    with pytest.raises(lk.Refused):
        getattr(lk, analysis)(model, Dataset("twice", part, part[::-1]), **more)


@pytest.mark.parametrize("analysis", ["calibration", "conformal", "recalibrate", "abstention"])
def test_missing_probabilities_are_refused_with_what_would_do(analysis: str) -> None:
    y = np.arange(100) % 2
    with pytest.raises(lk.Refused, match="probabilities"):
        getattr(lk, analysis)(predictions(y, y))
    assert getattr(lk, analysis)(stated(*known(200))).status == "measured"


def test_without_training_data_the_test_side_is_measured_and_the_rest_says_why() -> None:
    y = np.arange(200) % 2
    found = lk.generalization_gap(None, predictions(y, y))
    assert found.test == 1
    for check in ("overfitting", "duplicate_rows"):
        named = told(found, check)
        assert named.status == "not_measured" and "no training data" in named.says
    for analysis in (lk.leakage, lk.random_labels, lk.learning_curve):
        with pytest.raises(lk.Refused):
            analysis(table(*people(100)))


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
