"""Recalibration against scikit-learn and SciPy, on models whose miscalibration is known, and never on rows it was fitted on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

import labkit as lk
from labkit.analyses._halves import rows_of
from labkit.analyses._recalibration.fits import WAYS
from labkit.metrics.expected_calibration_error import expected_calibration_error
from labkit.views._static import svg


def predictions(stated: np.ndarray, y: np.ndarray) -> lk.Predictions:
    names = [f"c{c}" for c in range(stated.shape[1])]
    frame = pd.DataFrame(stated, columns=names).assign(y=[names[c] for c in y])
    return lk.Predictions.from_frame(frame, y="y", proba=names, classes=names)


def drawn(n: int, seed: int, classes: int = 2, sharpen: float = 1.0, bend: float = 0.0) -> lk.Predictions:
    """Outcomes drawn with known probabilities; stated log-probabilities are multiplied, and class 1 raised."""
    generator = np.random.default_rng(seed)
    z = 1.2 * generator.normal(size=(n, classes))
    true = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    y = (generator.random((n, 1)) > np.cumsum(true, 1)).sum(1).clip(max=classes - 1)
    z = sharpen * z + bend * (np.arange(classes) == 1)
    return predictions(np.exp(z) / np.exp(z).sum(1, keepdims=True), y)


class Stated(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier whose inputs are the probabilities that it states."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> Stated:
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return np.log(x[:, 1] / x[:, 0])

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.classes_[x.argmax(1)]


def fitted(name: str, p: lk.Predictions):
    return WAYS[name].fit(p.proba, p.y, np.random.default_rng(0))


@pytest.mark.parametrize("classes", [2, 5])
def test_temperature_is_that_of_a_search_over_one_number_and_keeps_every_answer(classes: int) -> None:
    p = drawn(500, 0, classes, 2.5)
    found, log = fitted("temperature", p), np.log(p.proba)

    def loss(t: float) -> float:
        z = log / t
        return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(500), p.y]))

    assert 1 / found.weight[0, 0] == pytest.approx(minimize_scalar(loss, (0.5, 5)).x, rel=1e-4)
    assert 2.0 < 1 / found.weight[0, 0] < 3.2, "what was planted is 2.5"
    assert (found(p.proba).argmax(1) == p.proba.argmax(1)).all()


def test_platt_isotonic_and_beta_are_scikit_learns() -> None:
    p = drawn(400, 1, 2, 2.0, 0.7)
    x = p.proba
    for name, method in (("platt", "sigmoid"), ("isotonic", "isotonic")):
        other = CalibratedClassifierCV(FrozenEstimator(Stated().fit(x, p.y)), method=method).fit(x, p.y)
        away = np.abs(fitted(name, p)(x) - other.predict_proba(x))
        assert away.max() < (2e-3 if name == "isotonic" else 1e-4), "isotonic heights stay half a row from 0 and 1"
    plain = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(np.log(x), p.y)
    assert fitted("beta", p)(x) == pytest.approx(plain.predict_proba(np.log(x)), abs=1e-4)


def test_a_penalised_matrix_is_the_multinomial_regression_where_nothing_is_penalised() -> None:
    from labkit.analyses._recalibration import fits

    p = drawn(600, 2, 3, 1.5, 0.5)
    log = np.log(p.proba)
    weights, biases = np.arange(9).reshape(3, 3), 9 + np.arange(3)
    own = fits._minimise(log, np.eye(3)[p.y], weights, biases)
    plain = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(log, p.y)
    assert own(p.proba) == pytest.approx(plain.predict_proba(log), abs=1e-3)
    strong = fits._minimise(log, np.eye(3)[p.y], weights, biases, penalty=1e5)
    assert np.abs(strong.weight[~np.eye(3, dtype=bool)]).max() < 1e-3 and np.abs(strong.bias).max() < 1e-3


def test_isotonic_of_several_classes_is_each_against_the_rest() -> None:
    from sklearn.isotonic import IsotonicRegression

    p = drawn(300, 3, 3, 2.0)
    each = [IsotonicRegression().fit(p.proba[:, c], p.y == c).predict(p.proba[:, c]) for c in range(3)]
    each = np.clip(np.column_stack(each), 0.5 / 301, 1 - 0.5 / 301)
    assert fitted("isotonic", p)(p.proba) == pytest.approx(each / each.sum(1, keepdims=True))


def test_what_is_stated_is_of_fits_on_the_other_half() -> None:
    p = drawn(700, 4, 2, 2.0)
    record = lk.recalibrate(p, ["temperature", "isotonic"], replicates=100)
    rows, half = rows_of("a test", p), rows_of("a test", p).half(0)
    assert record.fitted_on == 350 and record.crossed and half.sum() == 350
    for m, name in ((1, "temperature"), (2, "isotonic")):
        after = np.empty((700, 2))
        for part in (half, ~half):
            after[part] = WAYS[name].fit(rows.proba[~part], p.y[~part], np.random.default_rng(0))(rows.proba[part])
        assert record.log_loss[m] == pytest.approx(log_loss(p.y, after))
        assert record.brier[m] == pytest.approx(brier_score_loss(p.y, after[:, 1]))
        assert record.ece[m] == pytest.approx(expected_calibration_error(p.y, after[:, 1]))
        assert record.changed[m] == (after.argmax(1) != p.proba.argmax(1)).sum()
        assert record.log_loss_change[m] == pytest.approx(log_loss(p.y, after) - log_loss(p.y, p.proba))
        assert record.log_loss_change_low[m] < record.log_loss_change[m] < record.log_loss_change_high[m]
    assert record.log_loss_change[0] == record.brier_change[0] == record.changed[0] == 0
    whole = fitted("temperature", p)
    assert record.apply(p.proba, "temperature") == pytest.approx(whole(p.proba)), "new rows get a fit on all"


def test_overconfidence_is_mended_and_a_calibrated_model_is_left_alone() -> None:
    bad = lk.recalibrate(drawn(1500, 5, 3, 3.0), replicates=150)
    assert bad.log_loss_change_high[-1] < 0 and bad.p[0] < 0.01 < bad.p[-1] and bad.classwise_p[0] < 0.01
    assert "lowers the log loss" in lk.check(bad)[0].says and lk.check(bad)[0].status == "info"
    sound = lk.recalibrate(drawn(1500, 6, 3), replicates=150)
    assert abs(sound.log_loss_change[-1]) < 0.01 and sound.p[0] > 0.01
    assert "is not shown to change" in lk.check(sound)[0].says


def test_a_method_that_overfits_is_not_chosen_and_its_gain_is_not_claimed() -> None:
    """Ten classes, few rows, nothing to mend: a full matrix fits noise, which shows only on other rows."""
    p = drawn(160, 7, 10)
    free = WAYS["isotonic"].fit(p.proba, p.y, np.random.default_rng(0))
    assert log_loss(p.y, free(p.proba), labels=range(10)) < log_loss(p.y, p.proba, labels=range(10)) - 0.1
    record = lk.recalibrate(p, ["isotonic"], replicates=100)
    assert record.log_loss_change[1] > 0 and record.choices == ("none", "none") and record.chosen == "none"
    assert record.log_loss_change[-1] == 0


def test_intervals_of_losses_hold_the_truth_on_either_side() -> None:
    """Losses have a long tail: Student's interval lies wholly above or below the truth far more often on one side."""
    from labkit.core.intervals import mean, skewed_mean

    draws = np.random.default_rng(0).exponential(size=(2000, 40))
    ends = {f: np.array([f(row) for row in draws]) for f in (mean, skewed_mean)}
    below, above = (((e[:, 1] < 1).mean(), (e[:, 0] > 1).mean()) for e in (ends[mean], ends[skewed_mean]))
    assert below[0] > 0.06 and above[0] < 0.045 and abs(above[0] - above[1]) < abs(below[0] - below[1])
    assert 0.93 <= 1 - sum(above) <= 0.97
    even = np.array([-1.0, 0.0, 1.0])
    assert skewed_mean(even) == pytest.approx(mean(even)) and np.isnan(skewed_mean(even[:1])).all()
    assert skewed_mean(np.ones(5)) == (1.0, 1.0)


def test_other_rows_to_fit_on_leave_out_those_that_are_stated_on() -> None:
    p, q = drawn(400, 8, 2, 2.0), drawn(400, 9, 2, 2.0)
    key = np.arange(400, dtype=np.uint64)
    p, q = replace(p, row=key), replace(q, row=key + np.uint64(350))
    record = lk.recalibrate(p, "temperature", fitted_on=q, replicates=100)
    assert record.fitted_on == 350 and any("50 rows" in w for w in record.warnings) and not record.crossed
    kept = replace(q, y=q.y[50:], label=q.label[50:], proba=q.proba[50:], row=q.row[50:])
    assert record.maps[1].weight == pytest.approx(fitted("temperature", kept).weight)


def test_new_predictions_are_recalibrated_and_the_record_is_kept(tmp_path) -> None:
    p, new = drawn(300, 10, 3, 2.0), drawn(50, 11, 3, 2.0)
    record = lk.recalibrate(p, ["temperature", "vector", "isotonic"], replicates=100)
    again = lk.load(lk.save(record, tmp_path / "r.lk"))
    assert again.digest == record.digest
    for name in record.methods:
        after = again.apply(new.proba, name)
        assert after.sum(1) == pytest.approx(1) and (after > 0).all()
    q = again.recalibrated(new)
    assert q.proba == pytest.approx(again.apply(new.proba)) and (q.label == q.proba.argmax(1)).all()
    assert q.provenance.options["recalibrated"] == record.chosen and q.digest != new.digest
    assert again.apply(new.proba, "none") == pytest.approx(new.proba)
    assert lk.recalibrate(p, ["temperature", "vector", "isotonic"], replicates=100).digest == record.digest
    assert list(lk.rows(record)["method"]) == list(record.methods) and "log loss" in lk.says(record)
    assert "temperature" in svg(lk.figure(record), name="f")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: lk.recalibrate(p, "platt"), "vector"),
        (lambda p: lk.recalibrate(p, "plat"), "platt"),
        (lambda p: lk.recalibrate(replace(p, proba=None)), "probabilities"),
        (lambda p: lk.recalibrate(p, fitted_on=p), "same predictions"),
        (lambda p: lk.recalibrate(drawn(40, 0, 3)), "20 rows to fit on"),
        (lambda p: lk.recalibrate(p, fitted_on=drawn(100, 1, 2)), "same classes"),
        (lambda p: lk.recalibrate(replace(p, y=np.zeros(200, int))), "all of one class"),
        (lambda p: lk.recalibrate(replace(p, y=np.full(200, -1))), "without truth"),
        (lambda p: lk.recalibrate("answers"), "Predictions"),
        (lambda p: lk.recalibrate(p, "temperature", replicates=100).apply(np.ones((3, 2))), "probabilities"),
        (lambda p: lk.recalibrate(p, "temperature", replicates=100).apply(p.proba, "isotonic"), "temperature"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_would_do(call, said: str) -> None:
    with pytest.raises(lk.Refused, match=said):
        call(drawn(200, 0, 3))
